"""Measures how far this runner's event loop lags: what was asked while the loop stood still is no evidence against a node."""

from __future__ import annotations

from dataclasses import replace

from nodes.engine.enums import Verdict
from nodes.engine.types import Observation

TICK = 0.1  # s between two looks of the loop at itself
STALL = 0.5  # s without a look after which failures seen meanwhile prove nothing
LONG_STALL = 5.0  # s; what was asked before one is dropped, and two of them speak against the checker


class LoopLag:
    """What the loop's ticks show, in monotonic seconds: `tick` each `TICK`, then ask for stalls."""

    def __init__(self, now: float) -> None:
        self._last = now
        self._stalled_until = -1.0
        self._stalls = 0
        self._worst = 0.0

    def tick(self, now: float) -> float:
        """The loop turned; for how long it had stood still, in seconds."""
        late = now - self._last - TICK
        self._worst = max(self._worst, late)
        if late > STALL:
            self._stalled_until = now
            self._stalls += 1
        self._last = now
        return max(0.0, late)

    def stalled_since(self, start: float, now: float) -> bool:
        """Whether the loop stood still at some time after `start`."""
        return self._stalled_until >= start or now - self._last - TICK > STALL

    def take_worst(self) -> float:
        """The latest that the loop turned since last asked, stall or not, in seconds."""
        worst, self._worst = self._worst, 0.0
        return worst

    def take_stalls(self) -> int:
        """The number of stalls since last asked."""
        stalls, self._stalls = self._stalls, 0
        return stalls


def discount(observation: Observation, *, stalled: bool) -> Observation:
    """A failure that came up while our loop stood still counts as unknown: the trouble was ours."""
    if stalled and observation.verdict == Verdict.FAIL:
        return replace(
            observation, verdict=Verdict.UNKNOWN, message=f"not counted, our own loop stalled: {observation.message}"[:200]
        )
    return observation
