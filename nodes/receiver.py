"""Heartbeats over HTTP: `POST /push/<node>/` with the node's secret as a bearer token, or `/push/<node>/<secret>/`.

An ASGI application of its own: Django's way to a view costs a dozen hops between threads, and nodes call while others flood.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from nodes import pushes
from nodes.places import place

LARGEST_BODY = 10_000  # bytes
METHODS = ("GET", "HEAD", "POST")

_ADDRESS = re.compile(r"/+push/(?P<node>[0-9]{1,18})(?:/(?P<secret>[^/]+))?/?")

Scope = Mapping[str, Any]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]


async def receiver(scope: Scope, receive: Receive, send: Send) -> None:
    """Answers 200 after the heartbeat is written; a body says nothing and is kept small."""
    if (size := await _size(receive)) is None:
        return
    status, sentence, more = await _answer(scope, size)
    body = f"{sentence}\n".encode()
    headers = {
        b"content-type": b"text/plain; charset=utf-8",
        b"content-length": str(len(body)).encode(),
        b"cache-control": b"no-store",
        b"x-content-type-options": b"nosniff",
        **more,
    }
    await send({"type": "http.response.start", "status": status, "headers": list(headers.items())})
    await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else body})


async def _answer(scope: Scope, size: int) -> tuple[int, str, dict[bytes, bytes]]:
    if scope["method"] not in METHODS:
        return 405, f"a heartbeat is one of {', '.join(METHODS)}", {b"allow": ", ".join(METHODS).encode()}
    if size > LARGEST_BODY:
        return 413, f"a heartbeat needs no body; {LARGEST_BODY} bytes are forgiven", {}
    if (address := _ADDRESS.fullmatch(scope["path"])) is None:
        return 404, "a heartbeat goes to /push/<number of the node>/", {}
    if not (secret := address["secret"] or _bearer(scope)):
        return 401, "the node's secret is needed: Authorization: Bearer …", {b"www-authenticate": b"Bearer"}
    try:
        known = await pushes.take(int(address["node"]), secret, place(scope.get("client")))
    except pushes.NotTakenError:
        return 503, "the heartbeat could not be written; call again", {b"retry-after": b"1"}
    return (200, "ok", {}) if known else (403, "no such node, or another secret", {})


async def _size(receive: Receive) -> int | None:
    """Bytes of the body, as far as they matter; None when the caller left."""
    size = 0
    while size <= LARGEST_BODY:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        size += len(message.get("body", b""))
        if not message.get("more_body"):
            break
    return size


def _bearer(scope: Scope) -> str:
    given = next((value for name, value in scope["headers"] if name == b"authorization"), b"")
    scheme, _, token = given.decode("latin-1").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""
