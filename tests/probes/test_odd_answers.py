"""Odd answers, each over a real socket, each beside curl: what every client takes is an answer."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path

import pytest

from nodes.egress import Egress
from nodes.probes import probe
from nodes.probes.spec import CheckSpec
from tests.probes.odd_answers import ROWS, Odd
from tests.probes.servers import Talk, hang, serving

CURL = shutil.which("curl")


def answers(row: Odd) -> Talk:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(row.answer)
        await writer.drain()
        if row.closes:
            writer.write_eof()
            await reader.read()
        else:
            await hang(reader, writer)

    return talk


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
async def test_an_odd_answer_is_judged_as_its_row_says(egress: Egress, row: Odd) -> None:
    async with serving(answers(row)) as served:
        seen = await probe(CheckSpec("http", "127.0.0.1", served.port, timeout=1.0, **row.check), egress)

    assert (seen.verdict, seen.message) == row.expected


@pytest.mark.skipif(CURL is None, reason="curl is not on this machine")
@pytest.mark.parametrize("row", [row for row in ROWS if row.curl is not None], ids=lambda row: row.name)
async def test_curl_says_the_same(row: Odd, tmp_path: Path) -> None:
    method, body = row.check.get("method", "GET"), row.check.get("body", b"")
    asks = {"HEAD": ["--head"], "POST": ["--data-binary", body.decode()]}.get(method, ["--request", method])
    line = [str(CURL), "--silent", "--fail", "--compressed", "--max-time", "5", "--output", str(tmp_path / "body"), *asks]
    async with serving(answers(row)) as served:
        curl = await asyncio.create_subprocess_exec(*line, f"http://127.0.0.1:{served.port}/")
        assert await curl.wait() == row.curl

    if row.curl == 0 and row.expected == ("pass", "") and (text := row.check.get("body_contains")) and text.isascii():
        assert text.encode() in (tmp_path / "body").read_bytes()


def test_the_table_is_long_and_tells_each_difference() -> None:
    assert len(ROWS) >= 120
    assert len({row.name for row in ROWS}) == len(ROWS)
    assert {row.expected[0] for row in ROWS} == {"pass", "warn", "fail"}
