"""Answers without end, of every kind we know, over real sockets: each is a failure with a sentence, and none is read to its end."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import pytest
import uvloop

from nodes.egress import Egress
from nodes.engine.enums import Verdict
from nodes.engine.types import Observation
from nodes.probes import answer, probe
from nodes.probes.spec import CheckSpec
from tests.probes.floods import CHUNKED, FIELDS, FLOODS, LONG
from tests.probes.servers import Authority, Talk, reply, says, serving


@contextmanager
def pouring(begins: bytes, repeated: bytes) -> Iterator[tuple[int, Callable[[], int]]]:
    """A server in a thread that begins so and goes on as fast as it is read, to 50 MB; its port, and what was taken of it."""
    taken = [0]
    block = repeated * (65_536 // len(repeated) + 1)

    def serve() -> None:
        with suppress(OSError):
            connection, _ = listening.accept()
            with connection:
                connection.recv(65_536)
                connection.sendall(begins)
                while taken[0] < 50_000_000:
                    taken[0] += connection.send(block)

    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=serve)
        thread.start()
        yield listening.getsockname()[1], lambda: taken[0]
        with suppress(OSError):
            listening.shutdown(socket.SHUT_RDWR)
        thread.join()


@pytest.fixture(params=["asyncio", "uvloop"])
def run(request: pytest.FixtureRequest) -> Callable[[Coroutine[Any, Any, Observation]], Observation]:
    """By either loop: the runner's is uvloop."""

    def run(asking: Coroutine[Any, Any, Observation]) -> Observation:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop if request.param == "uvloop" else None) as runner:
            return runner.run(asking)

    return run


@pytest.mark.parametrize("kind", FLOODS)
def test_an_answer_without_end_fails_with_a_sentence_and_is_not_read_on(
    egress: Egress, run: Callable[[Coroutine[Any, Any, Observation]], Observation], kind: str
) -> None:
    begins, repeated, sentence = FLOODS[kind]
    with pouring(begins, repeated) as (port, taken):
        seen = run(probe(CheckSpec("http", "127.0.0.1", port, timeout=30.0), egress))

    assert (seen.verdict, seen.message) == (Verdict.FAIL, sentence)
    assert taken() < 20_000_000  # what was read, and what the system's buffers took


def test_chunks_of_a_byte_are_too_long_or_take_too_long(egress: Egress, run: Callable[..., Observation]) -> None:
    with pouring(CHUNKED, b"1\r\nx\r\n") as (port, _):
        seen = run(probe(CheckSpec("http", "127.0.0.1", port, timeout=30.0), egress))

    assert seen.verdict == Verdict.FAIL
    assert seen.message in (LONG, "the answer takes longer than 5 ms to take apart")


async def test_within_tls_it_is_the_same(egress: Egress, authority: Authority) -> None:
    async def talk(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(CHUNKED + b"0\r\n")
        while True:
            writer.write(b"a: b\r\n" * 1000)
            await writer.drain()

    async with serving(talk, tls=authority.server()) as served:
        seen = await probe(CheckSpec("http", "127.0.0.1", served.port, tls=True, timeout=30.0), egress)

    assert (seen.verdict, seen.message) == (Verdict.FAIL, FIELDS)


async def test_one_that_takes_the_parser_too_long_fails(egress: Egress, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(answer, "MOST_PARSING", 0.00005)

    seen = await _ask(egress, says(CHUNKED + b"1\r\nx\r\n" * 8000 + b"0\r\n\r\n"))

    assert (seen.verdict, seen.message) == (Verdict.FAIL, "the answer takes longer than 0.05 ms to take apart")


async def test_one_that_comes_byte_by_byte_fails(egress: Egress, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(answer, "MOST_READS", 20)

    async def talk(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for byte in b"HTTP/1.1 200 OK\r\nX: " + b"x" * 1000 + b"\r\n\r\n":
            writer.write(bytes([byte]))
            await writer.drain()
            await asyncio.sleep(0)

    seen = await _ask(egress, talk)

    assert (seen.verdict, seen.message) == (Verdict.FAIL, "the answer comes in more than 20 pieces")


@pytest.mark.parametrize(
    "good",
    [
        b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\nContent-Length: 7\r\nLocation: /hint\r\n\r\n" * 8
        + b"HTTP/1.1 200 OK\r\n\r\nwell",
        b"HTTP/1.1 200 OK\r\n" + b"a: b\r\n" * 254 + b"Transfer-Encoding: chunked\r\n\r\n4\r\nwell\r\n0\r\na: b\r\n\r\n",
        CHUNKED + b"".join(b"%x;ext=1\r\n%s\r\n" % (1000, b"x" * 1000) for _ in range(40)) + b"4\r\nwell\r\n0\r\n\r\n",
        reply("200 OK", b"x" * 60_000 + b"well", "X: " + "x" * 15_000),
    ],
    ids=["interim answers", "many fields", "chunks with extensions", "a long body behind a long head"],
)
async def test_what_is_long_and_within_the_budget_passes(egress: Egress, good: bytes) -> None:
    seen = await _ask(egress, says(good), body_contains="well")

    assert (seen.verdict, seen.message) == (Verdict.PASS, "")


async def _ask(egress: Egress, talk: Talk, **fields: Any) -> Observation:
    async with serving(talk) as served:
        return await probe(CheckSpec("http", "127.0.0.1", served.port, **fields), egress)
