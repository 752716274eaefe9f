"""A browser's end of the live socket, spoken to all that stands before the hub."""

from __future__ import annotations

import asyncio

from asgiref.testing import ApplicationCommunicator
from channels.auth import AuthMiddlewareStack
from channels.routing import URLRouter
from django.conf import settings

from failover_console.origin import ExactOrigin
from nodes.routing import websocket_urlpatterns

PATIENCE = 10.0  # s, far above what the console promises


class LiveSocket:
    """One socket; `accepted` says whether the server let it in."""

    def __init__(self, query: str, *, cookie: str, origin: str, path: str = "/ws/live/") -> None:
        headers = [(b"origin", origin.encode())]
        if cookie:
            headers.append((b"cookie", f"{settings.SESSION_COOKIE_NAME}={cookie}".encode()))
        self.accepted = False
        self._server = ApplicationCommunicator(
            ExactOrigin(AuthMiddlewareStack(URLRouter(websocket_urlpatterns)), settings.WEBSOCKET_ORIGIN),
            {"type": "websocket", "path": path, "query_string": query.encode(), "headers": headers, "subprotocols": []},
        )

    async def connect(self) -> None:
        await self._server.send_input({"type": "websocket.connect"})
        self.accepted = (await self._server.receive_output(PATIENCE))["type"] == "websocket.accept"

    async def until(self, text: str) -> str:
        """The message that holds `text`, whatever comes before it."""
        async with asyncio.timeout(PATIENCE):
            while text not in (message := (await self._server.receive_output(PATIENCE))["text"]):
                pass
        return str(message)

    async def closed(self) -> int:
        """The code with which the server closes."""
        async with asyncio.timeout(PATIENCE):
            while (message := await self._server.receive_output(PATIENCE))["type"] != "websocket.close":
                pass
        return int(message["code"])

    async def say(self, text: str) -> None:
        await self._server.send_input({"type": "websocket.receive", "text": text})

    async def leave(self) -> None:
        await self._server.send_input({"type": "websocket.disconnect", "code": 1001})
        await self._server.wait(PATIENCE)
