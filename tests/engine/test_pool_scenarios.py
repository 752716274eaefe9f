"""The table of pool scenarios, read from its file, one test a row."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from nodes.engine import commands
from nodes.engine.enums import AdminState, EventType, Failback, Guard, Mode, PageOn, Severity
from nodes.engine.reporting import Calls, Report, report
from nodes.engine.step import Step
from nodes.engine.types import BreakerPolicy, Event, HealthPolicy, PoolPolicy
from tests.engine.pooling import AT_ONCE, NEVER_OPENS, Driver, make_pool

ROWS = yaml.safe_load((Path(__file__).parent / "pool_scenarios.yaml").read_text())


def _driver(row: dict[str, Any]) -> Driver:
    policy = dict(row.get("policy", {}))
    for name, kind in (("failback", Failback), ("page_on", PageOn)):
        if name in policy:
            policy[name] = kind(policy[name])
    breaker = BreakerPolicy(**row["breaker"]) if "breaker" in row else NEVER_OPENS
    health = HealthPolicy(**row["health"]) if "health" in row else AT_ONCE
    pool = make_pool(
        row.get("nodes", 3),
        weights=row.get("weights"),
        tiers=row.get("tiers"),
        policy=PoolPolicy(**policy),
        breaker=breaker,
        health=health,
    )
    return Driver(pool)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row["name"])
def test_scenario(row: dict[str, Any]) -> None:
    driver = _driver(row)
    for wanted in row["steps"]:
        words = wanted["do"].split()
        wait = float(words.pop(0)[1:]) if words[0].startswith("+") else 1.0
        events = _do(driver, words, wait)
        refused = " ".join(str(event.detail["guard"]) for event in events if event.type == EventType.FAILOVER_REFUSED)
        assert ("/".join(map(str, driver.shares)), refused) == (wanted["shares"], wanted.get("refused", "")), wanted["do"]
        if "breakers" in wanted:
            assert " ".join(node.breaker.state.value for node in driver.pool.members) == wanted["breakers"], wanted["do"]
        if "health" in wanted:
            assert " ".join(node.health.status.value for node in driver.pool.members) == wanted["health"], wanted["do"]
        if "loud" in wanted:
            assert _loud(events) == wanted["loud"], wanted["do"]


def _do(driver: Driver, words: list[str], wait: float) -> tuple[Event, ...]:
    """The events of a step: checks of one batch, or reports and acts one after the other."""
    single = [word for word in words if "~" in word or ">" in word]
    if not single:
        return driver.batch(" ".join(words), wait=wait, repeat=True).events
    driver.now += wait
    return tuple(told for word in single for told in (_report if "~" in word else _act)(driver, word).events)


def _loud(events: tuple[Event, ...]) -> str:
    """What may page, in order; critical with an exclamation mark."""
    marks = {Severity.WARNING: "", Severity.CRITICAL: "!"}
    return " ".join(each.type.value + marks[each.severity] for each in events if each.severity in marks)


ADMIN = {
    "enable": AdminState.ENABLED,
    "drain": AdminState.DRAINING,
    "disable": AdminState.DISABLED,
    "maintain": AdminState.MAINTENANCE,
}


def _act(driver: Driver, word: str) -> Step:
    """What alice does, as "B>drain"; with "!" she overrides that nobody is eligible."""
    name, what = word.split(">")
    override = frozenset({Guard.NO_CANDIDATE}) if what.endswith("!") else frozenset[Guard]()
    what = what.removesuffix("!")
    pool, fleet, now, node = driver.pool, driver.fleet, driver.now, ord(name[0]) - 64
    if what in ADMIN:
        done = commands.set_admin(pool, fleet, now, node, ADMIN[what], "alice", override=override)
    elif what == "force_open":
        done = commands.force_breaker(pool, fleet, now, node, Mode.FORCED_OPEN, "test", "alice", None, override=override)
    elif what == "fail_over":
        done = commands.fail_over(pool, fleet, now, node, "alice", override=override)
    elif what == "remove":
        done = commands.remove(pool, fleet, now, node, "alice", override=override)
    elif what == "heal":
        done = commands.heal_unreported(pool, fleet, now, node, "alice")
    elif what == "pause":
        done = commands.pause(pool, fleet, now, "alice", "freeze")
    else:
        done = commands.resume(pool, fleet, now, "alice")
    return driver.take(done)


def _report(driver: Driver, word: str) -> Step:
    name, calls = word.split("~")
    good, bad = (int(calls[:-1]), 0) if calls.endswith("S") else (0, int(calls[:-1]))
    told = Report((Calls(good, bad, driver.now),))
    return driver.take(report(driver.pool, driver.fleet, driver.now, ord(name) - 64, told))
