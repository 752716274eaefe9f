"""Verdicts as pages show them: by the letter that is stored of each check, and with their tone."""

from __future__ import annotations

from nodes.engine.enums import Verdict
from nodes.ledger.letters import VERDICTS

__all__ = ["VERDICT_TONES", "verdict_of"]

VERDICT_TONES = {Verdict.PASS: "ok", Verdict.WARN: "warn", Verdict.FAIL: "bad", Verdict.UNKNOWN: "idle"}


def verdict_of(letter: str) -> Verdict:
    """The verdict by its letter; one that this version does not know is unknown to it."""
    return VERDICTS.get(letter, Verdict.UNKNOWN)
