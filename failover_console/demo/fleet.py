"""The demo's servers, each with a switch: healthy, refuse, hang, answer 500, answer slowly, flap, fail its callers."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path

from failover_console import files
from failover_console.demo.door import Door
from failover_console.demo.http import Request, Response
from failover_console.demo.identity import identity
from failover_console.demo.layout import CALLED_POOL, CHECK_PATH, MODEL_KEY, NODES, DemoNode

SLOW = 0.8  # s until a slow answer
FLAP = 12.0  # s healthy, then as long failing


class Mode(StrEnum):
    """What a server does with a request; the words are those of the switches."""

    HEALTHY = "healthy"
    REFUSE = "refuse"
    HANG = "hang"
    ERROR = "answer 500"
    SLOW = "answer slowly"
    FLAP = "flap"
    FAIL_CALLERS = "fail its callers"  # while it answers its checks


class Server:
    """One node behind its door: it really stops listening when it is to refuse."""

    def __init__(self, node: DemoNode, door: Door) -> None:
        self.node, self._door = node, door
        self.mode = Mode.HEALTHY
        self.requests = 0
        self.modes = [mode for mode in Mode if mode != Mode.FAIL_CALLERS or node.pool == CALLED_POOL]
        self._hung: set[asyncio.Task[None]] = set()

    async def switch(self, mode: Mode) -> None:
        """Behave like this from now on; requests that hang are dropped."""
        self.mode = mode
        self._drop_hung()
        if mode == Mode.REFUSE:
            self._door.shut()
        else:
            await self._door.open(self._answer)

    @property
    def port(self) -> int:
        return self._door.port

    def stop(self) -> None:
        """Listen no longer, drop the requests that hang, give the port back."""
        self._drop_hung()
        self._door.close()

    def _drop_hung(self) -> None:
        for task in self._hung:
            task.cancel()

    async def _answer(self, request: Request) -> Response | None:
        self.requests += 1
        mode = self._mode_now()
        if mode == Mode.HANG:
            await self._hang()
            return None
        if mode == Mode.SLOW:
            await asyncio.sleep(SLOW)
        if mode == Mode.ERROR or (mode == Mode.FAIL_CALLERS and request.path != CHECK_PATH):
            return Response(500, b"the switch says 500\n")
        if self.node.pool == "models" and request.headers.get("authorization") != f"Bearer {MODEL_KEY}":
            return Response(401, b"a key is needed\n", headers={"WWW-Authenticate": "Bearer"})
        return Response(200, f"{self.node.name} is healthy, {identity()}\n".encode())

    def _mode_now(self) -> Mode:
        if self.mode != Mode.FLAP:
            return self.mode
        return Mode.ERROR if asyncio.get_running_loop().time() // FLAP % 2 else Mode.HEALTHY

    async def _hang(self) -> None:
        forever = asyncio.ensure_future(asyncio.sleep(3600))
        self._hung.add(forever)
        try:
            await forever
        except asyncio.CancelledError:
            if not forever.cancelled():
                raise
        finally:
            self._hung.discard(forever)


class Fleet:
    """All servers; the switches survive a restart in a small file."""

    def __init__(self, doors: Mapping[str, Door], file: Path) -> None:
        self.servers = {node.name: Server(node, doors[node.name]) for node in NODES}
        self._file = file

    async def start(self) -> None:
        modes = self._stored()
        for name, server in self.servers.items():
            await server.switch(modes.get(name, Mode.HEALTHY))

    async def switch(self, name: str, mode: Mode) -> None:
        await self.servers[name].switch(mode)
        files.write(self._file, json.dumps({each: server.mode.value for each, server in self.servers.items()}))

    def stop(self) -> None:
        for server in self.servers.values():
            server.stop()

    def _stored(self) -> dict[str, Mode]:
        try:
            stored = json.loads(files.read(self._file))
            return {name: Mode(mode) for name, mode in stored.items() if mode in list(Mode)}
        except (OSError, ValueError, AttributeError):
            return {}
