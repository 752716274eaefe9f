"""Sweeps for silence: tells once when nobody watches the fleet, and once when somebody does again.

In: each second of the alert runner that holds the slot.  Out: the events `checks_missing` and `checks_resumed`.
Lock: the fleet's row, when one is told.
A sweep that has not run for ten seconds without a gap in either clock may just have been away itself, and a check runner that
has just begun is given time.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import psycopg

from nodes.ledger import clock, fleet
from nodes.ledger.rows import Row
from nodes.ledger.silence import look_for_silence
from nodes.sign_of_life import boot_time

STEADY = 10.0  # s
GAP = 2.0  # s
BEGINNING = 20.0  # s of a check runner


class SilenceSweep:
    """One for each term of an alert runner; it reads the clock that counts on through a suspend and the one on the wall."""

    def __init__(self, boot: Callable[[], float] = boot_time, wall: Callable[[], float] = time.time) -> None:
        self._boot, self._wall = boot, wall
        self._steady_since = self._last = boot()
        self._offset = wall() - self._last

    def each_second(self, connection: psycopg.Connection[Row]) -> bool:
        """Look, and tell what changed; True when something was told."""
        if not self._is_steady():
            return False
        with connection.transaction(), connection.cursor() as cursor:
            found = look_for_silence(cursor)
            told = fleet.missing_told(cursor)
            began = found.newest_runner is not None and found.newest_runner < BEGINNING
            if told and found.over:
                return fleet.tell_missing(cursor, False, "Checks have results again", clock.now(cursor))
            if not told and found.missing and not began:
                return fleet.tell_missing(cursor, True, found.sentence, clock.now(cursor))
        return False

    def _is_steady(self) -> bool:
        now, offset = self._boot(), self._wall() - self._boot()
        if now - self._last > GAP or abs(offset - self._offset) > GAP:
            self._steady_since = now
        self._last, self._offset = now, offset
        return now - self._steady_since >= STEADY
