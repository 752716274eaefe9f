"""docs/security.md names requirements that exist, tests that exist, and does not leave out what is missing."""

from __future__ import annotations

import ast
import re
from collections import Counter
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parent.parent
PAPER = ROOT / "docs/security.md"
DONE, PARTLY, NOT_DONE, NOT_OURS = STATUSES = ("done", "partly", "not done", "does not apply")
MOST_NOT_DONE = 0.1  # of those that apply

# Level 2 of ASVS 4.0.3, section by section: how many requirements it has, without deleted ones and those of Level 3.
ASKED = {
    "2.1": 12, "2.2": 3, "2.3": 3, "2.4": 6, "2.5": 7, "2.6": 3, "2.7": 6, "2.8": 6, "2.9": 3, "2.10": 4,
    "3.1": 1, "3.2": 4, "3.3": 4, "3.4": 5, "3.5": 3, "3.7": 1,
    "4.1": 4, "4.2": 2, "4.3": 3,
    "5.1": 5, "5.2": 8, "5.3": 10, "5.4": 3, "5.5": 4,
    "6.1": 3, "6.2": 6, "6.3": 2, "6.4": 2,
    "12.1": 3, "12.2": 1, "12.3": 6, "12.4": 2, "12.5": 2, "12.6": 1,
    "14.1": 4, "14.2": 6, "14.3": 2, "14.4": 7, "14.5": 4,
}  # fmt: skip  # a table
CHOSEN = {"8.1": 3, "8.2": 3, "8.3": 4}  # of which the paper says that it chose

_LINE = re.compile(r"\| (\d+\.\d+\.\d+) \|")
_TEST = re.compile(r"`(tests/[^`]*)`")
_AS_ANOTHER = re.compile(r"As (\d+\.\d+\.\d+)")


class Line(NamedTuple):
    """One requirement."""

    number: str
    words: str
    status: str
    proof: str

    @property
    def tests(self) -> list[str]:
        return _TEST.findall(self.proof)


def read(text: str) -> list[Line]:
    """The lines of the tables; raises `ValueError` for one that has not four cells."""
    found = []
    for line in text.splitlines():
        if not _LINE.match(line):
            continue
        cells = [cell.strip() for cell in line.strip().strip("|").split(" | ")]
        if len(cells) != len(Line._fields):
            raise ValueError(f"{len(cells)} cells: {line}")
        found.append(Line(*cells))
    return found


LINES = read(PAPER.read_text())


@cache
def functions(path: Path) -> frozenset[str]:
    parts = ast.walk(ast.parse(path.read_text()))
    return frozenset(part.name for part in parts if isinstance(part, ast.FunctionDef | ast.AsyncFunctionDef))


def exists(test: str) -> bool:
    """Whether `tests/file.py::test_function` is one that pytest runs."""
    file, _, function = test.partition("::")
    path = ROOT / file
    return path.is_file() and path.name.startswith("test_") and function.startswith("test_") and function in functions(path)


def troubles(line: Line) -> list[str]:
    """What is wrong with a line, in words."""
    said = [f"there is no {test}" for test in line.tests if not exists(test)]
    if line.status not in STATUSES:
        said.append(f"{line.status!r} is no status")
    if not line.words:
        said.append("it does not say what is asked")
    if line.status == DONE and not line.tests:
        said.append("done, and no test says so")
    if line.status != DONE and len(_TEST.sub("", line.proof).split()) < 3 and not _AS_ANOTHER.fullmatch(line.proof):
        said.append("it does not say why, or what is missing")
    return [f"{line.number}: {each}" for each in said]


def key(number: str) -> tuple[int, ...]:
    return tuple(map(int, number.split(".")))


def test_every_line_has_a_status_a_reason_and_tests_that_exist() -> None:
    assert [trouble for line in LINES for trouble in troubles(line)] == []


def test_every_test_that_the_paper_names_exists() -> None:
    named = [test for test in _TEST.findall(PAPER.read_text()) if "::" in test or test != "tests/test_security_doc.py"]
    assert len(named) > 100
    assert [test for test in named if not exists(test)] == []


def test_no_requirement_of_the_chapters_is_left_out() -> None:
    listed = Counter(line.number.rpartition(".")[0] for line in LINES)
    assert listed == ASKED | CHOSEN


def test_each_requirement_stands_once_and_in_its_order() -> None:
    assert [(one.number, other.number) for one, other in pairwise(LINES) if key(one.number) >= key(other.number)] == []


def test_little_is_not_done() -> None:
    counted = Counter(line.status for line in LINES)
    assert counted[NOT_DONE] <= MOST_NOT_DONE * (len(LINES) - counted[NOT_OURS])


def test_the_sum_is_that_of_the_tables() -> None:
    counted = Counter(line.status for line in LINES)
    applying = len(LINES) - counted[NOT_OURS]
    said = f"Of {len(LINES)} requirements {applying} apply: {counted[DONE]} are done, {counted[PARTLY]} partly, "
    assert f"{said}{counted[NOT_DONE]} not." in PAPER.read_text()


@pytest.mark.parametrize(
    ("line", "trouble"),
    [
        (
            "| 2.1.1 | words | done | `tests/test_safety.py::test_nothing` |",
            "2.1.1: there is no tests/test_safety.py::test_nothing",
        ),
        ("| 2.1.1 | words | done | `tests/no.py::test_x` |", "2.1.1: there is no tests/no.py::test_x"),
        ("| 2.1.1 | words | done | `SESSION_COOKIE_AGE` says so |", "2.1.1: done, and no test says so"),
        ("| 2.1.1 | words | nearly | because of this |", "2.1.1: 'nearly' is no status"),
        ("| 2.1.1 | words | not done | - |", "2.1.1: it does not say why, or what is missing"),
    ],
)
def test_a_line_that_is_wrong_is_found(line: str, trouble: str) -> None:
    assert trouble in [each for found in read(line) for each in troubles(found)]


def test_a_line_with_a_cell_too_few_is_found() -> None:
    with pytest.raises(ValueError, match="3 cells"):
        read("| 2.1.1 | words | done |")
