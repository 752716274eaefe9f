"""Answers that come in pieces, by threads, and together: what is expected is decided the same."""

from __future__ import annotations

import asyncio
import zlib
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from nodes.egress import Egress
from nodes.engine.types import Observation
from nodes.probes import probe
from nodes.probes.spec import CheckSpec
from tests.probes.odd_answers import raw_deflate
from tests.probes.servers import reply, says, serving


async def in_pieces(egress: Egress, *pieces: bytes, **fields: Any) -> tuple[str, str]:
    async def talk(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(0.02)  # so that each is read by itself

    async with serving(talk) as served:
        found = await probe(CheckSpec("http", "127.0.0.1", served.port, **fields), egress)
    return found.verdict.value, found.message


HEAD = b"HTTP/1.1 200 OK\r\n\r\n"


@pytest.mark.parametrize("pattern", ["status: ok$", r"status: ok\b(?!-)", r"(?s)\A(?!.*ish).*ok", r"ok\Z"])
async def test_what_comes_later_may_undo_a_match(egress: Egress, pattern: str) -> None:
    verdict, _ = await in_pieces(egress, HEAD, b"status: ok", b"-ish", body_matches=pattern)
    assert verdict == "fail"


@pytest.mark.parametrize("packed", [raw_deflate(b"all is well"), zlib.compress(b"all is well")])
async def test_compressed_pieces_may_be_of_a_byte(egress: Egress, packed: bytes) -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Encoding: deflate\r\n\r\n"
    assert await in_pieces(egress, head, packed[:1], packed[1:2], packed[2:], body_contains="all is well") == ("pass", "")


def test_two_loops_of_one_process_do_not_mix_their_answers(egress: Egress) -> None:
    async def ask(letter: str) -> list[Observation]:
        other = "B" if letter == "A" else "A"
        async with serving(says(reply("200 OK", letter.encode() * 3000))) as served:
            spec = CheckSpec("http", "127.0.0.1", served.port, body_excludes=other)
            return [await probe(spec, egress) for _ in range(300)]

    with ThreadPoolExecutor(2) as threads:
        found = list(threads.map(lambda letter: asyncio.run(ask(letter)), "AB"))
    assert {(each.verdict.value, each.message) for seen in found for each in seen} == {("pass", "")}
