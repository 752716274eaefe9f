"""The one letter by which a verdict is stored in check results and in a node's row of recent checks."""

from __future__ import annotations

from nodes.engine.enums import Verdict

LETTERS = {Verdict.PASS: "p", Verdict.WARN: "w", Verdict.FAIL: "f", Verdict.UNKNOWN: "u"}
VERDICTS = {letter: verdict for verdict, letter in LETTERS.items()}
