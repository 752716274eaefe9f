"""Opening a connection to a permitted address, plain or with TLS, and looking at the certificate."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from functools import lru_cache
from typing import TypeVar

from cryptography.x509 import load_der_x509_certificate

from nodes.egress import Egress
from nodes.egress.names import literal
from nodes.probes.outcome import ProbeFailure

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


async def connect(
    make: Callable[[], _P], egress: Egress, host: str, port: int, *, tls: bool, verify: bool, server_name: str, budget: float
) -> tuple[asyncio.Transport, _P]:
    """Connect to the first permitted address of `host`; raises what `explain` knows."""
    known = literal(host)
    addresses = egress.permit(host, (known,)) if known is not None else await egress.addresses(host, budget)
    if not addresses:
        raise ProbeFailure(f"the name {host} has no address")
    loop = asyncio.get_running_loop()
    if not tls:
        return await loop.create_connection(make, str(addresses[0]), port)
    name = server_name or host
    return await loop.create_connection(make, str(addresses[0]), port, ssl=context(verify=verify), server_hostname=name)


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
