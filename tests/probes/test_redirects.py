"""Redirects as clients follow them: method and body by the status, cookies within the check, each hop in the evidence."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from nodes.egress import Egress
from nodes.engine.enums import Verdict
from nodes.engine.types import Observation
from nodes.probes import probe
from nodes.probes.spec import CheckSpec
from tests.probes.servers import Served, reply, serving

Answers = Callable[[str], bytes]  # by the path that is asked for


async def follow(egress: Egress, answers: Answers, **fields: Any) -> tuple[Observation, list[str]]:
    """What was seen, and the requests that came: head and body."""
    came: list[str] = []

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = served.requests[-1].decode()
        length = next((int(line[15:]) for line in head.splitlines() if line.startswith("Content-Length:")), 0)
        came.append(head + (await reader.readexactly(length)).decode())
        writer.write(answers(head.split(" ")[1]))

    served: Served
    async with serving(talk) as served:
        spec = CheckSpec("http", "127.0.0.1", served.port, follow_redirects=True, **fields)
        return await probe(spec, egress, closely=True), came


def there(status: int, *headers: str) -> Answers:
    return lambda path: reply("200 OK", b"well") if path == "/there" else reply(f"{status} Go", b"", "Location: /there", *headers)


@pytest.mark.parametrize(
    ("status", "method", "then"),
    [
        (301, "POST", "GET"), (302, "POST", "GET"), (303, "POST", "GET"), (307, "POST", "POST"), (308, "POST", "POST"),
        (301, "GET", "GET"), (303, "GET", "GET"), (303, "HEAD", "HEAD"), (307, "HEAD", "HEAD"), (302, "OPTIONS", "OPTIONS"),
        (303, "OPTIONS", "GET"),
    ],
)  # fmt: skip  # a table
async def test_the_status_decides_over_method_and_body(egress: Egress, status: int, method: str, then: str) -> None:
    body = b"ping" if method == "POST" else b""
    seen, came = await follow(egress, there(status), method=method, body=body)

    assert (seen.verdict, seen.message) == (Verdict.PASS, "")
    assert [each.split(" ")[0] for each in came] == [method, then]
    assert came[1].endswith("\r\n\r\nping") == (then == "POST")


async def test_cookies_live_within_one_check(egress: Egress) -> None:
    answers = there(
        302, "Set-Cookie: session=abc; Path=/; HttpOnly", "Set-Cookie: other=1; Path=/elsewhere", "Set-Cookie: safe=1; Secure"
    )
    for _ in range(2):
        seen, came = await follow(egress, answers, headers=(("Cookie", "mine=1"),))
        assert seen.verdict == Verdict.PASS
        cookies = [line for each in came for line in each.split("\r\n") if line.startswith("Cookie:")]
        assert cookies == ["Cookie: mine=1", "Cookie: mine=1; session=abc"]


@pytest.mark.parametrize("odd", ["a=b; max-age=" + "9" * 900, "=" * 900, "a=b" + ";" * 900, "a=b; expires=never", "\x01=\x02", "a"])
async def test_odd_cookies_are_no_failure(egress: Egress, odd: str, recwarn: pytest.WarningsRecorder) -> None:
    seen, _ = await follow(egress, there(302, f"Set-Cookie: {odd}"))

    assert (seen.verdict, seen.message) == (Verdict.PASS, "")
    assert len(recwarn) == 0


async def test_a_cookie_goes_to_no_other_server(egress: Egress) -> None:
    other: list[str] = []

    async def talk(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        other.append(goal.requests[-1].decode())
        writer.write(reply("200 OK"))

    async with serving(talk) as goal:
        away = reply("302 Go", b"", f"Location: http://localhost:{goal.port}/", "Set-Cookie: session=abc")
        seen, _ = await follow(egress, lambda _: away)

    assert seen.verdict == Verdict.PASS
    assert "session" not in other[0]


async def test_the_name_that_a_node_is_asked_by_leads_back_to_it(egress: Egress) -> None:
    ports: list[int] = []

    def answers(path: str) -> bytes:
        home = f"http://www.example.com:{ports[0]}/there" if ports else ""
        return (
            reply("200 OK")
            if path == "/there"
            else reply("302 Go", b"", f"Location: {home}", "Set-Cookie: a=b; Domain=example.com")
        )

    async def talk(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(answers(served.requests[-1].decode().split(" ")[1]))

    async with serving(talk) as served:
        ports.append(served.port)
        spec = CheckSpec(
            "http", "127.0.0.1", served.port, follow_redirects=True, server_name="www.example.com", headers=(("X-Key", "1"),)
        )
        seen = await probe(spec, egress)

    assert (seen.verdict, seen.message) == (Verdict.PASS, "")
    assert b"\r\nX-Key: 1" in served.requests[1]
    assert b"\r\nCookie: a=b" in served.requests[1]


async def test_each_hop_is_in_the_evidence(egress: Egress) -> None:
    steps = {"/": "/a", "/a": "/b"}
    seen, _ = await follow(
        egress, lambda path: reply("302 Go", b"", f"Location: {steps[path]}") if path in steps else reply("500 Broken", b"no")
    )

    assert (seen.verdict, seen.message) == (Verdict.FAIL, "answered 500, expected 200-299")
    assert seen.evidence is not None
    hops = seen.evidence["checks"][0]["hops"]
    assert [(hop["url"].rpartition("/")[2], hop["status"]) for hop in hops] == [
        ("", 302), ("a", 302), ("b", 500)
    ]  # fmt: skip  # a table
