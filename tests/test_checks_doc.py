"""docs/checks.md: printed, and each sentence that a check can say is in it."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from nodes.forms.checks import CheckForm
from nodes.management.commands.checks_doc import MESSAGES, page
from nodes.probes import evidence
from tests.probes.floods import FLOODS
from tests.probes.odd_answers import ROWS
from tests.product import ROOT

SAID_BY = ("ProbeFailure", "AllFailedError", "_break")
PATTERNS = [re.compile(".*?".join(map(re.escape, pattern.split("…"))) + r"\Z", re.DOTALL) for pattern in MESSAGES]


def is_told(message: str) -> bool:
    return any(pattern.match(message) for pattern in PATTERNS)


def test_the_page_is_the_one_that_is_printed() -> None:
    assert (ROOT / "docs/checks.md").read_text() == page()


def test_each_field_is_in_it() -> None:
    assert page().count("\n| ") >= len(CheckForm.base_fields) + len(MESSAGES)
    for name in ("warn status", "body excludes", "JSON path", "certificate authorities", "client key", "strict"):
        assert f"\n| {name} |" in page()


@pytest.mark.parametrize(
    "message", sorted({row.message for row in ROWS if row.message} | {sentence for _, _, sentence in FLOODS.values()})
)
def test_what_an_odd_answer_is_told_is_in_it(message: str) -> None:
    assert is_told(message)


def test_each_sentence_of_the_probes_is_in_it() -> None:
    said = []
    for file in Path(str(evidence.__file__)).parent.glob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Call) and ast.unparse(node.func).rpartition(".")[2] in SAID_BY and node.args:
                said += [_text(each) for each in node.args if isinstance(each, ast.Constant | ast.JoinedStr)]
    told = [each for each in said if each]
    assert len(told) > 10
    assert [each for each in told if not is_told(each)] == []


def _text(given: ast.expr) -> str:
    """The sentence with an ellipsis for what varies."""
    if isinstance(given, ast.Constant):
        return str(given.value) if isinstance(given.value, str) else ""
    assert isinstance(given, ast.JoinedStr)
    return "".join(str(part.value) if isinstance(part, ast.Constant) else "…" for part in given.values)
