"""The server's protocol with limits: of a request's head in bytes, fields and time, of its body in time, of connections.

Uvicorn's own have none of these, and behind its parser it is too late: a head without end is copied with each read.  Who exceeds a
limit is answered by one line and disconnected.  When an address, or all together, hold as many connections as they may, the oldest
of those that wait for a request's head or body is ended in favour of the new one, those that were refused before all others.
"""

from __future__ import annotations

import asyncio
import ipaddress
from asyncio import TimerHandle
from collections import Counter
from dataclasses import dataclass
from itertools import chain
from typing import Any

from django.conf import settings
from httptools import HttpParserError, HttpParserUpgrade
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle

from failover_console.guard import refusals
from failover_console.guard.classes import PUSHES, name_of
from failover_console.guard.requests import REFUSED
from nodes import pushes
from nodes.places import place


@dataclass(frozen=True, slots=True)
class Limits:
    """What one connection may do; bytes and seconds."""

    head: int = 32 * 1024  # of the request line and all fields
    url: int = 8 * 1024
    fields: int = 100
    head_seconds: float = 10.0  # from the connection, or the answer before, to the end of the head
    body: int = 4 * 1024 * 1024  # as sent, sizes of chunks included: a stop for what no class of requests takes
    body_seconds: float = 30.0
    unread_seconds: float = 30.0  # in which a client must take something of its answer
    pipeline: int = 8  # requests that wait behind one another
    pause: float = 2.0  # for which nothing is read after a refusal, as long as `Retry-After` says
    longest_pause: float = 32.0  # each further refusal doubles it up to this
    young: float = 2.0  # a connection ended so soon may have been a heartbeat's


_SENTENCES = {
    400: "this request cannot be read",
    408: "the request took too long",
    413: "the request is too large",
    414: f"an address has {Limits().url} bytes at the most",
    431: f"a request's head has {Limits().head} bytes and {Limits().fields} fields at the most",
    503: "too many connections; try again later",
}
most = settings.MAX_CONNECTIONS  # as far as the machine's limit of descriptors lets it be; see `start`
_open: set[GuardedProtocol] = set()  # those that became sockets included
_held: Counter[str] = Counter()  # connections by address
_idle: dict[GuardedProtocol, float] = {}  # those that wait for a head, the oldest first -> since when
_sending: dict[GuardedProtocol, None] = {}  # those whose body is not there yet, the oldest first
_paused: dict[GuardedProtocol, None] = {}  # those whose last request was refused, the oldest first
_waiting: tuple[dict[GuardedProtocol, Any], ...] = (_paused, _idle, _sending)  # in this order they make room


class GuardedProtocol(HttpToolsProtocol):
    """One connection."""

    limits = Limits()

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        super().connection_made(transport)
        self.place = place(self.client)
        self._limit: TimerHandle | None = None
        self._unread: TimerHandle | None = None
        self._in_head = True
        self._size = 0  # bytes of this request's head, or of its body as sent
        self._over = 400  # the status of the answer when the parser gives up
        self._pause_next = self.limits.pause
        self._speaks_for_many = _is_proxy(self.place)
        self._was_welcome = False
        _open.add(self)
        _held[self.place] += 1
        self._expect_head()

    def connection_lost(self, exc: Exception | None) -> None:
        self._left()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Parse no more at a time than the limit of this part of the request lets through."""
        self._unset_keepalive_if_required()
        while data and not self.transport.is_closing():
            limit = self.limits.head if self._in_head else self.limits.body
            if self._size >= limit:
                self._refuse(431 if self._in_head else 413, "too large")
                return
            part, data = data[: limit - self._size], data[limit - self._size :]
            self._size += len(part)
            try:
                self.parser.feed_data(part)
            except HttpParserError:
                self._refuse(self._over, "unreadable" if self._over == 400 else "too large")
            except HttpParserUpgrade:
                if self._should_upgrade():
                    self.handle_websocket_upgrade()
                    return

    def on_message_begin(self) -> None:
        self._in_head, self._size = True, 0
        super().on_message_begin()

    def on_url(self, url: bytes) -> None:
        super().on_url(url)
        if len(self.url) > self.limits.url:
            self._stop(414)

    def on_header(self, name: bytes, value: bytes) -> None:
        super().on_header(name, value)
        if len(self.headers) > self.limits.fields:
            self._stop(431)

    def on_headers_complete(self) -> None:
        self._in_head, self._size = False, 0
        _idle.pop(self, None)
        _sending[self] = None
        self._within(self.limits.body_seconds)
        if len(self.pipeline) >= self.limits.pipeline:
            self._stop(503)
        before = self.cycle
        super().on_headers_complete()
        if self.cycle is not before:  # it is no socket
            _silence_once_closed(self.cycle)

    def on_message_complete(self) -> None:
        self._within(0)
        _sending.pop(self, None)
        super().on_message_complete()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if not self._is_answering() and not self.transport.is_closing():  # else the next one runs
            self._expect_head()
            refused = self.cycle.scope["state"].get(REFUSED)  # of what was answered: `scope` may be the next one's already
            if refused is None:
                self._pause_next, self._was_welcome = self.limits.pause, True
            elif not (self._speaks_for_many or (refused == 404 and self._was_welcome)):  # a guest may follow an old link
                self._pause()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._look_at_reader(self.transport.get_write_buffer_size())

    def _look_at_reader(self, left: int) -> None:
        """End the connection unless something of what is `left` is taken in time."""

        def look() -> None:
            now = self.transport.get_write_buffer_size()
            if now < left:
                self._look_at_reader(now)
            else:
                self._abort()

        self._unread = self.loop.call_later(self.limits.unread_seconds, look)

    def resume_writing(self) -> None:
        super().resume_writing()
        if self._unread is not None:
            self._unread.cancel()
            self._unread = None

    def handle_websocket_upgrade(self) -> None:
        """The connection goes to another protocol, and still counts."""
        self._within(0)
        _sending.pop(self, None)
        super().handle_websocket_upgrade()
        protocol: Any = self.transport.get_protocol()
        lost = protocol.connection_lost

        def left(exc: Exception | None) -> None:
            self._left()
            lost(exc)

        protocol.connection_lost = left

    def _is_answering(self) -> bool:
        cycle: RequestResponseCycle | None = self.cycle  # None before the first request, whatever uvicorn's type says
        return cycle is not None and not cycle.response_complete

    def _stop(self, status: int) -> None:
        """Leave the parser, which turns whatever a callback raises into an error of its own."""
        self._over = status
        raise ValueError(status)

    def _expect_head(self) -> None:
        self._in_head, self._size = True, 0
        _idle[self] = self.loop.time()
        self._within(self.limits.head_seconds)

    def _within(self, seconds: float) -> None:
        """End the connection unless the next part of the request is there in time; 0 lets it be."""
        if self._limit is not None:
            self._limit.cancel()
        self._limit = self.loop.call_later(seconds, self._too_late) if seconds else None

    def _too_late(self) -> None:
        if not (self._in_head and self._is_answering()):
            self._refuse(408, "too slow")

    def _refuse(self, status: int, why: str) -> None:
        refusals.note(refusals.CONNECTIONS, why, self.place)
        if not self.transport.is_closing() and not self._is_answering():
            self.transport.write(sentence(status))
        self.transport.close()

    def _abort(self) -> None:
        refusals.note(refusals.CONNECTIONS, "reads nothing", self.place)
        self.transport.abort()

    def _left(self) -> None:
        self._within(0)
        for waiting in _waiting:
            waiting.pop(self, None)
        if self._unread is not None:
            self._unread.cancel()
        if self in _open:
            _open.discard(self)
            _held[self.place] -= 1
            if _held[self.place] <= 0:
                del _held[self.place]

    def _pause(self) -> None:
        """Leave unread what comes next: whoever asks on and on costs nothing meanwhile, and whoever was welcome waits but once."""
        _idle.pop(self, None)
        _paused[self] = None
        self._within(0)
        self._unset_keepalive_if_required()
        self.transport.pause_reading()
        self.loop.call_later(self._pause_next, self._read_on)
        if not self._was_welcome:
            self._pause_next = min(self._pause_next * 2, self.limits.longest_pause)

    def _read_on(self) -> None:
        _paused.pop(self, None)
        if not self.transport.is_closing():
            self._expect_head()
            self.transport.resume_reading()

    def end_for_another(self) -> None:
        """Make room; a heartbeat may lie unread where one came before, or be about to come where nothing did yet."""
        if self._may_push():
            pushes.missed(self.place)
        refusals.note(refusals.CONNECTIONS, "idle", self.place)
        self._left()
        self.transport.abort()

    def _may_push(self) -> bool:
        if self in _idle:
            return self.loop.time() - _idle[self] < self.limits.young
        return name_of(self.scope.get("path", ""), b"") == PUSHES


def _silence_once_closed(cycle: RequestResponseCycle) -> None:
    """Answer nobody who has left: uvloop raises for a connection that is closed, and uvicorn hears of that later."""
    send = cycle.send

    async def send_while_open(message: Any) -> None:
        if cycle.transport.is_closing():
            cycle.disconnected = True
        else:
            await send(message)

    cycle.send = send_while_open  # type: ignore[method-assign]  # its own way to answer an application that failed comes here too


def connections() -> int:
    """Open connections of this process, sockets included."""
    return len(_open)


def waiting() -> int:
    """Those of them that wait for a request, and may be ended in favour of others."""
    return sum(map(len, _waiting))


def sentence(status: int) -> bytes:
    """The whole answer to what exceeds a limit."""
    said = f"{_SENTENCES[status]}\n".encode()
    again = b"retry-after: 2\r\n" if status == 503 else b""
    kind = b"content-type: text/plain; charset=utf-8\r\nconnection: close\r\n"
    return STATUS_LINE[status] + kind + again + b"content-length: %d\r\n\r\n" % len(said) + said


def admits(where: str) -> bool:
    """Whether a new connection from there has room, if need be in the place of an old one that was refused or waits."""
    greedy = _held[where] >= settings.MAX_CONNECTIONS_PER_ADDRESS and not _is_proxy(where)
    if not greedy and len(_open) < most:
        return True
    oldest = next((each for each in chain(*_waiting) if not greedy or each.place == where), None)
    if oldest is None:
        return False
    oldest.end_for_another()
    return True


def _is_proxy(where: str) -> bool:
    """Whether a proxy of ours speaks for many clients from there; of IPv6 a whole /64 counts as one, as everywhere here."""
    try:
        place_there: Any = ipaddress.ip_network(where)
    except ValueError:
        return False
    return any(each.version == place_there.version and place_there.overlaps(each) for each in settings.TRUSTED_PROXIES)
