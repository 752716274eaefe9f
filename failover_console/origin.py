"""Which pages may open our WebSocket: those of exactly our own scheme, host and port."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import urlsplit

from django.http import parse_cookie

Application = Callable[[dict[str, Any], Any, Any], Awaitable[Any]]

_DEFAULT_PORTS = {"http": 80, "https": 443}


def origin(text: str) -> tuple[str, str, int] | None:
    """Scheme, host and port of an origin; None for whatever is none."""
    try:
        parts = urlsplit(text)
        port = _DEFAULT_PORTS.get(parts.scheme) if parts.port is None else parts.port
    except ValueError:
        return None
    if parts.scheme not in _DEFAULT_PORTS or not parts.hostname or port is None or parts.path or parts.query or "@" in parts.netloc:
        return None
    return parts.scheme, parts.hostname, port


class ExactOrigin:
    """Lets a WebSocket through when its Origin header is exactly ours; a malformed or missing one is denied.

    So is one whose cookies hold a NUL, which quoted ones can: no database takes it as a session's key.
    """

    def __init__(self, application: Application, ours: str) -> None:
        self._application, self._ours = application, origin(ours)

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> Any:
        given = [value for name, value in scope["headers"] if name == b"origin"]
        cookies = [parse_cookie(value.decode("latin-1")) for name, value in scope["headers"] if name == b"cookie"]
        readable = not any("\0" in text for each in cookies for text in each.values())
        if len(given) == 1 and readable and origin(given[0].decode("latin-1")) == self._ours:
            return await self._application(scope, receive, send)
        await receive()
        return await send({"type": "websocket.close"})  # before it was accepted: the server answers 403
