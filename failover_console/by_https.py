"""Strict-Transport-Security on every answer that goes out by https, also on those that do not pass Django's middleware.

A heartbeat, an answer to a program and a refusal of the guard are answers of this host like a page (RFC 6797, 7.1).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from django.conf import settings

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Message, Receive, Send], Awaitable[Any]]

_NAME = b"strict-transport-security"
_PROXY_SAYS_SO = (b"x-forwarded-proto", b"https")


def by_https(application: Application) -> Application:
    """The same ASGI application with that header, when `PUBLIC_URL` is an https address; else the application itself."""
    if not settings.SECURE_HSTS_SECONDS:
        return application
    header = (_NAME, f"max-age={settings.SECURE_HSTS_SECONDS}; includeSubDomains; preload".encode())

    async def told(scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not _is_secure(scope):
            await application(scope, receive, send)
            return

        async def send_told(message: Message) -> None:
            if message["type"] == "http.response.start" and all(name.lower() != _NAME for name, _ in message["headers"]):
                message["headers"] = [*message["headers"], header]
            await send(message)

        await application(scope, receive, send_told)

    return told


def _is_secure(scope: Message) -> bool:
    """As Django's `is_secure`: the server sets the scheme by `TRUSTED_PROXIES`, and without them the header is believed."""
    return scope["scheme"] == "https" or (settings.SECURE_PROXY_SSL_HEADER is not None and _PROXY_SAYS_SO in scope["headers"])
