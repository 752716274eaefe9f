"""The table of breaker scenarios, read from its file, one test a row."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from nodes.engine import breaker as rules
from nodes.engine.breaker import Permit
from nodes.engine.values import BreakerPolicy, Mode, Outcome, State
from tests.engine.driving import Driver

ROWS = yaml.safe_load((Path(__file__).parent / "scenarios.yaml").read_text())
OUTCOMES = {"S": Outcome.SUCCESS, "F": Outcome.FAILURE, "X": Outcome.IGNORED}
LETTERS = {State.CLOSED: "C", State.OPEN: "O", State.HALF_OPEN: "H"}


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row["name"])
def test_scenario(row: dict[str, Any]) -> None:
    driver = Driver(BreakerPolicy(**row["policy"]))
    if "mode" in row:
        driver.breaker = rules.force(driver.breaker, Mode(row["mode"]), "test", "alice", None, 0.0)
    assert [_play(driver, step) for step in row["steps"].split()] == row["expected"].split()


def _play(driver: Driver, step: str) -> str:
    answer = ""
    if step == "H":
        driver.half_open()
    elif step.startswith("+"):
        driver.wait(float(step[1:]))
    elif step == "?":
        answer = "y" if isinstance(driver.ask(), Permit) else "n"
    elif driver.breaker.trials:
        driver.report(Permit(driver.breaker.generation, driver.breaker.trials[-1].permit), OUTCOMES[step])
    else:
        driver.call(OUTCOMES[step])
    return answer + LETTERS[driver.breaker.state]
