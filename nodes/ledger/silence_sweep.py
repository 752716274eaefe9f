"""Sweeps for silence: tells once that nobody watches the fleet, a pool or a node, and once that somebody does again.

In: a turn each second, of the alert runner that holds its slot, or of a web process while no alert runner lives.
Out and locks: those of `nodes.ledger.silence`.
A sweep that has not run for ten seconds without a gap in either clock may just have been away itself.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import psycopg

from nodes.ledger.rows import Row
from nodes.ledger.silence import tell_silence
from nodes.sign_of_life import boot_time

STEADY = 10.0  # s
GAP = 2.0  # s
PATIENCE = 25.0  # s of a steady sweep in which a runner may begin; one that does so again and again is silence too


class SilenceSweep:
    """One for each term or process; it reads the clock that counts on through a suspend and the one on the wall."""

    def __init__(self, boot: Callable[[], float] = boot_time, wall: Callable[[], float] = time.time) -> None:
        self._boot, self._wall = boot, wall
        self._steady_since = self._last = boot()
        self._offset = wall() - self._last

    def each_second(self, connection: psycopg.Connection[Row]) -> bool:
        """Look, and tell what changed; True when something was told."""
        steady = self.turn()
        told = steady >= STEADY and tell_silence(connection, patient=steady < PATIENCE)
        self._last = self._boot()  # a turn that takes long, for a lock perhaps, is no gap
        return told

    def turn(self) -> float:
        """A turn without a look; returns for how many seconds there was none without the next."""
        now, offset = self._boot(), self._wall() - self._boot()
        if now - self._last > GAP or abs(offset - self._offset) > GAP:
            self._steady_since = now
        self._last, self._offset = now, offset
        return now - self._steady_since
