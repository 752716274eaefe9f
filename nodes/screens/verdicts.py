"""Verdicts as pages show them: by the letter that is stored of each check, and with their tone."""

from __future__ import annotations

from nodes.engine.enums import Verdict
from nodes.ledger.letters import VERDICTS

__all__ = ["VERDICTS", "VERDICT_TONES"]

VERDICT_TONES = {Verdict.PASS: "ok", Verdict.WARN: "warn", Verdict.FAIL: "bad", Verdict.UNKNOWN: "idle"}
