"""What docs/security.md says is shown by a test that is there, and little of it is not done."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
LINE = re.compile(r"^\| (\d+\.\d+\.\d+) \| ([^|]+) \| ([^|]+) \| ([^|]+) \|$", re.MULTILINE)
TEST = re.compile(r"(tests/[\w/]+\.py)::(\w+)")
LINES = [tuple(part.strip() for part in found) for found in LINE.findall((ROOT / "docs/security.md").read_text())]


@cache
def written_in(module: str) -> frozenset[str]:
    return frozenset(re.findall(r"^(?:async )?def (test_\w+)", (ROOT / module).read_text(), re.MULTILINE))


@pytest.mark.parametrize(("number", "status", "shown"), [(each[0], each[2], each[3]) for each in LINES])
def test_each_line_has_a_status_and_what_shows_it(number: str, status: str, shown: str) -> None:
    named = TEST.findall(shown)
    assert all(test in written_in(module) for module, test in named), shown
    match status:
        case "done":
            assert TEST.fullmatch(shown)
        case "partly":
            assert named
            assert not TEST.match(shown), "what is missing"
        case "not done" | "n/a":
            assert not named
        case _:
            raise AssertionError(status)


def test_every_chapter_is_there_and_at_most_one_line_in_ten_is_not_done() -> None:
    assert {number.partition(".")[0] for number, *_ in LINES} >= {"2", "3", "4", "5", "6", "12"}
    assert len({number for number, *_ in LINES}) == len(LINES) > 90
    applying = [status for _, _, status, _ in LINES if status != "n/a"]
    assert applying.count("not done") <= len(applying) / 10


def test_no_line_of_a_table_is_overlooked() -> None:
    text = (ROOT / "docs/security.md").read_text()
    assert len(re.findall(r"^\| \d", text, re.MULTILINE)) == len(LINES)
