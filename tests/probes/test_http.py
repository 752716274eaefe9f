"""The HTTP check against servers that answer well, badly, or not at all."""

from __future__ import annotations

import asyncio
import socket
import tracemalloc
from typing import Any

import pytest

from nodes.egress import Egress
from nodes.engine.enums import Verdict
from nodes.engine.types import Observation
from nodes.probes import probe
from nodes.probes.spec import CheckSpec
from tests.probes.servers import Served, Talk, hang, reply, reset, says, serving

OK = says(reply("200 OK", b"all is well"))


async def ask(egress: Egress, talk: Talk, *, reads: bool = True, **fields: Any) -> tuple[Observation, Served]:
    async with serving(talk, reads=reads) as served:
        spec = CheckSpec("http", host="127.0.0.1", port=served.port, **fields)
        return await probe(spec, egress), served


async def fails(egress: Egress, talk: Talk, **fields: Any) -> str:
    seen, _ = await ask(egress, talk, **fields)
    assert (seen.verdict, seen.latency) == (Verdict.FAIL, None)
    return seen.message


async def test_a_good_answer_passes_and_its_latency_is_measured(egress: Egress) -> None:
    seen, served = await ask(egress, OK, path="/healthz?deep=1")

    assert (seen.verdict, seen.message) == (Verdict.PASS, "")
    assert seen.latency is not None
    assert 0 < seen.latency < 5
    assert seen.ended_at >= seen.started_at
    head = served.requests[0].decode()
    assert head.startswith("GET /healthz?deep=1 HTTP/1.1\r\n")
    assert f"Host: 127.0.0.1:{served.port}\r\n" in head
    assert "Connection: close\r\n" in head


async def test_method_headers_and_body_are_sent_and_ours_cannot_be_overridden(egress: Egress) -> None:
    bodies: list[bytes] = []

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        bodies.append(await reader.readexactly(5))
        writer.write(reply("200 OK"))

    headers = (("Authorization", "Bearer key"), ("Content-Length", "99"), ("User-Agent", "mine"))
    seen, served = await ask(egress, talk, method="POST", headers=headers, body=b"probe")

    assert seen.verdict == Verdict.PASS
    assert bodies == [b"probe"]
    head = served.requests[0].decode()
    assert "Authorization: Bearer key\r\n" in head
    assert "User-Agent: mine\r\n" in head
    assert head.count("Content-Length: 5\r\n") == 1
    assert "Content-Length: 99" not in head


@pytest.mark.parametrize(
    ("status", "expected", "verdict"),
    [
        ("200 OK", "200-299", "pass"),
        ("204 No Content", "200-299", "pass"),
        ("404 Not Found", "200-299", "fail"),
        ("404 Not Found", "200-299, 404", "pass"),
        ("503 Service Unavailable", "200-299", "fail"),
        ("200 OK", "503", "fail"),
        ("301 Moved", "200-299", "fail"),
        ("429 Too Many Requests", "200-299", "warn"),
        ("429 Too Many Requests", "429", "pass"),
    ],
)
async def test_the_set_of_statuses_decides(egress: Egress, status: str, expected: str, verdict: str) -> None:
    seen, _ = await ask(egress, says(reply(status)), expected_status=expected)

    assert seen.verdict == verdict
    if verdict == "fail":
        assert seen.message == f"answered {status[:3]}, expected {expected}"


async def test_an_answer_to_head_has_no_body_to_wait_for(egress: Egress) -> None:
    seen, _ = await ask(egress, says(b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n"), method="HEAD")

    assert seen.verdict == Verdict.PASS


async def test_the_body_must_hold_the_text(egress: Egress) -> None:
    seen, _ = await ask(egress, OK, body_contains="is well")

    assert seen.verdict == Verdict.PASS
    assert await fails(egress, OK, body_contains="is fine") == "answered 200 without the text “is fine”"


async def test_text_in_pieces_and_chunks_is_found(egress: Egress) -> None:
    async def talk(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for piece in (b"HTTP/1.1 200 OK\r\nTransfer-", b"Encoding: chunked\r\n\r\n4\r\nis w\r\n3", b"\r\nell\r\n0\r\n\r\n"):
            writer.write(piece)
            await writer.drain()

    seen, _ = await ask(egress, talk, body_contains="is well")

    assert seen.verdict == Verdict.PASS


async def test_a_slow_answer_is_a_warning(egress: Egress) -> None:
    seen, _ = await ask(egress, OK, degraded_latency=0.0)

    assert seen.verdict == Verdict.WARN
    assert seen.message.startswith("slow: ")
    assert seen.latency is not None


async def test_a_redirect_is_followed_when_told_to(egress: Egress) -> None:
    async with serving(OK) as goal:
        away = says(reply("302 Found", b"", f"Location: http://127.0.0.1:{goal.port}/there"))
        seen, _ = await ask(egress, away, follow_redirects=True, headers=(("Authorization", "Bearer key"),), method="POST")

    assert seen.verdict == Verdict.PASS
    assert goal.requests[0].startswith(b"GET /there HTTP/1.1")
    assert b"Authorization" not in goal.requests[0]


async def test_a_redirect_on_the_same_server_keeps_its_headers(egress: Egress) -> None:
    async def talk(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(reply("200 OK") if served.requests[-1].startswith(b"GET /b ") else reply("307 Go", b"", "Location: /b"))

    async with serving(talk) as served:
        spec = CheckSpec("http", "127.0.0.1", served.port, path="/a", follow_redirects=True, headers=(("X-Key", "1"),))
        seen = await probe(spec, egress)

    assert seen.verdict == Verdict.PASS
    assert b"X-Key: 1" in served.requests[1]


async def test_redirects_in_a_circle_end(egress: Egress) -> None:
    assert (
        await fails(egress, says(reply("302 Found", b"", "Location: /")), follow_redirects=True) == "redirected more than 3 times"
    )


@pytest.mark.parametrize("location", ["http://169.254.169.254/latest/meta-data/", "http://[fd00:ec2::254]/", "http://0.0.0.0/"])
async def test_a_redirect_to_a_forbidden_address_is_not_followed_and_fails(egress: Egress, location: str) -> None:
    message = await fails(egress, says(reply("302 Found", b"", f"Location: {location}")), follow_redirects=True)

    assert message.startswith("redirected to where it may not: ")


async def test_a_redirect_to_a_long_address_is_not_followed_and_not_kept(egress: Egress) -> None:
    away = says(reply("302 Found", b"", "Location: /" + "x" * 4095))
    far = says(reply("302 Found", b"", "Location: /" + "x" * 4096))

    assert await fails(egress, away, follow_redirects=True) == "redirected more than 3 times"
    assert await fails(egress, far, follow_redirects=True) == "redirected to an address of 4097 bytes, at most 4096 are followed"


async def test_what_a_node_redirects_to_stays_in_no_cache(egress: Egress) -> None:
    async def away(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(reply("302 Found", b"", f"Location: /{len(served.requests)}" + "x" * 4000))

    async with serving(away) as served:
        spec = CheckSpec("http", "127.0.0.1", served.port, follow_redirects=True)
        for _ in range(60):  # the standard library keeps some of what it took apart
            await probe(spec, egress)
        tracemalloc.start()
        for _ in range(120):
            await probe(spec, egress)
        held = sum(
            trace.size for trace in tracemalloc.take_snapshot().filter_traces([tracemalloc.Filter(True, "*/nodes/*")]).traces
        )
        tracemalloc.stop()

    assert held < 1_000_000  # 360 addresses of 4 KB with their requests would be 3 MB


@pytest.mark.parametrize("location", ["ftp://example.com/", "http://user:pw@example.com/", "http://a b/"])
async def test_a_redirect_to_no_address_fails(egress: Egress, location: str) -> None:
    away = says(reply("302 Found", b"", f"Location: {location}"))

    assert await fails(egress, away, follow_redirects=True) == "redirected to an address that is none"


async def test_nobody_who_listens_is_told_as_refused(egress: Egress) -> None:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))  # held, but nobody listens
        seen = await probe(CheckSpec("http", "127.0.0.1", held.getsockname()[1]), egress)

    assert (seen.verdict, seen.message, seen.latency) == (Verdict.FAIL, "connection refused", None)


async def test_a_server_that_hangs_fails_when_the_time_is_up(egress: Egress) -> None:
    assert await fails(egress, hang, timeout=0.1) == "no answer within 0.1 s"


async def test_a_body_that_never_comes_fails_when_the_time_is_up(egress: Egress) -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf")
        await hang(reader, writer)

    assert await fails(egress, talk, timeout=0.1) == "answered 200, but the answer did not end within 0.1 s"


async def test_a_reset_fails(egress: Egress) -> None:
    assert await fails(egress, reset) in ("connection reset", "the connection was closed without an answer")


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (b"", "the connection was closed without an answer"),
        (b"HTTP/1.1 200 OK\r\nContent-", "the answer ended half way"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf", "the answer ended half way"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel", "the answer ended half way"),
        (b"SSH-2.0-OpenSSH_9.6\r\n", "the answer is no HTTP, it begins with “SSH-2.0-OpenSSH_9.6”"),
        (b"\x00\xff" * 50, "the answer is no HTTP"),
        (
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
            "the answer is broken HTTP: the size of a chunk is no number",
        ),
        (b"HTTP/1.1 200 OK\r\nX: " + b"x" * 20_000 + b"\r\n\r\n", "the headers of the answer are too long"),
        (b"HTTP/1.1 200 OK\r\n" + b"X: x\r\n" * 20_000 + b"\r\n", "the answer has more than 256 header fields"),
    ],
)
async def test_half_an_answer_and_garbage_are_told_apart(egress: Egress, answer: bytes, message: str) -> None:
    assert await fails(egress, says(answer)) == message


async def test_an_answer_without_a_length_ends_with_the_connection(egress: Egress) -> None:
    seen, _ = await ask(egress, says(b"HTTP/1.1 200 OK\r\n\r\nall is well"), body_contains="well")

    assert seen.verdict == Verdict.PASS


async def test_an_endless_body_is_read_to_a_bound_and_passes(egress: Egress) -> None:
    async def talk(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        while True:
            writer.write(b"x" * 65536)
            await writer.drain()

    seen, _ = await ask(egress, talk)

    assert seen.verdict == Verdict.PASS
    assert await fails(egress, talk, body_contains="y") == "answered 200 without the text “y”"


async def test_a_plain_server_where_tls_is_expected_is_told(egress: Egress) -> None:
    message = await fails(egress, says(b"HTTP/1.1 400 Bad Request\r\n\r\n"), tls=True, reads=False)

    assert message.startswith("TLS failed: ")


async def test_what_a_server_says_reaches_the_history_as_one_line(egress: Egress) -> None:
    assert await fails(egress, OK, body_contains="a\nb\x00c\u2028d") == "answered 200 without the text “a b c d”"
