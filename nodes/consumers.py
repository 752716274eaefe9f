"""The live socket: fragments of a page go out, nothing but pings comes in.

An ASGI application of its own: a Channels consumer costs twenty times as much a message, for a routing that is not needed.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any
from urllib.parse import parse_qs

from channels.db import database_sync_to_async
from django.conf import settings
from django.contrib.auth import get_user
from django.http import HttpRequest

from nodes.hub import Subscriber, Topic, hub

SEND_TIMEOUT = 5.0  # s in which a browser must take a message
SESSION_CHECK_EVERY = 30.0  # s
PING_SIZE = 1024  # characters
SOCKETS_A_USER = 40
SOCKETS = 2000

REFUSED = 4401  # before the socket is accepted; a browser sees a failed connection
AGAIN, RESTART = 1013, 1012  # the page connects anew on these, and on no other code that we could choose

Scope = Mapping[str, Any]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]

_open: Counter[int] = Counter()  # sockets of each user in this process


def sockets() -> int:
    """Live sockets of this process."""
    return _open.total()


@dataclass(frozen=True, slots=True)
class Visitor:
    """Who holds a session, and whether they may act."""

    user: int
    operator: bool


@database_sync_to_async  # type: ignore[untyped-decorator]  # channels ships no types
def _visitor(session_key: str) -> Visitor | None:
    """Who the session belongs to now; None once it ended, the password changed or the user was disabled."""
    request = HttpRequest()
    request.session = import_module(settings.SESSION_ENGINE).SessionStore(session_key)
    user = get_user(request)
    return Visitor(user.pk, user.has_perm("nodes.operate")) if user.is_authenticated else None


async def live(scope: Scope, receive: Receive, send: Send) -> None:
    """One socket from its request to its end."""
    if (await receive())["type"] != "websocket.connect":
        return
    session_key = scope.get("cookies", {}).get(settings.SESSION_COOKIE_NAME, "")
    visitor: Visitor | None = await _visitor(session_key) if session_key else None
    topic = _topic(scope["query_string"])
    if visitor is None or topic is None or _open[visitor.user] >= SOCKETS_A_USER or _open.total() >= SOCKETS:
        await send({"type": "websocket.close", "code": REFUSED})
        return
    _open[visitor.user] += 1
    try:
        await _serve(topic, visitor, session_key, receive, send)
    finally:
        _open[visitor.user] -= 1


def _topic(query: bytes) -> Topic | None:
    """The page that is asked for; None for a query with more fields than one page has, or that is none."""
    try:
        return Topic.asked(parse_qs(query.decode("latin-1"), max_num_fields=2))
    except ValueError:
        return None


async def unknown(scope: Scope, receive: Receive, send: Send) -> None:
    """An address that no live page has: refused before it is accepted."""
    await receive()
    await send({"type": "websocket.close", "code": REFUSED})


async def _serve(topic: Topic, visitor: Visitor, session_key: str, receive: Receive, send: Send) -> None:
    subscriber = Subscriber(operator=visitor.operator)
    if not await hub().subscribe(topic, subscriber):
        await send({"type": "websocket.close", "code": REFUSED})
        return
    try:
        await send({"type": "websocket.accept"})
        ends = [
            asyncio.ensure_future(each) for each in (_write(subscriber, send), _read(receive), _check_session(visitor, session_key))
        ]
        try:
            done, _ = await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for each in ends:
                each.cancel()
        code = next(iter(done)).result()
        if code:
            async with asyncio.timeout(SEND_TIMEOUT):
                await send({"type": "websocket.close", "code": code})
    except (TimeoutError, OSError):
        return  # a browser that reads nothing is disconnected
    finally:
        hub().unsubscribe(topic, subscriber)


async def _write(subscriber: Subscriber, send: Send) -> int:
    """Send what the hub offers; returns the code to close with."""
    while True:
        html = await subscriber.take()
        if html:
            try:
                async with asyncio.timeout(SEND_TIMEOUT):
                    await send({"type": "websocket.send", "text": html})
            except TimeoutError:
                return AGAIN
        if subscriber.closed:
            return RESTART


async def _read(receive: Receive) -> int:
    """Pings are ignored, anything larger ends the socket; returns 0 when the browser left."""
    while True:
        message = await receive()
        if message["type"] == "websocket.disconnect":
            return 0
        if message.get("bytes") or len(message.get("text") or "") > PING_SIZE:
            return AGAIN


async def _check_session(visitor: Visitor, session_key: str) -> int:
    """Ends the socket when the session ended or the role changed."""
    while True:
        await asyncio.sleep(SESSION_CHECK_EVERY)
        if await _visitor(session_key) != visitor:
            return AGAIN
