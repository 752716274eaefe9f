"""Just enough of an HTTP server for the demo: a server that must really refuse, hang and answer badly is none a library offers."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from urllib.parse import parse_qs, urlsplit

MAX_HEAD = 16 * 1024  # bytes
MAX_BODY = 600 * 1024  # bytes, above PagerDuty's 512 KB so that the receiver can refuse by its own rule
TIMEOUT = 15.0  # s for a request to arrive


@dataclass(frozen=True, slots=True)
class Request:
    """One request; header names in lower case."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def query(self) -> dict[str, str]:
        return {name: given[-1] for name, given in parse_qs(urlsplit(self.path).query).items()}

    @property
    def form(self) -> dict[str, str]:
        return {name: given[-1] for name, given in parse_qs(self.body.decode("utf-8", "replace")).items()}

    @property
    def from_own_page(self) -> bool:
        """No other site's page sent it; programs send no Origin."""
        origin = self.headers.get("origin")
        return origin is None or urlsplit(origin).netloc == self.headers.get("host", "")


@dataclass(frozen=True, slots=True)
class Response:
    status: int = 200
    body: bytes = b""
    content_type: str = "text/plain; charset=utf-8"
    headers: Mapping[str, str] = field(default_factory=dict)


Handler = Callable[[Request], Awaitable[Response | None]]  # None: hang up without a word


async def serve(bound: socket.socket, handler: Handler) -> asyncio.Server:
    """Listen on a socket that is bound; each connection carries one request.  The server closes the socket."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, TimeoutError, ValueError):
            async with asyncio.timeout(TIMEOUT):
                request = await _read(reader)
            response = await handler(request)
            if response is not None:
                writer.write(_bytes(response, head=request.method == "HEAD"))
                await writer.drain()
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()

    return await asyncio.start_server(talk, sock=bound, limit=MAX_HEAD)


async def _read(reader: asyncio.StreamReader) -> Request:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    first, *lines = head.rstrip("\r\n").split("\r\n")
    method, path, _ = first.split(" ", 2)
    headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    length = min(int(headers.get("content-length", 0)), MAX_BODY)
    return Request(method, path, headers, await reader.readexactly(length) if length else b"")


def _bytes(response: Response, *, head: bool) -> bytes:
    reason = HTTPStatus(response.status).phrase
    headers = {
        "Content-Type": response.content_type,
        "Content-Length": str(len(response.body)),
        "Connection": "close",
        **response.headers,
    }
    lines = [f"HTTP/1.1 {response.status} {reason}", *(f"{name}: {value}" for name, value in headers.items()), "", ""]
    return "\r\n".join(lines).encode("latin-1") + (b"" if head else response.body)


def see_other(path: str) -> Response:
    """Back to a page after a form."""
    return Response(303, headers={"Location": path})
