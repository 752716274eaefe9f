"""The demo's callers: they read the shares from the console, call the models by them, and report the outcomes."""

from __future__ import annotations

import asyncio
import json
import random
import time
import urllib.error
import urllib.request
from collections import Counter
from typing import Any

from failover_console.demo.layout import CALLED_POOL, CALLS_PATH, HOST, MODEL_KEY

EVERY = 0.5  # s
CALLS = 20  # each time
TIMEOUT = 1.5  # s for one call


class Traffic:
    """Calls at a steady rate while `run` runs; a console that is away only stops it for the moment."""

    def __init__(self, console: str, token: str) -> None:
        self._console, self._token = console, token

    async def run(self) -> None:
        while True:
            try:
                await self._batch()
            except (OSError, ValueError, KeyError):  # the console starts, stops, or has no such pool any more
                await asyncio.sleep(1.0)
            await asyncio.sleep(EVERY)

    async def _batch(self) -> None:
        nodes = (await asyncio.to_thread(self._ask, f"/api/v1/pools/{CALLED_POOL}/shares"))["nodes"]
        shares = [node["share"] for node in nodes]
        if not any(shares):
            return
        chosen = random.choices(nodes, shares, k=CALLS)
        succeeded = await asyncio.gather(*(_call(node["port"]) for node in chosen))
        ended = time.time()
        tally = Counter((node["id"], success) for node, success in zip(chosen, succeeded, strict=True))
        for node_id in {node["id"] for node in chosen}:
            entry = {"success": tally[node_id, True], "failure": tally[node_id, False], "at": ended}
            await asyncio.to_thread(self._ask, f"/api/v1/nodes/{node_id}/outcomes", {"outcomes": [entry]})

    def _ask(self, path: str, body: Any = None) -> Any:
        request = urllib.request.Request(  # noqa: S310 - the console's own address
            f"{self._console}{path}",
            None if body is None else json.dumps(body).encode(),
            {"Authorization": f"Bearer {self._token}", "Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=5) as answer:  # noqa: S310 - as above
            return json.load(answer)


async def _call(port: int) -> bool:
    """One call of a model; whether it succeeded."""
    try:
        async with asyncio.timeout(TIMEOUT):
            reader, writer = await asyncio.open_connection(HOST, port)
            writer.write(f"GET {CALLS_PATH} HTTP/1.1\r\nHost: {HOST}\r\nAuthorization: Bearer {MODEL_KEY}\r\n\r\n".encode())
            status = (await reader.readline()).split()
            writer.close()
    except (OSError, TimeoutError):
        return False
    return len(status) > 1 and status[1].startswith(b"2")
