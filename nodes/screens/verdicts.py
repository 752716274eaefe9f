"""Verdicts as pages show them: by the letter that is stored of each check, and with their tone."""

from __future__ import annotations

from nodes.engine.enums import Verdict

VERDICTS = {verdict.value[0]: verdict for verdict in Verdict}
VERDICT_TONES = {Verdict.PASS: "ok", Verdict.WARN: "warn", Verdict.FAIL: "bad", Verdict.UNKNOWN: "idle"}
