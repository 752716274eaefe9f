"""The server's limits, over real sockets: what a client may send, and for how long it may keep a connection."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from typing import Any

import pytest
import uvicorn
from django.conf import settings
from hypothesis import given
from hypothesis import strategies as st

from failover_console.guard import connections, refusals
from failover_console.guard.connections import GuardedProtocol, Limits
from failover_console.guard.requests import REFUSED
from tests.product import eventually

PATIENCE = 10  # s
SHORT = 0.3  # s
REFUSALS = {"/refused": 403, "/missing": 404}
FLOOD = 2 * 1024 * 1024  # bytes


told = threading.Event()


class Brief(GuardedProtocol):
    """With the product's limits, but those of time."""

    limits = Limits(head_seconds=SHORT, body_seconds=SHORT, unread_seconds=SHORT, pause=SHORT)


async def application(scope: Any, receive: Any, send: Any) -> None:
    """`/large` answers much, `/held` never, `/told` once it is told to, those of `REFUSALS` as the guard refuses, all else with
    the length of the body."""
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.accept"})
        return
    size, more = 0, True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            return
        size, more = size + len(message["body"]), message["more_body"]
    if scope["path"] in REFUSALS:
        scope["state"][REFUSED] = REFUSALS[scope["path"]]
    while scope["path"] == "/held":
        if (await receive())["type"] == "http.disconnect":
            return
    if scope["path"] == "/told":
        await asyncio.to_thread(told.wait, PATIENCE)
    await send({"type": "http.response.start", "status": 200, "headers": []})
    body = b"x" * 64 * FLOOD if scope["path"] == "/large" else str(size).encode()
    await send({"type": "http.response.body", "body": body})


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    """A server with our protocol and our way of accepting connections."""
    config = uvicorn.Config(
        application, host="127.0.0.1", port=0, http=Brief, loop="failover_console.guard.accepting:new_loop", lifespan="off",
        log_config=None, access_log=False, timeout_graceful_shutdown=1,
    )  # fmt: skip  # options
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    eventually(lambda: server.started, PATIENCE, "the server serves")
    yield server.servers[0].sockets[0].getsockname()[1]
    server.should_exit = True
    thread.join(PATIENCE)
    assert not thread.is_alive()


def connected(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), timeout=PATIENCE)


def said(connection: socket.socket) -> bytes:
    """All that is answered until the server hangs up."""
    parts = []
    with suppress(ConnectionResetError, BrokenPipeError):
        while part := connection.recv(65_536):
            parts.append(part)
    return b"".join(parts)


def asked(port: int, *parts: bytes) -> bytes:
    with connected(port) as connection:
        with suppress(ConnectionResetError, BrokenPipeError):
            for part in parts:
                connection.sendall(part)
        return said(connection)


def closing(path: str = "/", *fields: str) -> bytes:
    return "\r\n".join([f"GET {path} HTTP/1.1", "Host: x", "Connection: close", *fields, "", ""]).encode()


def test_a_request_within_the_limits_is_answered(port: int) -> None:
    fields = [f"X-{number}: {'v' * 200}" for number in range(Limits().fields - 2)]
    answer = asked(port, closing("/" + "a" * 8000, *fields))
    assert answer.startswith(b"HTTP/1.1 200")
    body = b"POST / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"
    assert asked(port, body).endswith(b"1\r\n5\r\n0\r\n\r\n")


@pytest.mark.parametrize(
    ("parts", "status"),
    [
        ([closing("/", *[f"X-{number}: v" for number in range(Limits().fields)])], b"431"),
        ([b"GET / HTTP/1.1\r\nX: ", b"v" * FLOOD], b"431"),
        ([b"GET / HTTP/1.1\r\n" + b"v" * FLOOD], b"431"),
        ([b"GET / HTTP/1.1\r\n", *[b"X: y\r\n" * 100] * 100], b"431"),
        ([b"GET /" + b"a" * 9000 + b" HTTP/1.1\r\n\r\n"], b"414"),
        ([b"GET /", b"a" * FLOOD], b"414"),
        ([b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n5;", *[b"x" * FLOOD] * 4], b"4"),
        ([b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n", *[b"0" * FLOOD] * 4], b"4"),
        ([b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n", b"X: y\r\n" * 200], b"4"),
        ([b"\x16\x03\x01\x02\x00"], b"400"),
        ([b"GET / HTTP/9.9\r\n\r\n"], b"400"),
    ],
    ids=["fields", "a long value", "a long name", "fields without end", "a long address", "an address without end", "an extension",
         "zeros", "trailers", "TLS", "a version"],
)  # fmt: skip  # cases, then their names
def test_a_request_beyond_a_limit_is_ended(port: int, parts: list[bytes], status: bytes) -> None:
    answer = asked(port, *parts)
    assert answer == b"" or answer.startswith(b"HTTP/1.1 " + status), answer[:200]
    assert asked(port, closing()).startswith(b"HTTP/1.1 200")


@pytest.mark.parametrize(
    "parts",
    [
        [],
        [b"GET / HT"],
        [b"GET / HTTP/1.1\r\nHost: x\r\nX-Slow: "],
        [b"POST / HTTP/1.1\r\nContent-Length: 10\r\n\r\nhalf"],
        [closing().replace(b"close", b"keep-alive"), b"GET /again HTTP/1.1\r\nHo"],
    ],
    ids=["nothing", "half a line", "half a head", "half a body", "half a second request"],
)
def test_half_a_request_is_not_kept(port: int, parts: list[bytes]) -> None:
    answer = asked(port, *parts)
    assert b"HTTP/1.1 408" in answer or answer == b""


def test_who_reads_nothing_of_an_answer_is_disconnected(port: int) -> None:
    before = refusals.counts["connections", "reads nothing"]
    with connected(port) as connection:
        connection.sendall(closing("/large"))
        eventually(lambda: refusals.counts["connections", "reads nothing"] > before, PATIENCE, "it is noticed")
        assert len(said(connection)) < 64 * FLOOD


def test_who_reads_slowly_is_not(port: int) -> None:
    before = refusals.counts["connections", "reads nothing"]
    with socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65_536)  # else the system takes much at once
        connection.settimeout(PATIENCE)
        connection.connect(("127.0.0.1", port))
        connection.sendall(closing("/large"))
        for _ in range(20):
            taken = 0
            while taken < FLOOD // 8:
                taken += len(part := connection.recv(FLOOD // 8))
                assert part
            threading.Event().wait(SHORT / 6)  # the client's own pace
        assert refusals.counts["connections", "reads nothing"] == before


def test_who_leaves_before_the_answers_leaves_no_traceback(port: int, caplog: pytest.LogCaptureFixture) -> None:
    told.clear()
    for _ in range(20):
        with connected(port) as connection:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # it resets
            connection.sendall(closing("/told").replace(b"close", b"keep-alive") * 8)
    told.set()
    assert asked(port, closing()).startswith(b"HTTP/1.1 200")
    assert [record.getMessage() for record in caplog.records if record.exc_info] == []


def test_a_socket_is_opened_also_behind_a_request(port: int) -> None:
    key = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="
    handshake = closing("/ws", key, "Sec-WebSocket-Version: 13", "Upgrade: websocket").replace(b"close", b"Upgrade")
    for before in ((), (closing("/").replace(b"close", b"keep-alive"),)):
        with connected(port) as connection:
            for part in (*before, handshake):
                connection.sendall(part)
                status = connection.recv(1000)
            assert status.startswith(b"HTTP/1.1 101 ")


def test_requests_behind_one_another_are_answered_in_order_and_bounded(port: int) -> None:
    few = closing("/").replace(b"close", b"keep-alive") * 5 + closing()
    assert asked(port, few).count(b"HTTP/1.1 200") == 6
    many = closing("/").replace(b"close", b"keep-alive") * 200
    assert asked(port, many).count(b"HTTP/1.1 200") < 50


def test_after_a_refusal_the_connection_is_not_read_for_a_while(port: int) -> None:
    with connected(port) as connection:
        for _ in range(2):
            connection.sendall(closing("/refused").replace(b"close", b"keep-alive"))
            assert connection.recv(1000).startswith(b"HTTP/1.1 200")
        connection.sendall(closing())
        connection.settimeout(SHORT)  # the second pause is twice as long as the first
        with pytest.raises(TimeoutError):
            connection.recv(1000)
        connection.settimeout(PATIENCE)
        assert said(connection).startswith(b"HTTP/1.1 200")


def test_a_byte_of_the_next_request_ends_no_pause(port: int) -> None:
    request = closing("/refused").replace(b"close", b"keep-alive")
    with connected(port) as connection:
        connection.sendall(request + request[:1])
        assert connection.recv(1000).startswith(b"HTTP/1.1 200")
        connection.sendall(request[1:])
        connection.settimeout(SHORT / 2)
        with pytest.raises(TimeoutError):
            connection.recv(1000)


def test_whoever_was_welcome_waits_once_and_follows_an_old_link_at_once(port: int) -> None:
    with connected(port) as connection:
        for path in ("/", "/missing", "/", "/refused", "/", "/refused", "/refused", "/"):
            connection.sendall(closing(path).replace(b"close", b"keep-alive"))
            assert connection.recv(1000).startswith(b"HTTP/1.1 200"), path
            connection.settimeout(SHORT * 2 if path == "/refused" else SHORT)  # twice the pause, or none


@pytest.fixture
def behind_a_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settings, "TRUSTED_PROXIES", [ipaddress.ip_network("127.0.0.0/8")])


def test_a_proxy_is_read_on_whatever_one_of_its_clients_is_answered(port: int, behind_a_proxy: None) -> None:
    with connected(port) as connection:
        connection.settimeout(SHORT)
        for _ in range(4):
            connection.sendall(closing("/refused").replace(b"close", b"keep-alive"))
            assert connection.recv(1000).startswith(b"HTTP/1.1 200")


_LINES = st.sampled_from(
    b"GET / HTTP/1.1|POST /x HTTP/1.0|Host: x|Content-Length: 3|Content-Length: -1|Upgrade: websocket|Transfer-Encoding: chunked|"
    b"Connection: upgrade|Expect: 100-continue||0|5;a=b|\x00".split(b"|")
)


@given(st.lists(st.one_of(_LINES, st.binary(max_size=30)), max_size=12).map(b"\r\n".join))
def test_nothing_that_is_sent_is_a_fault_of_ours(port: int, given_bytes: bytes) -> None:
    with connected(port) as connection:
        connection.sendall(given_bytes)
        connection.shutdown(socket.SHUT_WR)
        answer = said(connection)
    assert b" 500 " not in answer.partition(b"\r\n")[0]
    assert asked(port, closing()).startswith(b"HTTP/1.1 200")


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setattr(settings, "MAX_CONNECTIONS_PER_ADDRESS", 4)
    return 4


def test_a_new_connection_takes_the_place_of_the_oldest_that_waits_for_a_head(port: int, few: int) -> None:
    eventually(lambda: connections.connections() == 0, PATIENCE, "all others have left")
    with ExitStack() as held:
        idle = [held.enter_context(connected(port)) for _ in range(few)]
        eventually(lambda: connections.connections() == few, PATIENCE, "they are taken")
        assert asked(port, closing()).startswith(b"HTTP/1.1 200")
        assert said(idle[0]) == b""
        assert connections.connections() <= few


@pytest.mark.parametrize(
    "kept",
    [
        b"POST / HTTP/1.1\r\nContent-Length: 1\r\n\r\n",
        b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n",
        closing("/refused").replace(b"close", b"keep-alive"),
    ],
    ids=["body", "chunk", "refused"],
)
def test_a_new_connection_takes_the_place_of_one_whose_body_does_not_come_or_that_was_refused(
    port: int, few: int, kept: bytes
) -> None:
    eventually(lambda: connections.connections() == 0, PATIENCE, "all others have left")
    with ExitStack() as held:
        for each in [held.enter_context(connected(port)) for _ in range(few)]:
            each.sendall(kept)
        eventually(lambda: connections.connections() == connections.waiting() == few, PATIENCE, "they are taken, and wait")
        assert asked(port, closing()).startswith(b"HTTP/1.1 200")
        assert connections.connections() <= few


def test_beyond_what_an_address_may_hold_a_connection_is_refused(port: int, few: int) -> None:
    eventually(lambda: connections.connections() == 0, PATIENCE, "all others have left")
    with ExitStack() as held:
        for each in [held.enter_context(connected(port)) for _ in range(few)]:
            each.sendall(closing("/held"))
        eventually(lambda: connections.waiting() == 0 and connections.connections() == few, PATIENCE, "they are taken")
        answer = asked(port, closing())
        assert answer.startswith(b"HTTP/1.1 503")
        assert b"retry-after" in answer
    assert asked(port, closing()).startswith(b"HTTP/1.1")
