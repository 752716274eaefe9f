"""Names to addresses, once, with a deadline: a resolver that hangs costs one of a few threads and never the loop."""

from __future__ import annotations

import asyncio
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from ipaddress import ip_address

from nodes.egress.table import Address

CACHE = 5.0  # s that an answer is used again
THREADS = 8
_NO_SUCH_NAME = {socket.EAI_NONAME, getattr(socket, "EAI_NODATA", socket.EAI_NONAME)}


class NameUnknownError(Exception):
    """The name does not exist: the target's trouble."""


class ResolverTroubleError(Exception):
    """Our resolver failed or was too slow: our trouble."""


def literal(host: str) -> Address | None:
    """The address that `host` already is; forms that only a resolver understands (127.1, 0x7f000001) are names here."""
    try:
        return ip_address(host.strip("[]"))
    except ValueError:
        return None


def ascii_name(host: str) -> str:
    """The name as the resolver, TLS and the header `Host` take it (IDNA); raises `NameUnknownError`."""
    if host.isascii():
        return host
    try:
        return host.encode("idna").decode()
    except UnicodeError:
        raise NameUnknownError(f"{host[:80]} is no host name") from None


def resolve(host: str) -> tuple[Address, ...]:
    """All addresses of a name, in the system's order.  Blocks; raises `NameUnknownError` or `ResolverTroubleError`."""
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except socket.gaierror as error:
        if error.errno in _NO_SUCH_NAME:
            raise NameUnknownError(f"the name {host} does not exist") from None
        raise ResolverTroubleError(f"our resolver failed for {host}: {error.strerror}") from None
    except (UnicodeError, ValueError):
        raise NameUnknownError(f"{host[:80]} is no host name") from None
    return tuple(dict.fromkeys(ip_address(str(entry[4][0]).partition("%")[0]) for entry in found))


def _too_slow(host: str) -> ResolverTroubleError:
    return ResolverTroubleError(f"our resolver did not answer for {host} in time")


class Names:
    """A resolver with a deadline: a few threads of its own, a short cache, one look-up a name at a time."""

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(THREADS, "names")
        self._known: dict[str, tuple[float, tuple[Address, ...]]] = {}
        self._asked: dict[str, asyncio.Future[tuple[Address, ...]]] = {}

    async def addresses(self, host: str, timeout: float) -> tuple[Address, ...]:  # noqa: ASYNC109 - the probe's budget, not a wrapper's
        """Like `resolve`, within `timeout` seconds."""
        known = self._known.get(host)
        if known is not None and known[0] > time.monotonic():
            return known[1]
        asked = self._asked.get(host)
        if asked is None:
            asked = asyncio.get_running_loop().run_in_executor(self._threads, resolve, host)
            self._asked[host] = asked
            asked.add_done_callback(lambda _: self._asked.pop(host, None))
        try:
            found = await asyncio.wait_for(asyncio.shield(asked), timeout)
        except TimeoutError:
            raise _too_slow(host) from None
        self._known[host] = (time.monotonic() + CACHE, found)
        return found

    def addresses_now(self, host: str, timeout: float) -> tuple[Address, ...]:
        """The same outside an event loop; blocks, remembers nothing."""
        try:
            return self._threads.submit(resolve, host).result(timeout)
        except TimeoutError:
            raise _too_slow(host) from None
