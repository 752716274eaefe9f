"""What a check saw, as evidence: bounded, timed, and without secrets."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from nodes.egress import Egress
from nodes.engine.enums import Verdict
from nodes.probes import probe
from nodes.probes.evidence import MOST_HEAD, MOST_TEXT
from nodes.probes.spec import CheckSpec
from tests.probes.servers import Authority, Talk, hang, reply, says, serving

KEY = "sk-live-4f3c2b1a0987"


async def seen(egress: Egress, talk: Talk, *, closely: bool = True, **fields: Any) -> Any:
    async with serving(talk) as served:
        return await probe(CheckSpec("http", "127.0.0.1", served.port, **fields), egress, closely=closely)


async def test_a_pass_leaves_none_and_a_failure_does(egress: Egress) -> None:
    assert (await seen(egress, says(reply("200 OK")), closely=False)).evidence is None
    assert (await seen(egress, says(reply("429 Slow")), closely=False)).evidence is None
    failed = (await seen(egress, says(reply("500 Broken", b"no database")), closely=False)).evidence["checks"][0]
    assert (failed["verdict"], failed["message"]) == ("fail", "answered 500, expected 200-299")
    assert failed["hops"][0]["body"] == "no database"


async def test_secrets_are_masked_where_they_go_and_where_they_come_back(egress: Egress) -> None:
    body = json.dumps({"you sent": f"Bearer {KEY}", "key": KEY}).encode()
    answer = reply("200 OK", body, f"X-Echo: {KEY}", "Set-Cookie: session=9f8e7d", "Content-Type: application/json")
    headers = (("Authorization", f"Bearer {KEY}"), ("X-Key", KEY), ("Accept", "text/plain"))
    found = (await seen(egress, says(answer), method="POST", body=b"secret prompt", headers=headers)).evidence

    whole = json.dumps(found, ensure_ascii=False)
    for secret in (KEY, "9f8e7d", "secret prompt"):
        assert secret not in whole
    hop = found["checks"][0]["hops"][0]
    assert "Authorization: •••" in hop["request"]
    assert "Accept: text/plain" in hop["request"]
    assert "(13 bytes)" in hop["request"]
    assert "Set-Cookie: •••" in hop["head"]
    assert "X-Echo: •••" in hop["head"]


async def test_cookies_and_what_is_echoed_are_masked_everywhere(egress: Egress) -> None:
    async def talk(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        first = served.requests[-1].startswith(b"GET / ")
        cookies = ["Set-Cookie: a=firstsecret", "Set-Cookie: b=1;\r\n sid=foldedsecret", "Set-Cookie : c=spacedsecret"]
        away = reply("302 Go", b"", f"Location: /b?k={KEY}", *cookies)
        writer.write(away if first else reply("200 OK", json.dumps({"key": KEY, "saw": "firstsecret owncookie"}).encode()))

    headers = (("X-Key", KEY), ("Cookie", "own=owncookie"))
    async with serving(talk) as served:
        spec = CheckSpec(
            "http", "127.0.0.1", served.port, follow_redirects=True, headers=headers, json_path="$.key", json_value="x"
        )
        found = await probe(spec, egress)

    whole = json.dumps(found.evidence, ensure_ascii=False) + found.message
    for secret in (KEY, "firstsecret", "foldedsecret", "spacedsecret", "owncookie"):
        assert secret not in whole
    assert "$.key is “•••”" in found.message


async def test_what_is_no_http_keeps_the_secret_too(egress: Egress) -> None:
    assert (await seen(egress, says(f"{KEY}\r\n".encode()), headers=(("X-Key", KEY),))).message.endswith("“•••”")


async def test_chunks_do_not_split_a_secret(egress: Egress) -> None:
    answer = b"HTTP/1.1 500 No\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nsk-\r\n11\r\nlive-4f3c2b1a0987\r\n0\r\n\r\n"
    hop = (await seen(egress, says(answer), headers=(("X-Key", KEY),))).evidence["checks"][0]["hops"][0]
    assert hop["body"] == "•••"


@pytest.mark.parametrize("before", [b"", b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"])
async def test_the_head_is_the_whole_last_one(egress: Egress, before: bytes) -> None:
    found = (await seen(egress, says(before + reply("200 OK", b"HTTP/1.1 well", "Via: HTTP/1.1 edge")))).evidence
    hop = found["checks"][0]["hops"][0]
    assert hop["head"].split("\n")[:3] == ["HTTP/1.1 200 OK", "Content-Length: 13", "Via: HTTP/1.1 edge"]
    assert hop["body"] == "HTTP/1.1 well"


async def test_it_is_bounded_and_can_be_stored(egress: Egress) -> None:
    answer = reply("200 OK", b"\x00\x1b[31m\xff" + b"x" * 100_000, *[f"X-{i}: {'y' * 90}" for i in range(100)])
    hop = (await seen(egress, says(answer), body_contains="nowhere")).evidence["checks"][0]["hops"][0]

    assert len(hop["head"]) <= MOST_HEAD
    assert len(hop["body"]) <= MOST_TEXT
    assert "\x00" not in hop["body"]
    assert "\x1b" not in hop["body"]


async def test_each_expectation_says_what_was_expected_and_seen(egress: Egress) -> None:
    found = await seen(
        egress, says(reply("200 OK", b'{"status": "no"}')), body_contains="status", body_excludes="error", json_path="$.status",
        json_value="ok",
    )  # fmt: skip  # options

    rows = [(each["name"], each["expected"], each["seen"], each["verdict"]) for each in found.evidence["checks"][0]["expectations"]]
    assert rows == [
        ("status", "200-299; a warning for 429", "200", "pass"),
        ("text", "“status”", "there", "pass"),
        ("no text", "“error”", "not in 16 bytes", "pass"),
        ("JSON", "$.status = ok", "no", "fail"),
    ]


async def test_the_times_are_told_in_order(egress: Egress, authority: Authority) -> None:
    async with serving(says(reply("200 OK", b"well")), tls=authority.server()) as served:
        spec = CheckSpec("http", "127.0.0.1", served.port, tls=True, body_contains="well")
        found = await probe(spec, egress, closely=True)

    assert found.evidence is not None
    phases = found.evidence["checks"][0]["hops"][0]["phases"]
    assert list(phases) == ["name", "connected", "secured", "first byte", "decided", "ended"]
    assert list(phases.values()) == sorted(phases.values())


async def test_a_stream_keeps_the_time_to_its_first_byte_and_to_the_text(egress: Egress) -> None:
    told = asyncio.Event()

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: thinking\n\n")
        await writer.drain()
        asyncio.get_running_loop().call_later(0.2, told.set)
        await told.wait()
        writer.write(b"data: ready\n\n")
        await hang(reader, writer)

    found = await seen(egress, talk, body_contains="ready")

    assert (found.verdict, found.message) == (Verdict.PASS, "")
    phases = found.evidence["checks"][0]["hops"][0]["phases"]
    assert phases["decided"] - phases["first byte"] > 0.15
    assert found.latency == pytest.approx(phases["decided"], abs=0.05)


async def test_what_nothing_is_expected_of_is_not_late_for_its_grace(egress: Egress) -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n")
        await hang(reader, writer)

    for timeout in (5.0, 0.3):
        found = await seen(egress, talk, timeout=timeout, degraded_latency=0.2)
        assert (found.verdict, found.message) == (Verdict.PASS, "")
        assert found.latency < 0.2


async def test_a_composite_shows_all_its_checks(egress: Egress) -> None:
    async with serving(says(reply("500 Broken"))) as served:
        children = (
            CheckSpec("http", "127.0.0.1", served.port),
            CheckSpec("tcp", "127.0.0.1", served.port),
            CheckSpec("tcp", "127.0.0.1", 1),
        )
        found = await probe(CheckSpec("composite", children=children), egress, closely=True)

    assert found.evidence is not None
    assert [(each["kind"], each["verdict"]) for each in found.evidence["checks"]] == [
        ("http", "fail"),
        ("tcp", "pass"),
        ("tcp", "fail"),
    ]


async def test_how_long_it_asks_to_be_left_alone_goes_along(egress: Egress) -> None:
    for status, wait in (("503 Away", 90.0), ("429 Slow", 90.0), ("200 OK", None), ("500 Broken", None)):
        assert (await seen(egress, says(reply(status, b"", "Retry-After: 90")), closely=False)).retry_after == wait
