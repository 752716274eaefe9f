"""The table of pool scenarios, read from its file, one test a row."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from nodes.engine.enums import EventType, Failback
from nodes.engine.reporting import Calls, Report, report
from nodes.engine.step import Step
from nodes.engine.types import BreakerPolicy, Event, PoolPolicy
from tests.engine.pooling import NEVER_OPENS, Driver, make_pool

ROWS = yaml.safe_load((Path(__file__).parent / "pool_scenarios.yaml").read_text())


def _driver(row: dict[str, Any]) -> Driver:
    policy = dict(row.get("policy", {}))
    if "failback" in policy:
        policy["failback"] = Failback(policy["failback"])
    breaker = BreakerPolicy(**row["breaker"]) if "breaker" in row else NEVER_OPENS
    return Driver(
        make_pool(
            row.get("nodes", 3), weights=row.get("weights"), tiers=row.get("tiers"), policy=PoolPolicy(**policy), breaker=breaker
        )
    )


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row["name"])
def test_scenario(row: dict[str, Any]) -> None:
    driver = _driver(row)
    for wanted in row["steps"]:
        words = wanted["do"].split()
        wait = float(words.pop(0)[1:]) if words[0].startswith("+") else 1.0
        events: tuple[Event, ...] = ()
        if reports := [word for word in words if "~" in word]:
            driver.now += wait
            for word in reports:
                events += _report(driver, word).events
        else:
            events = driver.batch(" ".join(words), wait=wait, repeat=True).events
        refused = " ".join(str(event.detail["guard"]) for event in events if event.type == EventType.FAILOVER_REFUSED)
        assert ("/".join(map(str, driver.shares)), refused) == (wanted["shares"], wanted.get("refused", "")), wanted["do"]
        if "breakers" in wanted:
            assert " ".join(node.breaker.state.value for node in driver.pool.members) == wanted["breakers"], wanted["do"]


def _report(driver: Driver, word: str) -> Step:
    name, calls = word.split("~")
    good, bad = (int(calls[:-1]), 0) if calls.endswith("S") else (0, int(calls[:-1]))
    told = Report((Calls(good, bad, driver.now),))
    return driver.take(report(driver.pool, driver.fleet, driver.now, ord(name) - 64, told))
