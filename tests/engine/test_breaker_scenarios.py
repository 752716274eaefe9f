"""The table of breaker scenarios, read from its file, one test a row."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from nodes.engine import breaker as rules
from nodes.engine.breaker import Permit
from nodes.engine.enums import Mode, Outcome, State
from nodes.engine.types import BreakerPolicy, PolicyError
from tests.engine.driving import Driver

ROWS = yaml.safe_load((Path(__file__).parent / "scenarios.yaml").read_text())
OUTCOMES = {"S": Outcome.SUCCESS, "F": Outcome.FAILURE, "X": Outcome.IGNORED}
LETTERS = {State.CLOSED: "C", State.OPEN: "O", State.HALF_OPEN: "H"}


@pytest.mark.parametrize("row", [row for row in ROWS if "refused" not in row], ids=lambda row: row["name"])
def test_scenario(row: dict[str, Any]) -> None:
    driver = Driver(BreakerPolicy(**row["policy"]))
    if "mode" in row:
        driver.breaker = rules.force(driver.breaker, Mode(row["mode"]), "test", "alice", None, 0.0)
    assert [_play(driver, step) for step in str(row["steps"]).split()] == row["expected"].split()
    counted = {name: getattr(driver.breaker.stats, name) for name in row.get("stats", {})}
    assert counted == row.get("stats", {})


@pytest.mark.parametrize("row", [row for row in ROWS if "refused" in row], ids=lambda row: row["name"])
def test_a_policy_that_cannot_work_is_refused_with_the_sentence_why(row: dict[str, Any]) -> None:
    with pytest.raises(PolicyError, match=row["refused"]):
        rules.validate(BreakerPolicy(**row["policy"]))


def _play(driver: Driver, step: str) -> str:
    answer = ""
    if step == "H":
        driver.half_open()
    elif step.startswith("+"):
        driver.wait(float(step[1:]))
    elif step.startswith("?"):
        asked = [isinstance(driver.ask(), Permit) for _ in range(int(step[1:] or 1))]
        answer = f"{sum(asked)}" if step[1:] else "y" if asked[0] else "n"
    elif step == "K":
        driver.kept = driver.permit()
    elif step.startswith("k"):
        driver.report(driver.kept, OUTCOMES[step[1:]])
    else:
        _report(driver, step)
    return answer + LETTERS[driver.breaker.state]


def _report(driver: Driver, step: str) -> None:
    outcome, _, duration = step.partition("@")
    trials = driver.breaker.trials
    permit = Permit(driver.breaker.generation, trials[-1].permit) if trials else driver.permit()
    driver.report(permit, OUTCOMES[outcome], float(duration) if duration else None)
