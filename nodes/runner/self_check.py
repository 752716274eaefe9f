"""Detects that this checker, not the fleet, is in trouble: canaries that do not answer, and many failures at once.

In: this runner's own observations, since it is the checker that may be cut off, not the fleet.  Out: the trouble in words.
The lag of the loop is measured beside it (`loop_lag`).
"""

from __future__ import annotations

from dataclasses import dataclass

from nodes.engine.enums import Verdict
from nodes.engine.guards import isolation
from nodes.engine.types import Observation

THRESHOLD = 0.5  # part of the nodes observed, healthy before, that fail together


@dataclass(frozen=True, slots=True)
class _Observed:
    pool: int
    failed: bool
    until: float


class SelfCheck:
    """What this runner observed of nodes that were healthy, over 2 × their fast interval; wall seconds."""

    def __init__(self) -> None:
        self._observed: dict[int, _Observed] = {}
        self._clear_since: float | None = None
        self.canary_trouble = ""

    def note(self, node: int, pool: int, observation: Observation, *, first_bad_at: float | None, fast_interval: float) -> None:
        """Take one observation; nodes that were bad before this window are no evidence."""
        window = 2 * fast_interval
        was_bad = first_bad_at is not None and first_bad_at < observation.started_at - window
        if observation.verdict == Verdict.UNKNOWN or was_bad:
            self._observed.pop(node, None)
        else:
            self._observed[node] = _Observed(pool, observation.verdict == Verdict.FAIL, observation.started_at + window)

    def trouble(self, now: float, *, held: bool) -> str:
        """Why this console should not be believed, in words; empty when it may be."""
        if self.canary_trouble:
            return self.canary_trouble
        self._observed = {node: seen for node, seen in self._observed.items() if seen.until > now}
        failing = [seen for seen in self._observed.values() if seen.failed]
        pools = len({seen.pool for seen in failing})
        if isolation(len(self._observed), len(failing), pools, THRESHOLD, held=held):
            return f"{len(failing)} of {len(self._observed)} nodes that were healthy fail together, in {pools} pools"
        return ""

    def clear(self, now: float, interval: float) -> bool:
        """Whether nothing spoke against us for one interval; asked while automation is held."""
        if self.trouble(now, held=True) or not self._observed:
            self._clear_since = None
            return False
        if self._clear_since is None:
            self._clear_since = now
        return now - self._clear_since >= interval
