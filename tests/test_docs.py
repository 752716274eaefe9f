"""What the papers print of the code is what the code says."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from nodes.engine import breaker, failure_lifecycle, health
from nodes.engine.types import BreakerPolicy

ROOT = Path(__file__).parent.parent
ENGINE = (ROOT / "docs/engine.md").read_text()
PAPERS = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


@pytest.mark.parametrize(
    "table", [breaker.rule_table(), health.rule_table(), failure_lifecycle.rule_table()], ids=["breaker", "health", "failure"]
)
def test_the_tables_of_rules_are_printed_from_the_code(table: str) -> None:
    assert f"```\n{table}\n```" in ENGINE


def test_every_field_of_a_breaker_policy_is_explained() -> None:
    assert [
        field.name for field in fields(BreakerPolicy) if f"| `{field.name}`" not in ENGINE and f"`{field.name}`" not in ENGINE
    ] == []


@pytest.mark.parametrize("paper", PAPERS, ids=lambda paper: paper.name)
def test_every_link_within_the_project_leads_somewhere(paper: Path) -> None:
    links = re.findall(r"\]\((?!https?://|#)([^)#]+)", paper.read_text())
    assert [link for link in links if not (paper.parent / link).exists()] == []


def test_the_example_of_protecting_a_call_runs(capsys: pytest.CaptureFixture[str]) -> None:
    example = re.search(r"```python\n(.*?)```", ENGINE, re.DOTALL)
    assert example is not None
    fails = example[1].replace("def order(item): ...", "def order(item): raise ValueError").replace('order("tea")', "again()")
    names: dict[str, object] = {}

    def again() -> None:
        for _ in range(4):
            try:
                names["order"]("tea")  # type: ignore[operator]  # the example's function
            except ValueError:
                continue

    exec(compile(fails, "docs/engine.md", "exec"), names | {"again": again}, names)
    assert re.fullmatch(r"come back in (9\.9\d*|10\.0) s\n", capsys.readouterr().out)


def test_the_example_of_predicates_and_streams_runs(capsys: pytest.CaptureFixture[str]) -> None:
    first, second = re.findall(r"```python\n(.*?)```", ENGINE, re.DOTALL)

    def connect(answers: list[str]) -> Iterator[str]:
        yield from answers
        raise ConnectionError("cut")

    names: dict[str, Any] = {"connect": connect}
    exec(compile(f"{first.splitlines()[0]}\n{second}", "docs/engine.md", "exec"), names)
    for _ in range(5):
        with pytest.raises(ConnectionError, match="cut"):
            list(names["tokens"](["a", "b"]))
    assert capsys.readouterr().out == "model closed → open\n"
    with pytest.raises(names["CallRejectedError"]) as caught:
        next(names["tokens"]([]))
    assert isinstance(caught.value.__cause__, ConnectionError)
