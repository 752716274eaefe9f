"""Opening a connection to a permitted address, plain or with TLS, and looking at the certificate."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from functools import lru_cache
from typing import TypeVar

from cryptography.x509 import load_der_x509_certificate

from nodes.egress import Egress
from nodes.egress.table import Address
from nodes.probes.outcome import ProbeFailure
from nodes.probes.own_time import OwnTime

_P = TypeVar("_P", bound=asyncio.BaseProtocol)

DAY = 86_400  # s


@lru_cache(maxsize=2)
def context(*, verify: bool) -> ssl.SSLContext:
    """The TLS rules of all checks; without verification the name is not checked either."""
    made = ssl.create_default_context()
    made.minimum_version = ssl.TLSVersion.TLSv1_2
    if not verify:
        made.check_hostname = False
        made.verify_mode = ssl.CERT_NONE
    return made


async def first_address(egress: Egress, host: str, own: OwnTime, budget: float, *, told: bool = False) -> Address:
    """The permitted address of `host` to connect to; raises what `explain` knows.

    Our resolver gets `budget` seconds beside the check's own time.  `told`: a node has named this host.
    """
    addresses = egress.addresses_at_hand(host) or await own.apart(egress.addresses(host, budget, told=told))
    if not addresses:
        raise ProbeFailure(f"the name {host} has no address")
    return addresses[0]


async def connect(
    make: Callable[[], _P], address: Address, port: int, *, host: str, tls: bool, verify: bool, server_name: str
) -> tuple[asyncio.Transport, _P]:
    """Connect to an address of `host` that is permitted; raises what `explain` knows."""
    loop = asyncio.get_running_loop()
    if not tls:
        return await loop.create_connection(make, str(address), port)
    name = server_name or host
    return await loop.create_connection(make, str(address), port, ssl=context(verify=verify), server_hostname=name)


def certificate_warning(transport: asyncio.BaseTransport, days: int, now: float) -> str:
    """A sentence when the peer's certificate ends within `days`, verified or not; empty when not, and always for 0 days."""
    ends_at = _certificate_ends_at(transport) if days else None
    if ends_at is None or (left := (ends_at - now) / DAY) >= days:
        return ""
    return f"the certificate ends in {left:.0f} days" if left >= 0 else f"the certificate ended {-left:.0f} days ago"


def _certificate_ends_at(transport: asyncio.BaseTransport) -> float | None:
    """Epoch seconds.  The standard library reads none that it did not verify: such a one is read from its bytes."""
    if peer := transport.get_extra_info("peercert"):
        return float(ssl.cert_time_to_seconds(peer["notAfter"]))
    stored = transport.get_extra_info("ssl_object").getpeercert(binary_form=True)
    try:
        return load_der_x509_certificate(stored).not_valid_after_utc.timestamp() if stored else None
    except ValueError:
        return None  # no certificate that anybody could read
