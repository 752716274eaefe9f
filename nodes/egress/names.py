"""Names to addresses: what was answered is kept for a while, and serves for as long as the resolver is away.

The system's resolver says nothing of a TTL, and keeps one itself where it caches; an answer is kept for ten seconds here.  Then it
is asked for anew, and the one before is used when no new one comes at once: a check does not wait for a resolver that hangs.
"""

from __future__ import annotations

import socket
import threading
import time
from collections import OrderedDict
from dataclasses import dataclass
from ipaddress import ip_address

import idna

from nodes.egress.lookups import BusyError, Found, Lookup, Lookups, Standing
from nodes.egress.table import Address

KEPT = 10.0  # s for which an answer is used without asking again
AT_ONCE = 0.5  # s that a new answer is waited for while there is an old one
SERVES = 86_400.0  # s for which the last answer serves while the resolver is away
MOST_NAMES = 20_000  # remembered
MOST_TOLD = 1000  # of them, names that nodes told us by redirects
LONGEST = 253  # characters of a name, by the rules of DNS
MOST_ADDRESSES = 64  # looked at of a name
AWAY = 5.0  # s without any answer after which the resolver is away
RECENT = 30.0  # s for which an answer says something of now
FORGOTTEN = 600.0  # s for which trouble does, while nothing is answered
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
    """The name as the resolver, TLS and the header `Host` take it (IDNA 2008, UTS 46, as curl); raises `NameUnknownError`."""
    if host.isascii():
        return host
    try:
        return idna.encode(host, uts46=True).decode()
    except UnicodeError:
        raise NameUnknownError(f"{host[:80]} is no host name") from None


def resolve(host: str) -> tuple[Address, ...]:
    """All addresses of a name, in the system's order.  Blocks; raises `NameUnknownError` or `ResolverTroubleError`."""
    try:
        found = socket.getaddrinfo(ascii_name(host), None, type=socket.SOCK_STREAM)
    except socket.gaierror as error:
        if error.errno in _NO_SUCH_NAME:
            raise NameUnknownError(f"the name {host} does not exist") from None
        raise ResolverTroubleError(f"our resolver failed for {host}: {error.strerror}") from None
    except (UnicodeError, ValueError):
        raise NameUnknownError(f"{host[:80]} is no host name") from None
    return tuple(dict.fromkeys(ip_address(str(entry[4][0]).partition("%")[0]) for entry in found[:MOST_ADDRESSES]))


@dataclass(slots=True)
class _Known:
    """What is remembered of a name; instants are monotonic."""

    addresses: tuple[Address, ...] = ()
    answered_at: float = 0.0
    asks_again_at: float = 0.0
    came_to_nothing: int = 0  # the last times in a row


@dataclass(frozen=True, slots=True)
class ResolverStanding:
    """How the resolver looks from this process: `trouble` says why it is away; neither means that it was not asked lately."""

    trouble: str = ""
    answers: bool = False


class Names:
    """The names of one process, for threads and loops alike."""

    def __init__(self) -> None:
        self._lookups = Lookups(_look_up, self._ended)
        self._lock = threading.Lock()
        self._known: OrderedDict[str, _Known] = OrderedDict()
        self._told: OrderedDict[str, _Known] = OrderedDict()
        self._answered_at = self._troubled_at = -RECENT
        self._troubled_since: float | None = None
        self._trouble = ""

    def kept(self, host: str) -> tuple[Address, ...]:
        """The addresses that are used without asking; none when there is something to ask."""
        known = self._known.get(host) or self._told.get(host)
        return known.addresses if known is not None and known.asks_again_at > time.monotonic() else ()

    async def addresses(self, host: str, timeout: float, *, told: bool = False) -> tuple[Address, ...]:  # noqa: ASYNC109 - of the resolver, not a wrapper's
        """All addresses of a name, after `timeout` seconds at most; raises `NameUnknownError` or `ResolverTroubleError`.

        `told`: a node named it, so it may take no thread or memory from the names that were configured.
        """
        kept = self.kept(host)
        if kept:
            return kept
        lookup, old = self._ask(host, told=told)
        return self._outcome(host, await lookup.wait(_patience(lookup, old, timeout)), old)

    def addresses_now(self, host: str, timeout: float) -> tuple[Address, ...]:
        """The same outside an event loop; blocks."""
        kept = self.kept(host)
        if kept:
            return kept
        lookup, old = self._ask(host, told=False)
        return self._outcome(host, lookup.wait_here(_patience(lookup, old, timeout)), old)

    def standing(self) -> ResolverStanding:
        """Whether the resolver is away: it was asked, and for `AWAY` seconds nothing was answered."""
        now, hanging = time.monotonic(), self._lookups.hanging()
        with self._lock:
            since = self._troubled_since
            if hanging is not None and hanging.started_at is not None and self._answered_at < hanging.started_at:
                since = min(hanging.started_at, since if since is not None else now)
                self._trouble, self._troubled_at = str(_too_slow(hanging.name)), now
            if since is None or now - self._troubled_at > FORGOTTEN:
                return ResolverStanding(answers=now - self._answered_at < RECENT)
            return ResolverStanding(self._trouble if now - since > AWAY else "", answers=False)

    def _ask(self, host: str, *, told: bool) -> tuple[Lookup, tuple[Address, ...]]:
        """The lookup under way, and the addresses of the last one."""
        if len(host) > LONGEST:
            raise NameUnknownError(f"{host[:80]} is no host name")
        with self._lock:
            known = self._known.get(host) or (self._told.get(host) if told else None)
            if known is None:
                known = _remember(self._told, host, MOST_TOLD) if told else _remember(self._known, host, MOST_NAMES)
            stranger = told and host not in self._known
        old = known.addresses if time.monotonic() - known.answered_at < SERVES else ()
        try:
            return self._lookups.ask(host, Standing.TOLD if stranger else _standing(known)), old
        except BusyError:
            return _given_up(host), old

    def _outcome(self, host: str, found: Found | None, old: tuple[Address, ...]) -> tuple[Address, ...]:
        if isinstance(found, tuple):
            return found
        if isinstance(found, NameUnknownError):
            raise found
        if old:
            return old
        if isinstance(found, BusyError):
            raise ResolverTroubleError(f"our resolver has too many names to ask for, among them {host}")
        raise found if found is not None else _too_slow(host)

    def _ended(self, lookup: Lookup) -> None:
        """Remember what came of it, in the thread that asked."""
        now, found = time.monotonic(), lookup.found
        with self._lock:
            for names in (self._known, self._told):
                if lookup.name in names:
                    _note(names[lookup.name], found, now)
            if isinstance(found, ResolverTroubleError):
                self._troubled_at, self._trouble = now, str(found)
                self._troubled_since = now if self._troubled_since is None else self._troubled_since
            else:
                self._answered_at, self._troubled_since = now, None


def _standing(known: _Known) -> Standing:
    """A name that was answered before may come to nothing once, and is asked for as soon as others."""
    if known.came_to_nothing >= (2 if known.addresses else 1):
        return Standing.DOUBTFUL
    return Standing.ANSWERED if known.addresses else Standing.NEW


def _given_up(host: str) -> Lookup:
    """A lookup that ended before it began."""
    lookup = Lookup(host, Standing.DOUBTFUL)
    lookup.end(BusyError())
    return lookup


def _look_up(host: str) -> Found:
    try:
        return resolve(host)
    except (NameUnknownError, ResolverTroubleError) as error:
        return error
    except Exception as error:  # whatever it is, somebody waits for an end
        return ResolverTroubleError(f"our resolver failed for {host}: {type(error).__name__}: {error}")


def _remember(names: OrderedDict[str, _Known], host: str, most: int) -> _Known:
    known = names[host] = _Known()
    if len(names) > most:
        names.popitem(last=False)  # the one that was new first; it is asked for again when somebody needs it
    return known


def _note(known: _Known, found: Found | None, now: float) -> None:
    known.came_to_nothing = known.came_to_nothing + 1 if isinstance(found, ResolverTroubleError) else 0
    if isinstance(found, tuple):
        known.addresses, known.answered_at, known.asks_again_at = found, now, now + KEPT
    elif isinstance(found, NameUnknownError):
        known.addresses = ()


def _patience(lookup: Lookup, old: tuple[Address, ...], timeout: float) -> float:
    """For how long an answer is waited for; with an old one at hand only while the lookup is young."""
    if not old:
        return timeout
    begun = lookup.started_at if lookup.started_at is not None else time.monotonic()
    return min(timeout, max(0.0, begun + AT_ONCE - time.monotonic()))


def _too_slow(host: str) -> ResolverTroubleError:
    return ResolverTroubleError(f"our resolver did not answer for {host} in time")
