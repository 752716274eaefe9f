"""Where a client is, as limits see it."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from functools import lru_cache
from typing import Any


def place(client: Sequence[Any] | None) -> str:
    """An IPv4 address, or the /64 of an IPv6 address: one household or server has all of it."""
    return _of(str(client[0])) if client else ""


@lru_cache(4096)
def _of(text: str) -> str:
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return text[:64]
    if isinstance(address, ipaddress.IPv6Address):
        return str(address.ipv4_mapped or ipaddress.ip_network((int(address) >> 64 << 64, 64)))
    return text
