"""Hostile clients, one kind of them at a time, niced: what `flood.py` starts beside itself.

usage: attacks.py KIND HOST:PORT SECONDS CLIENTS [TOKEN]
Each client asks again as soon as it is answered, or holds what it holds; the last line says how often each status was answered.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import resource
import sys
import time
from collections import Counter
from collections.abc import Awaitable, Callable

import uvloop

Dialogue = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[int]]
PAUSE = 0.005  # s after a broken connection


class Attack:
    """The dialogues; each returns the status that ended it."""

    def __init__(self, host: str, token: str) -> None:
        self.host, self.token = host, token
        self.cookies = self.field = ""

    def _ask(self, method: str, path: str, body: str = "", *fields: str) -> bytes:
        lines = [f"{method} {path} HTTP/1.1", f"Host: {self.host}", *fields]
        if body:
            lines += [f"Content-Length: {len(body)}"]
        return ("\r\n".join(lines) + "\r\n\r\n" + body).encode()

    async def _asked(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, given: bytes) -> int:
        writer.write(given)
        return await answer(reader)

    async def logins(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> int:
        """Wrong passwords, with a valid token against forgery."""
        body = f"csrfmiddlewaretoken={self.field}&login=admin&username=admin&password=wrong{time.monotonic_ns()}"
        fields = (f"Cookie: {self.cookies}", "Content-Type: application/x-www-form-urlencoded", f"Origin: http://{self.host}")
        return await self._asked(reader, writer, self._ask("POST", "/accounts/login/", body, *fields))

    async def pages(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> int:
        return await self._asked(
            reader, writer, self._ask("GET", "/accounts/password/", "", f"Cookie: failover-session-{port(self.host)}=x")
        )

    async def dashboards(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> int:
        return await self._asked(reader, writer, self._ask("GET", f"/?q={time.monotonic_ns()}"))

    async def polls(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> int:
        path = "/api/v1/pools/flood/shares?wait=30&epoch=1000000"
        return await self._asked(reader, writer, self._ask("GET", path, "", f"Authorization: Bearer {self.token}"))

    async def shares(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> int:
        wrong = f"Authorization: Bearer fc_{time.monotonic_ns() % 16**16:016x}_nothing"
        return await self._asked(reader, writer, self._ask("GET", "/api/v1/pools/flood/shares", "", wrong))

    async def reports(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> int:
        body = json.dumps({"outcomes": [{"success": 20}]})
        return await self._asked(
            reader, writer, self._ask("POST", "/api/v1/nodes/1/outcomes", body, f"Authorization: Bearer {self.token}")
        )

    async def pushes(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> int:
        return await self._asked(reader, writer, self._ask("POST", f"/push/1/wrong{time.monotonic_ns()}/"))

    async def half_heads(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> int:
        """Half a request, and then nothing."""
        writer.write(f"GET / HTTP/1.1\r\nHost: {self.host}\r\nX-Slow: ".encode())
        return await answer(reader)

    async def long_heads(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> int:
        """A field without end."""
        writer.write(b"GET / HTTP/1.1\r\nX-Long: ")
        for _ in range(1000):
            writer.write(b"x" * 65_536)
            await writer.drain()
        return await answer(reader)

    async def long_addresses(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> int:
        writer.write(b"GET /" + b"a" * 1_000_000)
        await writer.drain()
        return await answer(reader)

    async def bodies(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> int:
        """Bodies without end, to an address that takes one."""
        writer.write(self._ask("POST", "/accounts/login/", "", "Transfer-Encoding: chunked"))
        for _ in range(1000):
            writer.write(b"10000\r\n" + b"x" * 65_536 + b"\r\n")
            await writer.drain()
        return await answer(reader)

    async def sockets(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> int:
        """Handshakes with a session that there is not."""
        fields = (
            "Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
            f"Origin: http://{self.host}", f"Cookie: failover-session-{port(self.host)}=s{time.monotonic_ns()}",
        )  # fmt: skip  # fields of one request
        return await self._asked(reader, writer, self._ask("GET", "/ws/live/?page=dashboard", "", *fields))


KINDS = tuple(name for name in vars(Attack) if not name.startswith("_"))


def port(host: str) -> str:
    return host.rpartition(":")[2]


async def answer(reader: asyncio.StreamReader) -> int:
    """The status of an answer that is read to its end; 0 for none."""
    head = await reader.readuntil(b"\r\n\r\n")
    length = re.search(rb"(?i)content-length: *(\d+)", head)
    if length:
        await reader.readexactly(int(length[1]))
    elif re.search(rb"(?i)transfer-encoding: *chunked", head):
        while size := int(await reader.readline(), 16):
            await reader.readexactly(size + 2)
        await reader.readline()
    return int(head.split(b" ", 2)[1])


async def client(dialogue: Dialogue, host: str, until: float, statuses: Counter[str]) -> None:
    name, _, number = host.rpartition(":")
    while time.monotonic() < until:
        try:
            async with asyncio.timeout_at(asyncio.get_running_loop().time() + until - time.monotonic()):
                reader, writer = await asyncio.open_connection(name, int(number))
                try:
                    while True:
                        statuses[str(await dialogue(reader, writer))] += 1
                finally:
                    writer.transport.abort()
        except TimeoutError:
            return
        except (OSError, asyncio.IncompleteReadError):
            statuses["disconnected"] += 1
            await asyncio.sleep(PAUSE)


async def form(attack: Attack) -> None:
    """Fetch the log-in form once: its cookie and its field."""
    name, _, number = attack.host.rpartition(":")
    reader, writer = await asyncio.open_connection(name, int(number))
    writer.write(f"GET /accounts/login/ HTTP/1.1\r\nHost: {attack.host}\r\nConnection: close\r\n\r\n".encode())
    page = (await reader.read()).decode()
    writer.close()
    attack.cookies = "; ".join(re.findall(r"(?i)set-cookie: ([^;]+)", page))
    attack.field = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', page)[1]  # type: ignore[index]  # else it fails here


async def main(kind: str, host: str, seconds: float, clients: int, token: str) -> None:
    attack, statuses = Attack(host, token), Counter[str]()
    if kind == "logins":
        await form(attack)
    until = time.monotonic() + seconds
    await asyncio.gather(*(client(getattr(attack, kind), host, until, statuses) for _ in range(clients)))
    print(json.dumps(statuses))


if __name__ == "__main__":
    os.nice(10)
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    uvloop.run(main(sys.argv[1], sys.argv[2], float(sys.argv[3]), int(sys.argv[4]), (sys.argv[5:] or [""])[0]))
