"""Folds a list where it repeats: runs of one line, and of a few lines that come again and again in the same order."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

LONGEST = 12  # lines of what repeats


@dataclass(frozen=True, slots=True)
class Fold:
    """Items `start` to `start + length * times`: `length` items that come `times` times; once when nothing repeats."""

    start: int
    length: int
    times: int

    @property
    def end(self) -> int:
        return self.start + self.length * self.times


def fold(keys: Sequence[Hashable]) -> list[Fold]:
    """The whole list in order, each place folded where that hides most, the shortest pattern first."""
    folds, at = [], 0
    while at < len(keys):
        best = max((Fold(at, length, _times(keys, at, length)) for length in range(1, LONGEST + 1)), key=_hidden)
        found = best if best.times > 1 else Fold(at, 1, 1)
        folds.append(found)
        at = found.end
    return folds


def _hidden(found: Fold) -> tuple[int, int]:
    return found.length * (found.times - 1), -found.length


def _times(keys: Sequence[Hashable], at: int, length: int) -> int:
    """How often the `length` items from `at` on come one after the other; 1 for a pattern that is cut off."""
    times = 1
    while keys[at : at + length] == keys[at + times * length : at + (times + 1) * length] and at + (times + 1) * length <= len(
        keys
    ):
        times += 1
    return times
