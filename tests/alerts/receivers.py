"""Receivers on loopback that misbehave as real ones do, one behaviour each, on real sockets."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
from collections.abc import Callable, Iterator

_ENOUGH = 10  # s after which a receiver that hangs lets go, so that no test can


def reply(status: str, body: bytes = b"", *headers: str) -> bytes:
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", "Connection: close", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def _read_request(connection: socket.socket) -> None:
    connection.settimeout(_ENOUGH)
    seen = b""
    while b"\r\n\r\n" not in seen:
        seen += _some(connection)
    head, _, body = seen.partition(b"\r\n\r\n")
    length = next((int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")), 0)
    while len(body) < length:
        body += _some(connection)


def _some(connection: socket.socket) -> bytes:
    received = connection.recv(65536)
    if not received:
        raise ConnectionResetError
    return received


Behaviour = Callable[[socket.socket, threading.Event], None]


def answers(content: bytes) -> Behaviour:
    return lambda connection, _: connection.sendall(content)


def hangs(connection: socket.socket, over: threading.Event) -> None:
    over.wait(_ENOUGH)


def resets(connection: socket.socket, over: threading.Event) -> None:
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def never_ends(connection: socket.socket, over: threading.Event) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
    while not over.is_set():
        connection.sendall(b"x" * 65536)


def closes_in_the_middle(connection: socket.socket, over: threading.Event) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Le")


@contextlib.contextmanager
def receiver(behaviour: Behaviour) -> Iterator[str]:
    """The address of a server that treats every request with `behaviour`."""
    over = threading.Event()
    server = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        while not over.is_set():
            with contextlib.suppress(OSError):
                connection, _ = server.accept()
                with connection:
                    _read_request(connection)
                    behaviour(connection, over)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.getsockname()[1]}/hook/s3cr3tcanary"
    finally:
        over.set()
        with contextlib.suppress(OSError), socket.create_connection(server.getsockname(), 1):
            pass
        server.close()
        thread.join(_ENOUGH)
