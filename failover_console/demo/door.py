"""A port of loopback that stays ours while we run: open, or shut, when it refuses connections and still is nobody else's."""

from __future__ import annotations

import asyncio
import socket

from failover_console.demo.http import Handler, serve
from failover_console.demo.layout import HOST

_SHARED = (socket.SOL_SOCKET, socket.SO_REUSEADDR)


class Door:
    """One port, ours from here to `close`; 0 asks the system for a free one.  Raises OSError when another program has it."""

    def __init__(self, port: int = 0) -> None:
        self._socket = _bound(port) if port else _free()
        self.port: int = self._socket.getsockname()[1]
        self._server: asyncio.Server | None = None
        self.shut()

    async def open(self, handler: Handler) -> None:
        """Let `handler` answer; it stays when the door is open already."""
        if self._server is None:
            self._socket.setsockopt(*_SHARED, 1)
            self._server = await serve(self._socket.dup(), handler)

    def shut(self) -> None:
        """Refuse connections.  A socket that only is bound shares its port with whoever asks, unless it says no."""
        if self._server is not None:
            self._server.close()
            self._server = None
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.setsockopt(*_SHARED, 0)

    def close(self) -> None:
        """Give the port back."""
        self.shut()
        self._socket.close()


def _bound(port: int) -> socket.socket:
    """Bound by number, so that the kernel keeps the port when it listens no longer; ended connections stand in nobody's way."""
    made = socket.socket()
    try:
        made.setsockopt(*_SHARED, 1)
        made.bind((HOST, port))
    except OSError:
        made.close()
        raise
    return made


def _free() -> socket.socket:
    """Bound to a port that the system chose: the first socket holds it until the second has it by its number."""
    with _bound(0) as chosen:
        return _bound(chosen.getsockname()[1])
