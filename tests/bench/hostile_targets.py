"""Nodes that answer strangely, for `hostile.py`, in a process of their own: the path's number chooses how.

Each kind is cheap to serve: little is buffered, so that only what is read is written.

usage: python tests/bench/hostile_targets.py PORT
"""

from __future__ import annotations

import asyncio
import re
import socket
import sys
from pathlib import Path
from typing import cast

import uvloop

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.probes.floods import CHUNKED, FLOODS

BLOCK = 16 * 1024  # bytes written at once
SENT = 64 * 1024  # bytes that the system takes of a connection
DRIP = 0.01  # s between bytes
_AWAY = b"HTTP/1.1 302 Found\r\nContent-Length: 0\r\nLocation: "

# how it begins, what is repeated as fast as it is read
KINDS: list[tuple[bytes, bytes]] = [(begins, repeated * (BLOCK // len(repeated) + 1)) for begins, repeated, _ in FLOODS.values()]
KINDS += [
    (CHUNKED, b"1\r\nx\r\n" * 2000),  # chunks of a byte
    (b"HTTP/1.1 200 OK\r\n\r\n", b"x" * BLOCK),  # a body without end, which passes
    (_AWAY + b"/" + b"x" * 15_000 + b"\r\n\r\n", b""),
    (_AWAY + b"/h%d?" % (len(FLOODS) + 3) + b"x" * 4000 + b"\r\n\r\n", b""),  # in a circle
    (_AWAY + b"http://169.254.169.254/\r\n\r\n", b""),
    (b"\x16\x03\x01" * 1000, b"\x00" * BLOCK),  # no HTTP
    (b"", b""),  # it hangs
]
_DRIPS = len(KINDS)  # one kind more: a header, byte by byte


class Hostile(asyncio.Protocol):
    """One connection; what is repeated goes on whenever the other side has read."""

    _repeated = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's are no subclass of asyncio's
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SENT)
        self._transport.set_write_buffer_limits(high=BLOCK)

    def data_received(self, data: bytes) -> None:
        asked = re.match(rb"GET /h(\d+)", data)
        number = int(asked[1]) if asked else 0
        if number % (len(KINDS) + 1) == _DRIPS:
            self._transport.write(b"HTTP/1.1 200 OK\r\nX: ")
            self._drip()
            return
        begins, self._repeated = KINDS[number % (len(KINDS) + 1)]
        self._transport.write(begins)
        self._pour()

    def resume_writing(self) -> None:
        self._pour()

    def _pour(self) -> None:
        while self._repeated and not self._transport.is_closing() and not self._transport.get_write_buffer_size():
            self._transport.write(self._repeated)

    def _drip(self) -> None:
        if not self._transport.is_closing():
            self._transport.write(b"x")
            asyncio.get_running_loop().call_later(DRIP, self._drip)


async def main(port: int) -> None:
    server = await asyncio.get_running_loop().create_server(Hostile, "127.0.0.1", port, backlog=1024)
    print("ready", flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    if "--help" in sys.argv or len(sys.argv) != 2:
        sys.exit(__doc__)
    uvloop.run(main(int(sys.argv[1])))
