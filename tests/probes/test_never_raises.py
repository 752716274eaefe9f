"""Whatever stands in a check and whatever happens while asking, an observation comes of it."""

from __future__ import annotations

import asyncio
import random
import socket
from dataclasses import replace
from typing import Any

import pytest

from nodes.egress import Egress
from nodes.engine.enums import Verdict
from nodes.engine.types import Observation
from nodes.probes import KINDS, probe
from nodes.probes.spec import CheckSpec
from tests.probes.servers import hang, serving

ODD: dict[str, list[Any]] = {
    "kind": ["seance", ""],
    "host": ["", " ", "no such host", "a" * 300, "[::1", "xn--", "\N{SNOWMAN}.invalid", "127.0.0.1\x00"],
    "port": [0, -1, 65_536, 10**9],
    "timeout": [0.0, -1.0, float("nan"), float("inf"), 1e300],
    "path": ["", "no slash", "/\r\nX: y", "/\N{SNOWMAN}"],
    "method": ["", "BREW", "G T"],
    "headers": [(("", ""),), (("a b", "c\r\nd: e"),), (("\N{SNOWMAN}", "\N{SNOWMAN}"),)],
    "expected_status": ["", "fine", "299-200", "99999"],
    "server_name": ["\N{SNOWMAN}" * 80, "a" * 300, "."],
    "quorum": ["most", ""],
    "grace": [float("nan"), -1.0],
    "interval": [float("nan"), float("inf"), -1.0],
    "certificate_days": [-(10**9), 10**9],
}


@pytest.fixture
def closed_port() -> int:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        return int(held.getsockname()[1])


async def _observe(spec: CheckSpec, egress: Egress) -> Observation:
    return await asyncio.wait_for(probe(spec, egress), 20)


@pytest.mark.parametrize("kind", [*KINDS, "seance"])
@pytest.mark.parametrize("field", ODD)
async def test_odd_values_become_an_observation(egress: Egress, closed_port: int, kind: str, field: str) -> None:
    plain = CheckSpec(kind, "127.0.0.1", closed_port, timeout=0.5, tls=field in ("server_name", "certificate_days"))
    for value in ODD[field]:
        spec = replace(plain, **{field: value})
        if kind == "composite":
            spec = replace(spec, children=(replace(plain, **{"kind": "http", field: value}),))
        seen = await _observe(spec, egress)
        assert isinstance(seen.verdict, Verdict), (field, value)


async def test_odd_values_together_do_so_too(egress: Egress, closed_port: int) -> None:
    chance = random.Random(7)
    for _ in range(200):
        chosen = {field: chance.choice(ODD[field]) for field in chance.sample(sorted(ODD), 3)}
        seen = await _observe(replace(CheckSpec(chance.choice(KINDS), "127.0.0.1", closed_port, timeout=0.5), **chosen), egress)
        assert isinstance(seen.verdict, Verdict), chosen


async def test_an_unusable_check_asks_nobody_and_says_why(egress: Egress) -> None:
    seen = await probe(CheckSpec("http", unusable="cannot be checked: it has no port"), egress)
    assert (seen.verdict, seen.message) == (Verdict.UNKNOWN, "cannot be checked: it has no port")


class _GivesUp(Egress):
    """Its resolver cancels what it was asked, as one that is closed does."""

    async def addresses(self, host: str, budget: float, *, told: bool = False) -> Any:
        raise asyncio.CancelledError


async def test_a_resolver_that_gives_up_ends_no_check(egress: Egress) -> None:
    seen = await probe(CheckSpec("tcp", "name.example", 80), _GivesUp.for_checks([]))
    assert seen.verdict == Verdict.UNKNOWN


async def test_a_check_that_is_to_end_ends(egress: Egress) -> None:
    async with serving(hang, reads=False) as served:
        asking = asyncio.create_task(probe(CheckSpec("http", "127.0.0.1", served.port, timeout=9.0), egress))
        await asyncio.wait([asking], timeout=0.1)
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
