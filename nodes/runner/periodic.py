"""The periodic tasks of a runner, each second beside its checks: pools that wait for time alone, its trust in itself, its report.

In: what the runner observed of the fleet and of its own loop.  Out: which pools to advance and what browsers are to hear.
Locks: the fleet's row, when automation is held or let go; the pools are advanced by the term itself.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field

import psycopg

from nodes.egress import Egress
from nodes.engine.enums import Verdict
from nodes.engine.types import Hold
from nodes.ledger import fleet, pools_needing_attention, pull_in_due_times, rows, runners
from nodes.ledger.lease_keeper import LeaseKeeper
from nodes.ledger.pools import read_fleet
from nodes.ledger.rows import Cursor, Row
from nodes.probes import probe
from nodes.probes.spec import CheckSpec
from nodes.runner.counters import Counters
from nodes.runner.loop_lag import LONG_STALL, LoopLag
from nodes.runner.self_check import SelfCheck

REPORT_EVERY = 5.0  # s
SWEEP_AFTER = 5.0  # s of a first term before silence counts against a node: we may just have been away
CLEAR_AFTER = 10.0  # s under the limit that end an isolation
LATE_P99 = 1.0  # s
ON_TIME_P99 = 0.25  # s
REPORTS_TO_TELL = 2  # late reports in a row before it is told, and on-time ones before it is taken back


@dataclass
class Changed:
    """What one second brought: pools to advance, hints to send, whether the fleet's row changed."""

    pools: Sequence[int] = ()
    hints: set[int] = field(default_factory=set)
    fleet: bool = False


class PeriodicTasks:
    """Those of one term in one slot; all but `canaries` run in the writing thread, on its connection."""

    def __init__(
        self, writes: psycopg.Connection[Row], *, keeper: LeaseKeeper, canaries: Sequence[tuple[str, int]], counters: Counters
    ) -> None:
        self._writes, self._keeper, self._canaries, self._counters = writes, keeper, canaries, counters
        self._slot = keeper.slot
        self._began = time.monotonic()
        self._reported = self._began
        self._late_reports = 0
        self.listening_since: float | None = None

    def each_second(self, self_check: SelfCheck, lag: LoopLag, now: float) -> Changed:
        """All that is due this second."""
        self._keeper.check()
        changed = Changed()
        with self._writes.cursor() as cursor:
            self.listening_since = runners.listening_since(cursor, now)
            changed.fleet = self.hold_or_let_go(self_check, now, lag.take_longest()) | self._end_pause(cursor, now)
            settled = time.monotonic() - self._began > SWEEP_AFTER
            changed.pools = pools_needing_attention(cursor, sweep_stale=settled)
            if time.monotonic() - self._reported >= REPORT_EVERY:
                self._reported = time.monotonic()
                pull_in_due_times(cursor)
                changed.fleet |= self._report(cursor, lag, now)
        self._keeper.hand_over(self._writes)
        return changed

    def hold_or_let_go(self, self_check: SelfCheck, now: float, stall: float = 0.0) -> bool:
        """Hold automation when this runner cannot be believed, end the hold when it can; True when that changed."""
        self._keeper.check()
        with self._writes.cursor() as cursor:
            held = read_fleet(cursor)["isolated"] is not None
            trouble = self_check.trouble(now, held=held)
            if stall > LONG_STALL:
                trouble = f"the check loop stood still for {stall:.1f} s"
            if trouble and not held:
                with self._writes.transaction():
                    return fleet.isolate(cursor, Hold(trouble, owner=self._name, since=now), now)
            if held and self_check.clear(now, CLEAR_AFTER):
                with self._writes.transaction():
                    return fleet.rejoin(cursor, self._name, now)
        return False

    async def canaries(self, egress: Egress) -> str:
        """Ask the addresses that must answer if we are to believe ourselves; the first trouble in words."""
        for host, port in self._canaries:
            seen = await probe(CheckSpec(kind="tcp", host=host, port=port, timeout=1.0), egress)
            if seen.verdict in (Verdict.FAIL, Verdict.UNKNOWN):
                return f"canary {host}:{port} does not answer: {seen.message}"
        return ""

    def _end_pause(self, cursor: Cursor, now: float) -> bool:
        """A pause of all automation that was given an end is over."""
        hold = rows.hold(read_fleet(cursor)["paused"])
        if hold is None or hold.until is None or hold.until > now:
            return False
        with self._writes.transaction():
            return fleet.resume(cursor, "engine", now)

    @property
    def _name(self) -> str:
        return f"{self._slot.host}/{self._slot.number}"

    def _report(self, cursor: Cursor, lag: LoopLag, now: float) -> bool:
        with self._writes.transaction():
            p99 = self._counters.report(cursor, self._slot, rows.moment(now), stalls=lag.take_stalls(), loop_lag=lag.take_worst())
        told = read_fleet(cursor)["late_told"]
        turned = p99 < ON_TIME_P99 if told else p99 > LATE_P99
        self._late_reports = self._late_reports + 1 if turned else 0
        if self._late_reports < REPORTS_TO_TELL:
            return False
        self._late_reports = 0
        with self._writes.transaction():
            return fleet.tell_late(cursor, not told, p99, now)
