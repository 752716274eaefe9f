"""One POST to a webhook, against real servers on loopback that behave badly."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from ipaddress import ip_network

import pytest

from nodes.egress import DeliveryError, Egress, EgressRefusedError, WebhookReply, open_webhook

EGRESS = Egress.for_webhooks([ip_network("127.0.0.0/8")])
SECRET = "/services/T0/B0/very-secret"
Talk = Callable[[socket.socket, bytes, threading.Event], None]


class Server:
    """Takes connections one after another and talks as it is told; `requests` are what arrived."""

    def __init__(self, talk: Talk) -> None:
        self._talk, self._over = talk, threading.Event()
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port = self._socket.getsockname()[1]
        self.requests: list[bytes] = []
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}{SECRET}"

    def _serve(self) -> None:
        while True:
            try:
                peer, _ = self._socket.accept()
            except OSError:
                return
            with peer, contextlib.suppress(OSError):
                self.requests.append(_read(peer))
                self._talk(peer, self.requests[-1], self._over)

    def stop(self) -> None:
        self._over.set()
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self._thread.join(5)


def _read(peer: socket.socket) -> bytes:
    seen = b""
    while b"\r\n\r\n" not in seen and b"POST".startswith(seen[:4]):
        seen += peer.recv(65536) or b"\r\n\r\n"
    head, _, body = seen.partition(b"\r\n\r\n")
    length = next((int(line[15:]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")), 0)
    while len(body) < length and (more := peer.recv(65536)):
        body += more
    return head + b"\r\n\r\n" + body


@pytest.fixture
def serving() -> Iterator[Callable[[Talk], Server]]:
    servers: list[Server] = []

    def serve(talk: Talk) -> Server:
        servers.append(Server(talk))
        return servers[-1]

    yield serve
    for server in servers:
        server.stop()


Serving = Callable[[Talk], Server]


def says(answer: bytes) -> Talk:
    return lambda peer, _, __: peer.sendall(answer)


def post(server: Server, timeout: float = 5.0) -> WebhookReply:
    return open_webhook(EGRESS, server.url, {"Content-Type": "application/json", "X-One": "1"}, b'{"a": 1}', timeout=timeout)


def fails(server: Server, timeout: float = 5.0) -> DeliveryError:
    with pytest.raises(DeliveryError) as failed:
        post(server, timeout)
    assert "127.0.0.1" in str(failed.value)
    assert "secret" not in str(failed.value)
    return failed.value


def test_the_answer_comes_back_with_lower_case_names_and_the_request_arrived_whole(serving: Serving) -> None:
    server = serving(says(b"HTTP/1.1 202 Accepted\r\nRetry-AFTER: 7\r\nContent-Length: 2\r\n\r\nok"))

    reply = post(server)

    assert (reply.status, reply.headers["retry-after"], reply.body) == (202, "7", b"ok")
    head, _, body = server.requests[0].partition(b"\r\n\r\n")
    assert head.startswith(b"POST /services/T0/B0/very-secret HTTP/1.1\r\n")
    assert f"Host: 127.0.0.1:{server.port}".encode() in head
    assert b"X-One: 1" in head
    assert body == b'{"a": 1}'


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_an_answer_and_is_not_followed(serving: Serving, status: int) -> None:
    other = serving(says(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"))
    server = serving(says(f"HTTP/1.1 {status} Go\r\nLocation: {other.url}\r\nContent-Length: 0\r\n\r\n".encode()))

    assert post(server).status == status
    assert other.requests == []


@pytest.mark.parametrize("begin", [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n", b"HTTP/1.1 200 OK\r\n\r\n"])
def test_a_server_that_drips_is_cut_off_when_the_whole_time_is_up(serving: Serving, begin: bytes) -> None:
    def drip(peer: socket.socket, _: bytes, over: threading.Event) -> None:
        peer.sendall(begin)
        while not over.wait(0.05):
            peer.sendall(b"x")

    start = time.monotonic()
    error = fails(serving(drip), timeout=0.4)

    assert error.ambiguous
    assert "within 0.4 s" in str(error)
    assert time.monotonic() - start < 2


def test_a_server_that_says_nothing_is_cut_off(serving: Serving) -> None:
    error = fails(serving(lambda _, __, over: over.wait(10) and None), timeout=0.3)

    assert error.ambiguous


def test_an_endless_body_is_read_up_to_64_kib(serving: Serving) -> None:
    def endless(peer: socket.socket, _: bytes, over: threading.Event) -> None:
        peer.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        while not over.is_set():
            peer.sendall(b"x" * 4096)

    assert post(serving(endless)).body == b"x" * 65536


def test_an_endless_chunked_body_is_read_up_to_64_kib(serving: Serving) -> None:
    def endless(peer: socket.socket, _: bytes, over: threading.Event) -> None:
        peer.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        while not over.is_set():
            peer.sendall(b"1000\r\n" + b"x" * 4096 + b"\r\n")

    assert len(post(serving(endless)).body) == 65536


def test_a_refused_connection_is_not_ambiguous(serving: Serving) -> None:
    server = serving(says(b""))
    server.stop()

    assert not fails(server).ambiguous


def test_a_connection_that_is_reset_after_the_request_is_ambiguous(serving: Serving) -> None:
    def reset(peer: socket.socket, _: bytes, __: threading.Event) -> None:
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    assert fails(serving(reset)).ambiguous


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"SSH-2.0-OpenSSH_9.6\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"A: " + b"x" * 100_000 + b"\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"A: x\r\n" * 1000 + b"\r\n",
    ],
)
def test_an_answer_that_is_none_is_ambiguous(serving: Serving, answer: bytes) -> None:
    assert fails(serving(says(answer))).ambiguous


def test_a_plain_server_where_tls_is_expected_is_not_ambiguous(serving: Serving) -> None:
    server = serving(says(b"HTTP/1.1 400 Bad Request\r\n\r\n"))

    with pytest.raises(DeliveryError, match=r"certificate|TLS") as failed:
        open_webhook(EGRESS, server.url.replace("http:", "https:"), {}, b"", timeout=2)

    assert not failed.value.ambiguous
    assert "secret" not in str(failed.value)


def test_plain_http_goes_only_where_the_list_allows_it() -> None:
    with pytest.raises(EgressRefusedError, match="must be called by https"):
        open_webhook(Egress.for_webhooks([]), "http://8.8.8.8" + SECRET, {}, b"")
    with pytest.raises(EgressRefusedError, match="loopback") as refused:
        open_webhook(Egress.for_webhooks([]), "http://127.0.0.1" + SECRET, {}, b"")
    assert "secret" not in str(refused.value)


def test_an_unknown_name_is_not_ambiguous() -> None:
    with pytest.raises(DeliveryError, match=r"nope\.invalid does not exist") as failed:
        open_webhook(EGRESS, "https://nope.invalid" + SECRET, {}, b"")

    assert not failed.value.ambiguous
