"""How connections are taken: many in each turn of the loop, and those without room ended before anything is made for them.

The event loop's own server takes one connection a turn: under a flood the others wait seconds in the kernel's queue.
"""

from __future__ import annotations

import asyncio
import errno
import socket
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

import uvloop

from failover_console.guard import refusals
from failover_console.guard.connections import admits, sentence
from nodes import pushes
from nodes.places import place

EACH_TURN = 8  # connections
NO_DESCRIPTOR = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)
AGAIN = 0.5  # s after the machine had no descriptor left


class Loop(uvloop.Loop):
    """uvloop's, whose servers are `Acceptor`s."""

    async def create_server(  # type: ignore[override]  # takes and returns what the web server gives and uses
        self, protocol_factory: Callable[[], asyncio.Protocol], host: str, port: int, *, backlog: int, ssl: None = None
    ) -> Acceptor:
        found = await self.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        listening = [
            socket.create_server(address[:2], family=family, backlog=backlog, dualstack_ipv6=False)
            for family, address in dict.fromkeys((family, address) for family, _, _, _, address in found)
        ]
        return Acceptor(self, protocol_factory, listening)


class Acceptor:
    """Listening sockets, until `close`: as much of a server as the web server asks for."""

    def __init__(self, loop: Loop, factory: Callable[[], asyncio.Protocol], sockets: Sequence[socket.socket]) -> None:
        self._loop, self._factory, self.sockets = loop, factory, tuple(sockets)
        self._begun: set[asyncio.Task[Any]] = set()
        for each in self.sockets:
            each.setblocking(False)
            self._listen(each)

    def close(self) -> None:
        for each in self.sockets:
            self._loop.remove_reader(each)
            each.close()

    async def wait_closed(self) -> None:
        """All is closed at once."""

    def _listen(self, listening: socket.socket) -> None:
        if listening.fileno() >= 0:
            self._loop.add_reader(listening, self._accept, listening)

    def _accept(self, listening: socket.socket) -> None:
        for _ in range(EACH_TURN):
            try:
                connection, client = listening.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as error:
                if error.errno not in NO_DESCRIPTOR:
                    raise
                self._rest(listening)
                return
            self._take(connection, client)

    def _take(self, connection: socket.socket, client: tuple[Any, ...]) -> None:
        connection.setblocking(False)
        if not admits(where := place(client)):
            pushes.missed(where)
            refusals.note(refusals.CONNECTIONS, "too many", where)
            with suppress(OSError):  # it has left
                connection.send(sentence(503))
            connection.close()
            return
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        task = self._loop.create_task(self._loop.connect_accepted_socket(self._factory, connection))
        self._begun.add(task)
        task.add_done_callback(self._taken)

    def _taken(self, task: asyncio.Task[Any]) -> None:
        self._begun.discard(task)
        if not task.cancelled():
            task.exception()  # a client that left meanwhile

    def _rest(self, listening: socket.socket) -> None:
        """No descriptor is left: whoever calls waits."""
        pushes.missed()
        refusals.note(refusals.CONNECTIONS, "no descriptor", "")
        self._loop.remove_reader(listening)
        self._loop.call_later(AGAIN, self._listen, listening)


def new_loop() -> Loop:
    """For uvicorn's `--loop`."""
    return Loop()
