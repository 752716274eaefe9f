"""What a runner does each second beside checking: time's own work, its trust in itself, its figures, its successor."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field

import psycopg

from nodes.egress import Egress
from nodes.engine.enums import Verdict
from nodes.engine.types import Hold
from nodes.ledger import fleet, pools_needing_attention, rows
from nodes.ledger.claims import SLOT_LOCKS, slot_holder
from nodes.ledger.rows import Row
from nodes.probes import probe
from nodes.probes.spec import CheckSpec
from nodes.runner.figures import Figures
from nodes.runner.sight import LONG_STALL, Pulse, Sight

REPORT_EVERY = 5.0  # s
SWEEP_AFTER = 5.0  # s of a first term before silence counts against a node: we may just have been away
CLEAR_AFTER = 10.0  # s under the limit that end an isolation
LATE_P99 = 1.0  # s
ON_TIME_P99 = 0.25  # s
REPORTS_TO_TELL = 2  # late reports in a row before it is told, and on-time ones before it is taken back
WEB_SILENT = 15.0  # s without a sign of any web process: a push could not have reached us


@dataclass
class Changed:
    """What the second brought: pools to advance, hints to send, whether the fleet's row changed."""

    pools: Sequence[int] = ()
    hints: set[int] = field(default_factory=set)
    fleet: bool = False


class Duties:
    """Bound to one slot and one term; all but `canaries` run in the writing thread."""

    def __init__(
        self,
        writes: psycopg.Connection[Row],
        claims: psycopg.Connection[Row],
        *,
        host: str,
        slot: int,
        lock: int,
        until: float,
        canaries: Sequence[tuple[str, int]],
        figures: Figures,
    ) -> None:
        self._writes, self._claims, self._figures = writes, claims, figures
        self._host, self._slot, self._lock, self._until = host, slot, lock, until
        self._canaries = canaries
        self._began = time.monotonic()
        self._reported = self._began
        self._late_reports = 0
        self._offered = False
        self.relieved = False
        self.listening_since: float | None = None

    def each_second(self, sight: Sight, pulse: Pulse, now: float) -> Changed:
        changed = Changed()
        with self._writes.cursor() as cursor:
            self._listening(cursor, now)
            changed.fleet = self.judge(sight, now, pulse.take_longest()) | self._end_pause(now)
            settled = time.monotonic() - self._began > SWEEP_AFTER
            changed.pools = pools_needing_attention(cursor, sweep_stale=settled)
            if time.monotonic() - self._reported >= REPORT_EVERY:
                self._reported = time.monotonic()
                changed.fleet |= self._report(cursor, pulse, now)
            if time.monotonic() >= self._until:
                self._hand_over(cursor)
        return changed

    def judge(self, sight: Sight, now: float, stall: float = 0.0) -> bool:
        """Hold automation when this runner cannot be believed, end the hold when it can; True when that changed."""
        with self._writes.cursor() as cursor:
            cursor.execute("SELECT isolated FROM nodes_fleetstate WHERE id = 1")
            row = cursor.fetchone()
            held = row is not None and row["isolated"] is not None
            trouble = sight.trouble(now, held=held)
            if stall > LONG_STALL:
                trouble = f"the check loop stood still for {stall:.1f} s"
            if trouble and not held:
                with self._writes.transaction():
                    return fleet.isolate(cursor, Hold(trouble, owner=self._name, since=now), now)
            if held and sight.clear(now, CLEAR_AFTER):
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

    def _end_pause(self, now: float) -> bool:
        """A pause of all automation that was given an end is over."""
        with self._writes.cursor() as cursor:
            cursor.execute("SELECT paused FROM nodes_fleetstate WHERE id = 1")
            row = cursor.fetchone()
            hold = rows.hold(row["paused"]) if row else None
            if hold is None or hold.until is None or hold.until > now:
                return False
            with self._writes.transaction():
                return fleet.resume(cursor, "engine", now)

    @property
    def _name(self) -> str:
        return f"{self._host}/{self._slot}"

    def _listening(self, cursor: psycopg.Cursor[Row], now: float) -> None:
        """Since when pushes could reach us without a break."""
        cursor.execute(
            "SELECT min(started_at) AS since FROM nodes_runner WHERE kind = 'web' AND seen_at > %s",
            (rows.moment(now - WEB_SILENT),),
        )
        row = cursor.fetchone()
        self.listening_since = None if row is None else rows.seconds(row["since"])

    def _report(self, cursor: psycopg.Cursor[Row], pulse: Pulse, now: float) -> bool:
        stalls, pulse.stalls = pulse.stalls, 0
        p99 = self._figures.report(cursor, (self._host, self._slot), rows.moment(now), stalls=stalls)
        cursor.execute("SELECT late_told FROM nodes_fleetstate WHERE id = 1")
        row = cursor.fetchone()
        told = row is not None and row["late_told"]
        turned = p99 < ON_TIME_P99 if told else p99 > LATE_P99
        self._late_reports = self._late_reports + 1 if turned else 0
        if self._late_reports < REPORTS_TO_TELL:
            return False
        self._late_reports = 0
        with self._writes.transaction():
            return fleet.tell_late(cursor, not told, p99, now)

    def _hand_over(self, cursor: psycopg.Cursor[Row]) -> None:
        """Offer the slot; with the broker away nobody takes it, and the term goes on."""
        if not self._offered:
            self._offered = True
            cursor.execute("SELECT pg_advisory_unlock(%s, %s)", (SLOT_LOCKS, self._lock))
        elif slot_holder(cursor, self._lock) is not None:
            self.relieved = True
