"""How good the uptime of a day is, by a target: the shades of the heat map and of the bars of an uptime."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Grade(StrEnum):
    FULL = "full"
    UNDER = "under 100 %"
    MISSED = "under the target"
    BAD = "far under the target"
    UNMEASURED = "not measured"


CLASSES = {Grade.FULL: "h0", Grade.UNDER: "h1", Grade.MISSED: "h2", Grade.BAD: "h3", Grade.UNMEASURED: "hn"}


@dataclass(frozen=True, slots=True)
class Targets:
    """The target, and below what a day is bad; fractions."""

    target: float = 0.9995
    bad: float = 0.995

    def grade(self, value: float | None) -> Grade:
        if value is None:
            return Grade.UNMEASURED
        if value < self.bad:
            return Grade.BAD
        if value < self.target:
            return Grade.MISSED
        return Grade.UNDER if value < 1 else Grade.FULL
