"""The demo's servers do over real HTTP what their switches say, as the console's own check sees it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from ipaddress import ip_network
from pathlib import Path

import pytest

from failover_console.demo import fleet
from failover_console.demo.door import Door
from failover_console.demo.fleet import Fleet, Mode, Server
from failover_console.demo.identity import identity
from failover_console.demo.layout import MODEL_KEY, NODES
from nodes.egress import Egress
from nodes.engine.types import Observation
from nodes.probes import probe
from nodes.probes.spec import CheckSpec

EGRESS = Egress.for_checks([ip_network("127.0.0.0/8")])
API, MODEL = NODES[0], NODES[-1]


def doors() -> dict[str, Door]:
    return {node.name: Door() for node in NODES}


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    made = Server(API, Door())
    await made.switch(Mode.HEALTHY)
    yield made
    made.stop()


async def ask(server: Server, **fields: object) -> Observation:
    return await probe(CheckSpec("http", "127.0.0.1", server.port, degraded_latency=0.5, **fields), EGRESS)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("mode", "verdict", "message"),
    [
        (Mode.HEALTHY, "pass", ""),
        (Mode.REFUSE, "fail", "connection refused"),
        (Mode.ERROR, "fail", "answered 500, expected 200-299"),
        (Mode.HANG, "fail", "no answer within 0.2 s"),
    ],
)
async def test_a_switch_does_what_it_says(server: Server, mode: Mode, verdict: str, message: str) -> None:
    await server.switch(mode)

    seen = await ask(server, timeout=0.2 if mode == Mode.HANG else 5.0)

    assert (seen.verdict, seen.message) == (verdict, message)


async def test_a_slow_answer_is_slower_than_the_demo_expects(server: Server) -> None:
    await server.switch(Mode.SLOW)

    seen = await ask(server)

    assert seen.verdict == "warn"
    assert seen.message.startswith("slow: ")


async def test_a_server_that_flaps_is_healthy_and_failing_in_turn(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    await server.switch(Mode.FLAP)
    now = asyncio.get_running_loop().time()
    found = []
    for turns in (2, 3):  # spans so long that now lies in the turn of that number
        monkeypatch.setattr(fleet, "FLAP", now / (turns + 0.5))
        found.append((await ask(server)).verdict)

    assert found == ["pass", "fail"]


async def test_what_refused_or_hung_is_healthy_again_at_once(server: Server) -> None:
    await server.switch(Mode.HANG)
    hanging = asyncio.ensure_future(ask(server, timeout=5.0))
    while not server.requests:  # noqa: ASYNC110 - a count has nothing to wait for
        await asyncio.sleep(0)
    await server.switch(Mode.REFUSE)
    assert (await hanging).message == "the connection was closed without an answer"

    await server.switch(Mode.HEALTHY)

    assert (await ask(server)).verdict == "pass"


async def test_a_server_says_whose_it_is(server: Server) -> None:
    assert (await ask(server, body_contains=identity())).verdict == "pass"
    assert (await ask(server, body_contains="demo of another")).verdict == "fail"


async def test_a_model_answers_only_to_its_key() -> None:
    made = Server(MODEL, Door())
    await made.switch(Mode.HEALTHY)
    try:
        assert (await ask(made)).message == "answered 401, expected 200-299"
        assert (await ask(made, headers=(("Authorization", f"Bearer {MODEL_KEY}"),))).verdict == "pass"
    finally:
        made.stop()


async def test_the_switches_survive_a_restart(tmp_path: Path) -> None:
    memory = tmp_path / "demo.json"
    first = Fleet(doors(), memory)
    await first.switch("api-1", Mode.REFUSE)
    first.stop()

    second = Fleet(doors(), memory)
    try:
        await second.start()
        assert {name for name, server in second.servers.items() if server.mode != Mode.HEALTHY} == {"api-1"}
    finally:
        second.stop()


async def test_a_memory_that_cannot_be_read_is_forgotten(tmp_path: Path) -> None:
    memory = tmp_path / "demo.json"
    memory.write_text('{"api-1": "dance"}')
    made = Fleet(doors(), memory)
    try:
        await made.start()
        assert {server.mode for server in made.servers.values()} == {Mode.HEALTHY}
    finally:
        made.stop()
