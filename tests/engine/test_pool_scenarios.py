"""The table of pool scenarios, read from its file, one test a row."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from nodes.engine.values import EventType, Failback, PoolPolicy
from tests.engine.pooling import Driver, make_pool

ROWS = yaml.safe_load((Path(__file__).parent / "pool_scenarios.yaml").read_text())


def _driver(row: dict[str, Any]) -> Driver:
    policy = dict(row.get("policy", {}))
    if "failback" in policy:
        policy["failback"] = Failback(policy["failback"])
    return Driver(make_pool(row.get("nodes", 3), weights=row.get("weights"), tiers=row.get("tiers"), policy=PoolPolicy(**policy)))


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row["name"])
def test_scenario(row: dict[str, Any]) -> None:
    driver = _driver(row)
    for wanted in row["steps"]:
        words = wanted["do"].split()
        wait = float(words.pop(0)[1:]) if words[0].startswith("+") else 1.0
        done = driver.batch(" ".join(words), wait=wait, repeat=True)
        refused = " ".join(str(event.detail["guard"]) for event in done.events if event.type == EventType.FAILOVER_REFUSED)
        assert ("/".join(map(str, driver.shares)), refused) == (wanted["shares"], wanted.get("refused", "")), wanted["do"]
