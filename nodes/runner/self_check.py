"""Collects what one runner sees that may speak against its checker: canaries, many failures at once, answers while isolated.

In: this runner's own observations, since it is the checker that may be cut off, not the fleet.  Out: a `Sighting` for the ledger,
where the runners of a host are judged together.  The lag of the loop is measured beside it (`loop_lag`).
"""

from __future__ import annotations

from dataclasses import dataclass

from nodes.engine.enums import Verdict
from nodes.engine.types import Observation
from nodes.ledger.checkers import Sighting

CANARY_TRIES = 2  # failed in a row, after which a canary is down
ANSWER_COUNTS_FOR = 20.0  # s


@dataclass(frozen=True, slots=True)
class _Observed:
    pool: int
    failed: bool
    until: float


class SelfCheck:
    """What this runner saw lately: of nodes that were healthy over 2 × their fast interval, in wall seconds."""

    def __init__(self) -> None:
        self._observed: dict[int, _Observed] = {}
        self._answers: dict[int, tuple[bool, float]] = {}  # while isolated: node -> failed, until
        self._in_flight: set[int] = set()  # healthy before, asked and not yet answered
        self._canaries: dict[str, tuple[int, str]] = {}  # failed in a row, and with which words
        self.isolated = False  # its checker is: what nodes answer counts for the way back
        self.askable = True  # while isolated: there is a node to ask

    def asking(self, node: int) -> None:
        """A node that was healthy is asked: refusals come before answers, so it counts as one that does not fail."""
        self._in_flight.add(node)

    def note(self, node: int, pool: int, observation: Observation, *, first_bad_at: float | None, fast_interval: float) -> None:
        """Take one observation; nodes that were bad before this window are no evidence."""
        window = 2 * fast_interval
        was_bad = first_bad_at is not None and first_bad_at < observation.started_at - window
        self._in_flight.discard(node)
        if self.isolated:
            self.answered(node, observation)
        if observation.verdict == Verdict.UNKNOWN or was_bad:
            self._observed.pop(node, None)
        else:
            self._observed[node] = _Observed(pool, observation.verdict == Verdict.FAIL, observation.started_at + window)

    def answered(self, node: int, observation: Observation) -> None:
        """Take one observation, as an answer while isolated alone."""
        if observation.verdict != Verdict.UNKNOWN:
            self._answers[node] = observation.verdict == Verdict.FAIL, observation.started_at + ANSWER_COUNTS_FOR

    def canary_answered(self, canary: str, trouble: str) -> None:
        """A canary was asked; `trouble` is empty when it answered."""
        failed = self._canaries.get(canary, (0, ""))[0] + 1 if trouble else 0
        self._canaries[canary] = failed, trouble

    def forget(self) -> None:
        """We stood still: what was seen before says nothing about now."""
        self._observed.clear()
        self._in_flight.clear()
        self._answers.clear()

    def sighting(self, now: float, healthy: frozenset[int]) -> Sighting:
        """What is to be left in the ledger; `healthy`: the nodes that count while isolated."""
        self._observed = {node: seen for node, seen in self._observed.items() if seen.until > now}
        self._answers = {node: answer for node, answer in self._answers.items() if answer[1] > now}
        failing = [seen for seen in self._observed.values() if seen.failed]
        answers = [failed for node, (failed, _) in self._answers.items() if node in healthy]
        return Sighting(
            canary_trouble=self._canary_trouble(),
            observed=len(self._observed.keys() | self._in_flight),
            failing=len(failing),
            pools=tuple(sorted({seen.pool for seen in failing})),
            asked=len(answers),
            asked_failing=sum(answers),
            askable=bool(healthy) and self.askable,
        )

    def _canary_trouble(self) -> str:
        """Most canaries are down, in words; empty when they are not."""
        down = {name: trouble for name, (failed, trouble) in self._canaries.items() if failed >= CANARY_TRIES}
        if 2 * len(down) <= len(self._canaries):
            return ""
        name, trouble = next(iter(down.items()))
        many = f", nor do {len(down) - 1} more" if len(down) > 1 else ""
        return f"canary {name} does not answer{many}: {trouble}"[:400]
