"""Answers that come in pieces, and in several threads: what is expected is decided the same."""

from __future__ import annotations

import asyncio
import zlib
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

import pytest

from nodes.probes.answer import Answer
from nodes.probes.body import Body
from nodes.probes.spec import CheckSpec
from tests.probes.odd_answers import raw_deflate


def in_pieces(*pieces: bytes, coding: bytes = b"", **fields: Any) -> Body:
    """A body of which these pieces came, and nothing more; one that was decided reads no further."""
    body = Body(CheckSpec("http", **fields))
    body.begin(coding, b"")
    for piece in pieces:
        if body.add(piece):
            break
    body.end()
    return body


@pytest.mark.parametrize("pattern", ["status: ok$", r"status: ok\b(?!-)", r"(?s)\A(?!.*ish).*ok", r"ok\Z"])
def test_what_comes_later_may_undo_a_match(pattern: str) -> None:
    assert in_pieces(b"status: ok", body_matches=pattern).matched
    assert not in_pieces(b"status: ok", b"-ish", body_matches=pattern).matched


def test_a_match_that_nothing_undoes_ends_the_reading() -> None:
    assert bytes(in_pieces(b"status: ok", b"-ish", body_matches="ok").data) == b"status: ok"


@pytest.mark.parametrize("packed", [raw_deflate(b"all is well"), zlib.compress(b"all is well")])
def test_compressed_pieces_may_be_of_a_byte(packed: bytes) -> None:
    body = in_pieces(packed[:1], packed[1:2], packed[2:], coding=b"deflate", body_contains="all is well")
    assert (body.found, body.trouble) == (True, "")


def test_two_threads_read_into_rooms_of_their_own() -> None:
    """As two tests of a check do in one web process: else one node's bytes would stand on the page of another."""
    together = Barrier(2)

    async def room() -> memoryview:
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        return Answer(b"", head=False, done=done).get_buffer(-1)

    def of_thread(byte: int) -> bytes:
        found = asyncio.run(room())
        found[:1] = bytes([byte])
        together.wait(10)
        return bytes(found[:1])

    with ThreadPoolExecutor(2) as threads:
        assert list(threads.map(of_thread, (1, 2))) == [b"\1", b"\2"]
