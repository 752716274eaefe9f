"""HTTP targets for the benches, in a process of their own: every path answers 200 until `POST /fail/<path>` says otherwise.

usage: python tests/bench/targets.py PORT [PORT ...]
"""

from __future__ import annotations

import asyncio
import sys
from typing import cast

import uvloop

_GOOD = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok"
_BAD = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
_failing: set[bytes] = set()


class Target(asyncio.Protocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's are no subclass of asyncio's

    def data_received(self, data: bytes) -> None:
        method, path, _ = data.split(b" ", 2)
        if method == b"POST":
            _, act, rest = path.split(b"/", 2)
            (_failing.add if act == b"fail" else _failing.discard)(b"/" + rest)
        self._transport.write(_BAD if method == b"GET" and path in _failing else _GOOD)
        self._transport.close()


async def main(ports: list[int]) -> None:
    loop = asyncio.get_running_loop()
    servers = [await loop.create_server(Target, "127.0.0.1", port, backlog=1024) for port in ports]
    print("ready", flush=True)
    await asyncio.gather(*(server.serve_forever() for server in servers))


if __name__ == "__main__":
    if "--help" in sys.argv or len(sys.argv) < 2:
        sys.exit(__doc__)
    uvloop.run(main([int(port) for port in sys.argv[1:]]))
