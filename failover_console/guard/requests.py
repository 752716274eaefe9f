"""The guard before Django: reads a bounded body, finds a seat in the class of the request, refuses what is over.

A body is read before a seat is taken, so that whoever sends slowly holds none; the server ends whoever takes too long.
"""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any

from asgiref.sync import ThreadSensitiveContext

from failover_console.guard import refusals
from failover_console.guard.classes import PUSHES, RequestClass, name_of
from failover_console.guard.content_type import is_readable
from failover_console.guard.seats import FullError, GreedyError, Seats
from nodes import pushes, turns
from nodes.places import place

RETRY_AFTER = 2  # s
AWAKE = 4  # of those that wait for long: they begin, wake and leave so many at a time
REFUSED = "refused"  # key of a request's state, with the status: the server reads no more from this connection for a while
STRANGERS = frozenset({401, 403, 404, 429, 503})  # what those are answered who should not have asked
BODIES = 32 * 1024 * 1024  # bytes of all bodies that are being read or answered at a time; an address holds half

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Message, Receive, Send], Awaitable[Any]]

_GREEDY = "this address asks for too much at once; ask again later"
_FULL = "the console has no room for this request now; ask again later"
_UNREADABLE = "the Content-Type of this request cannot be read"
_LARGE, _BODIES = "too large", "bodies"  # why
_UNREAD = (_LARGE, _BODIES)  # the rest of such a body is not read


class _TooLargeError(Exception):
    """The body is larger than its address takes."""


class _NoRoomError(Exception):
    """All bodies together, or those of this address, are as large as they may be."""


class _GoneError(Exception):
    """The client left before its body was there."""


class Guard:
    """An ASGI application around Django's, for requests and for the handshakes of sockets."""

    def __init__(self, application: Application, classes: Mapping[str, RequestClass]) -> None:
        self._application, self._classes = application, classes
        self._handshakes = Seats(at_once=8, waiting=256, patience=5.0)
        self._turns, self._leaving = asyncio.Semaphore(AWAKE), asyncio.Semaphore(AWAKE)
        self._bodies, self._bodies_of = 0, Counter[str]()  # bytes, in all and by address

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            await self._request(scope, receive, send)
        elif scope["type"] == "websocket":
            await self._socket(scope, receive, send)
        else:
            await self._application(scope, receive, send)

    async def _request(self, scope: Message, receive: Receive, send: Send) -> None:
        kind = self._classes[name_of(scope["path"], scope["query_string"])]
        refuse = _Refusal(scope, send, kind.name)
        address = place(scope.get("client"))
        held = 0

        def hold(size: int) -> None:
            nonlocal held
            if self._bodies + size > BODIES or self._bodies_of[address] + size > BODIES // 2:
                raise _NoRoomError
            held += size
            self._bodies += size
            self._bodies_of[address] += size

        try:
            if kind.name != PUSHES and not is_readable(scope):
                await refuse(400, _UNREADABLE, "unreadable")
                return
            if _declared(scope) > kind.body:
                raise _TooLargeError
            body = await _body(receive, kind.body, hold)
            again = _replay(body, receive, self._leaving if kind.sleeps else None)
            await self._seated(kind, scope, again, send, refuse)
        except _TooLargeError:
            await refuse(413, f"a body is {kind.body} bytes at the most here", _LARGE)
        except _NoRoomError:
            await refuse(503, _FULL, _BODIES)
        except _GoneError:
            return
        finally:
            self._bodies -= held
            self._bodies_of[address] -= held
            if self._bodies_of[address] <= 0:
                del self._bodies_of[address]

    async def _seated(self, kind: RequestClass, scope: Message, receive: Receive, send: Send, refuse: _Refusal) -> None:
        address = place(scope.get("client"))
        try:
            await kind.seats.take(address)
        except GreedyError:
            await refuse(429, _GREEDY, "one address")
            return
        except FullError:
            await refuse(503, _FULL, "full")
            return

        async def answered(message: Message) -> None:
            if message.get("status") in STRANGERS:
                scope["state"][REFUSED] = message["status"]
            await send(message)

        turn = _Turn(self._turns)
        try:
            if kind.sleeps:
                await turn.take()
                turns.current.set(turn)
            async with ThreadSensitiveContext(executor=next(kind.threads)):
                await self._application(scope, receive, answered)
        finally:
            turn.leave()
            kind.seats.leave(address)

    async def _socket(self, scope: Message, receive: Receive, send: Send) -> None:
        """A seat from the handshake until it is answered."""
        address = place(scope.get("client"))
        try:
            await self._handshakes.take(address)
        except FullError:
            refusals.note("sockets", "full", address)
            await receive()
            await send({"type": "websocket.close", "code": 1013})
            return
        seated = True

        def leave() -> None:
            nonlocal seated
            if seated:
                seated = False
                self._handshakes.leave(address)

        async def answered(message: Message) -> None:
            refused = seated and message["type"] == "websocket.close"
            leave()
            if refused:  # refused; who asks on and on waits for each answer
                await asyncio.sleep(RETRY_AFTER)
            await send(message)

        try:
            await self._application(scope, receive, answered)
        finally:
            leave()


class _Refusal:
    """Answers one request that is not taken."""

    def __init__(self, scope: Message, send: Send, kind: str) -> None:
        self._scope, self._send, self._kind = scope, send, kind

    async def __call__(self, status: int, sentence: str, why: str) -> None:
        where = place(self._scope.get("client"))
        refusals.note(self._kind, why, where)
        path = self._scope["path"]
        self._scope.setdefault("state", {})[REFUSED] = status
        if status in (429, 503) and self._kind == PUSHES:
            pushes.missed(where)
        as_json = path.startswith("/api/")
        body = json.dumps({"error": sentence}).encode() if as_json else f"{sentence}\n".encode()
        headers = [
            (b"content-type", b"application/json" if as_json else b"text/plain; charset=utf-8"),
            (b"content-length", str(len(body)).encode()),
            (b"cache-control", b"no-store"),
            (b"x-content-type-options", b"nosniff"),
        ]
        headers += [(b"retry-after", str(RETRY_AFTER).encode())] if status in (429, 503) else []
        headers += [(b"connection", b"close")] if why in _UNREAD else []
        await self._send({"type": "http.response.start", "status": status, "headers": headers})
        await self._send({"type": "http.response.body", "body": body})


def _declared(scope: Message) -> int:
    """The length that the request says its body has; 0 when it says none."""
    given = next((value for name, value in scope["headers"] if name == b"content-length"), b"0")
    return int(given) if given.isdigit() else 0


async def _body(receive: Receive, limit: int, hold: Callable[[int], None]) -> bytes:
    """The whole body; raises `_TooLargeError` or `_GoneError`."""
    parts = bytearray()
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise _GoneError
        part = message.get("body", b"")
        hold(len(part))
        parts += part
        if len(parts) > limit:
            raise _TooLargeError
        if not message.get("more_body"):
            return bytes(parts)


def _replay(body: bytes, receive: Receive, leaving: asyncio.Semaphore | None) -> Receive:
    """Gives the body, and later, one after the other, that the client left, if that matters.

    To Django that a client left means to give up while its thread works on: only what sleeps without a thread is told.
    """
    given = False

    async def again() -> Message:
        nonlocal given
        if not given:
            given = True
            return {"type": "http.request", "body": body, "more_body": False}
        if leaving is None:
            await asyncio.Event().wait()  # cancelled when the answer is complete
            raise AssertionError
        message = await receive()
        async with leaving:
            await asyncio.sleep(0)
        return message

    return again


class _Turn:
    """One of the few turns of those that wake, at most one at a time."""

    def __init__(self, turns: asyncio.Semaphore) -> None:
        self._turns, self._taken = turns, False

    async def take(self) -> None:
        await self._turns.acquire()
        self._taken = True

    def leave(self) -> None:
        if self._taken:
            self._taken = False
            self._turns.release()
