"""How far a runner may trust its own eyes: stalls of its loop, canaries, and failures too many at once.

A runner judges by what it saw itself, since it is the checker that may be cut off, not the fleet.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from nodes.engine.enums import Verdict
from nodes.engine.guards import isolation
from nodes.engine.types import Observation

TICK = 0.1  # s between two looks of the loop at itself
STALL = 0.5  # s without a look after which failures seen meanwhile prove nothing
LONG_STALL = 5.0  # s; automation holds after one
THRESHOLD = 0.5  # part of the nodes seen, well before, that fail together


class Pulse:
    """The loop's own heartbeat, in monotonic seconds; whoever was asked during a stall gives no evidence."""

    def __init__(self, now: float) -> None:
        self._last = now
        self._stalled_until = -1.0
        self.stalls = 0
        self.longest = 0.0

    def beat(self, now: float) -> None:
        late = now - self._last - TICK
        if late > STALL:
            self._stalled_until = now
            self.stalls += 1
            self.longest = max(self.longest, late)
        self._last = now

    def stalled_since(self, start: float, now: float) -> bool:
        """Whether the loop stood still at some time after `start`."""
        return self._stalled_until >= start or now - self._last - TICK > STALL

    def take_longest(self) -> float:
        """The longest stall since last asked."""
        longest, self.longest = self.longest, 0.0
        return longest


def excuse(observation: Observation, *, stalled: bool) -> Observation:
    """A failure seen while we stood still is ours, not the node's."""
    if stalled and observation.verdict == Verdict.FAIL:
        return replace(
            observation, verdict=Verdict.UNKNOWN, message=f"not counted, our own loop stalled: {observation.message}"[:200]
        )
    return observation


@dataclass(frozen=True, slots=True)
class _Seen:
    pool: int
    failed: bool
    until: float


class Sight:
    """What this runner saw of nodes that were well, over 2 × their fast interval; wall seconds."""

    def __init__(self) -> None:
        self._seen: dict[int, _Seen] = {}
        self._clear_since: float | None = None
        self.canary_trouble = ""

    def note(self, node: int, pool: int, observation: Observation, *, first_bad_at: float | None, fast_interval: float) -> None:
        """Take one observation; nodes that were bad before this window are no evidence."""
        window = 2 * fast_interval
        was_bad = first_bad_at is not None and first_bad_at < observation.started_at - window
        if observation.verdict == Verdict.UNKNOWN or was_bad:
            self._seen.pop(node, None)
        else:
            self._seen[node] = _Seen(pool, observation.verdict == Verdict.FAIL, observation.started_at + window)

    def trouble(self, now: float, *, held: bool) -> str:
        """Why this console should not be believed, in words; empty when it may be."""
        if self.canary_trouble:
            return self.canary_trouble
        self._seen = {node: seen for node, seen in self._seen.items() if seen.until > now}
        failing = [seen for seen in self._seen.values() if seen.failed]
        pools = len({seen.pool for seen in failing})
        if isolation(len(self._seen), len(failing), pools, THRESHOLD, held=held):
            return f"{len(failing)} of {len(self._seen)} nodes that were well fail together, in {pools} pools"
        return ""

    def clear(self, now: float, interval: float) -> bool:
        """Whether nothing spoke against us for one interval; asked while automation is held."""
        if self.trouble(now, held=True) or not self._seen:
            self._clear_since = None
            return False
        if self._clear_since is None:
            self._clear_since = now
        return now - self._clear_since >= interval
