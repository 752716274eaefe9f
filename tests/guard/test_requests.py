"""The guard before an application: bodies, seats, and what is refused."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from typing import Any

import pytest

from failover_console.guard.classes import SMALL_BODY, Sizes, made
from failover_console.guard.requests import BODIES, Guard
from nodes import pushes, turns
from tests.asgi import Answer, asked

SIZES = Sizes(pages=1, live=1, logins=1, sign_ons=1, long_polls=4)
WAITING = 8  # places of the class of pages, by these sizes


class Application:
    """Answers 200 with the length of the body, once it may."""

    def __init__(self) -> None:
        self.may_answer = asyncio.Event()
        self.asked: list[str] = []
        self.status = 200

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.asked.append(scope["path"])
        message = await receive()
        await self.may_answer.wait()
        await send({"type": "http.response.start", "status": self.status, "headers": []})
        await send({"type": "http.response.body", "body": str(len(message["body"])).encode()})


@pytest.fixture
def application() -> Application:
    return Application()


@pytest.fixture
def guard(application: Application) -> Guard:
    return Guard(application, made(SIZES))


async def begun(guard: Guard, path: str, number: int, client: str = "192.0.2.1") -> list[asyncio.Task[Answer]]:
    """So many requests, each as far as it gets."""
    tasks = [asyncio.ensure_future(asked(guard, "GET", path, client=f"{client}{each}")) for each in range(number)]
    for _ in range(5):
        await asyncio.sleep(0)
    return tasks


async def test_a_body_reaches_the_application_whole(guard: Guard, application: Application) -> None:
    application.may_answer.set()
    answer = await asked(guard, "POST", "/x", body=[b"a" * 40_000, b"b" * 20_000])
    assert (answer.status, answer.body) == (200, b"60000")


@pytest.mark.parametrize(("path", "most"), [("/accounts/login/", SMALL_BODY), ("/api/v1/nodes/1/outcomes", 1024 * 1024)])
async def test_a_body_over_the_limit_of_its_address_reaches_nobody(
    guard: Guard, application: Application, path: str, most: int
) -> None:
    application.may_answer.set()
    parts = [b"x" * SMALL_BODY] * (most // SMALL_BODY)
    assert (await asked(guard, "POST", path, body=parts)).status == 200
    refused = await asked(guard, "POST", path, body=[*parts, b"x"])
    declared = await asked(guard, "POST", path, headers={"Content-Length": str(most + 1)})
    assert (refused.status, declared.status, len(application.asked)) == (413, 413, 1)
    assert str(most).encode() in refused.body
    assert refused.headers["connection"] == "close"


async def test_all_bodies_together_are_bounded(guard: Guard) -> None:
    path, size = "/api/v1/nodes/1/outcomes", 1024 * 1024
    tasks = [
        asyncio.ensure_future(asked(guard, "POST", path, headers=declared, body=[b"x" * size], client=f"c{number % 3}"))
        for number, declared in enumerate([{"Content-Length": str(size)}, {}] * (BODIES // size // 2))
    ]
    for _ in range(5):
        await asyncio.sleep(0)
    for declared in ({"Content-Length": "1"}, {}):
        refused = await asked(guard, "POST", path, headers=declared, body=[b"x"])
        assert (refused.status, refused.headers["retry-after"], refused.headers["connection"]) == (503, "2", "close")
    for each in tasks:
        each.cancel()
    await asyncio.wait(tasks)
    again = asyncio.ensure_future(asked(guard, "POST", path, headers={"Content-Length": "1"}, body=[b"x"]))
    for _ in range(5):
        await asyncio.sleep(0)
    assert not again.done()  # it was let in
    again.cancel()


async def test_no_address_has_more_than_half_of_the_room_for_bodies(guard: Guard, application: Application) -> None:
    path, size = "/api/v1/nodes/1/outcomes", 1024 * 1024
    tasks = [asyncio.ensure_future(asked(guard, "POST", path, body=[b"x" * size], client="a")) for _ in range(BODIES // size // 2)]
    for _ in range(5):
        await asyncio.sleep(0)
    assert (await asked(guard, "POST", path, body=[b"x"], client="a")).status == 503
    application.may_answer.set()
    assert (await asked(guard, "POST", path, body=[b"x"], client="b")).status == 200
    assert {(await each).status for each in tasks} == {200}
    assert (await asked(guard, "POST", path, body=[b"x"], client="a")).status == 200


async def test_a_full_class_refuses_at_once_and_leaves_the_others_theirs(guard: Guard, application: Application) -> None:
    held = await begun(guard, "/", 1 + WAITING)
    refused = await asked(guard, "GET", "/", client="198.51.100.1")
    assert (refused.status, refused.headers["retry-after"], refused.headers["cache-control"]) == (503, "2", "no-store")
    others = [task for path in ("/healthz", "/api/v1/pools/a/shares", "/accounts/login/") for task in await begun(guard, path, 1)]
    application.may_answer.set()
    assert {(await task).status for task in [*held, *others]} == {200}


async def test_one_address_is_refused_before_the_class_is_full(guard: Guard, application: Application) -> None:
    greedy = [asyncio.ensure_future(asked(guard, "GET", "/", client="192.0.2.9")) for _ in range((1 + WAITING + 1) // 2)]
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    refused = await asked(guard, "GET", "/", client="192.0.2.9")
    other = await begun(guard, "/", 1)
    application.may_answer.set()
    assert (refused.status, (await other[0]).status, {(await each).status for each in greedy}) == (429, 200, {200})


async def test_an_api_is_refused_in_its_own_words(guard: Guard) -> None:
    path = "/api/v1/pools/a/shares"
    held = await begun(guard, path, 1 + 64)
    refused = await asked(guard, "GET", path, client="198.51.100.1")
    assert (refused.status, refused.headers["content-type"]) == (503, "application/json")
    for each in held:
        each.cancel()


async def test_a_heartbeat_that_is_refused_counts_as_lost_where_one_was_taken_before(
    application: Application, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pushes, "_places", OrderedDict({"198.51.100.1": None}))
    guard = Guard(application, made(SIZES))
    held = await begun(guard, "/push/1/secret/", 1000)
    before = pushes.last_miss()
    stranger = await asked(guard, "POST", "/push/1/secret/", client="198.51.100.2")
    assert (stranger.status, pushes.last_miss()) == (503, before)
    refused = await asked(guard, "POST", "/push/1/secret/", client="198.51.100.1")
    assert refused.status == 503
    assert pushes.last_miss() != before
    for each in held:
        each.cancel()


@pytest.mark.parametrize(
    ("given", "status"),
    [
        ("text/plain; charset*=x''%41", 400),
        ("text/plain; charset*=UTF-8''a%00b", 400),
        ("multipart/form-data; boundary*=bogus''x%41", 400),
        ("multipart/form-data; boundary=x; charset=hex", 400),
        ("multipart/form-data; boundary=x; charset=rot13", 400),
        ("text/plain; charset=zebra", 200),
        ("text/plain; charset=", 200),
        ("text/plain; charset=UTF-8", 200),
        ("multipart/form-data; boundary=x", 200),
        ("nonsense", 200),
        ("", 200),
    ],
)
async def test_a_content_type_that_django_cannot_read_is_refused(application: Application, given: str, status: int) -> None:
    application.may_answer.set()
    answer = await asked(Guard(application, made(SIZES)), "POST", "/accounts/login/", headers={"Content-Type": given})
    assert (answer.status, application.asked) == (status, ["/accounts/login/"] * (status == 200))


async def test_those_who_wait_go_on_a_few_at_a_time() -> None:
    awake, most, waking = 0, 0, asyncio.Event()

    async def sleeper(scope: Any, receive: Any, send: Any) -> None:
        nonlocal awake, most
        async with turns.asleep():
            await waking.wait()
        awake += 1
        most = max(most, awake)
        await asyncio.sleep(0)
        awake -= 1
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    sizes = Sizes(pages=1, live=1, logins=1, sign_ons=1, long_polls=100)
    guard = Guard(sleeper, made(sizes))
    sleeping = [
        asyncio.ensure_future(asked(guard, "GET", "/api/v1/pools/a/shares?wait=9", client=f"192.0.2.{number}"))
        for number in range(40)
    ]
    for _ in range(60):
        await asyncio.sleep(0)
    waking.set()
    assert {(await each).status for each in sleeping} == {200}
    assert 1 <= most <= 4
