"""The periodic tasks of a runner, each second: pools that wait for time alone, how its checker stands, its report.

In: what the runner observed of the fleet and of its own loop.  Out: which pools to advance and what browsers are to hear.
Locks: the fleet's row, when that changes how a checker stands; the pools are advanced by the term itself.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

import psycopg

from nodes.egress import Egress
from nodes.engine.enums import Verdict
from nodes.ledger import checkers, clock, fleet, pools_needing_attention, pull_in_due_times, rows, runners
from nodes.ledger.checkers import Sighting, Standing
from nodes.ledger.lease_keeper import LeaseKeeper, LeaseLostError
from nodes.ledger.pools import read_fleet
from nodes.ledger.rows import Cursor, Row
from nodes.probes import probe
from nodes.probes.spec import CheckSpec
from nodes.runner.counters import Counters
from nodes.runner.loop_lag import LoopLag
from nodes.runner.self_check import SelfCheck

REPORT_EVERY = 5.0  # s
SWEEP_AFTER = 5.0  # s of a first term before silence counts against a node: we may just have been away


@dataclass
class Changed:
    """What one second brought: pools to advance, hints to send, whether the fleet's row changed."""

    pools: Sequence[int] = ()
    hints: set[int] = field(default_factory=set)
    fleet: bool = False
    clock_offset: float = 0.0  # s that the database's clock is ahead of ours


class PeriodicTasks:
    """Those of one term in one slot; all but `ask_canaries` run in the writing thread, on its connection."""

    def __init__(
        self, writes: psycopg.Connection[Row], *, keeper: LeaseKeeper, canaries: Sequence[tuple[str, int]], counters: Counters
    ) -> None:
        self._writes, self._keeper, self._canaries, self._counters = writes, keeper, canaries, counters
        self._slot = keeper.slot
        self._began = time.monotonic()
        self._reported = self._began
        self.listening: runners.Listening | None = None
        self.standing = Standing()

    def each_second(self, sighting: Sighting, lag: LoopLag) -> Changed:
        """All that is due this second, by the database's clock."""
        self._keeper.check()
        changed = Changed()
        with self._writes.cursor() as cursor:
            asked = time.time()
            now = clock.now(cursor)
            changed.clock_offset = now - (asked + time.time()) / 2
            self.listening = runners.listening(cursor, now)
            changed.fleet = self.look(sighting) | self._end_pause(cursor, now)
            settled = time.monotonic() - self._began > SWEEP_AFTER
            changed.pools = pools_needing_attention(cursor, sweep_stale=settled)
            if time.monotonic() - self._reported >= REPORT_EVERY:
                self._reported = time.monotonic()
                pull_in_due_times(cursor)
                changed.fleet |= self._report(cursor, lag, now)
        self._keeper.hand_over(self._writes)
        return changed

    def look(self, sighting: Sighting) -> bool:
        """Leave what this runner sees and take note of how its checker stands; True when people see a change."""
        self._keeper.check()
        found = checkers.look(self._writes, self._slot, self._keeper.term_number, sighting)
        if found is None:
            raise LeaseLostError("the lease is over: what this runner sees counts no more")
        self.standing = found
        return found.changed

    async def ask_canaries(self, egress: Egress, self_check: SelfCheck) -> None:
        """Ask the addresses that must answer if this checker is to be believed."""
        asked = [CheckSpec(kind="tcp", host=host, port=port, timeout=1.0) for host, port in self._canaries]
        for spec, seen in zip(asked, await asyncio.gather(*(probe(spec, egress) for spec in asked)), strict=True):
            trouble = (seen.message or "no answer") if seen.verdict in (Verdict.FAIL, Verdict.UNKNOWN) else ""
            self_check.canary_answered(f"{spec.host}:{spec.port}", trouble)

    def _end_pause(self, cursor: Cursor, now: float) -> bool:
        """A pause of all automation that was given an end is over."""
        hold = rows.hold(read_fleet(cursor)["paused"])
        if hold is None or hold.until is None or hold.until > now:
            return False
        with self._writes.transaction():
            return fleet.resume(cursor, "engine", now)

    def _report(self, cursor: Cursor, lag: LoopLag, now: float) -> bool:
        with self._writes.transaction():
            self._counters.report(cursor, self._slot, rows.moment(now), stalls=lag.take_stalls(), loop_lag=lag.take_worst())
        return checkers.judge_lateness(cursor, self._slot.host) | checkers.judge_resolver(cursor, self._slot.host)
