"""Keeps a runner's lease while its working loop turns.

In: the loop's turns.  Out: whether the lease holds, by this machine's boot-time clock, which counts on through a suspend.
A thread with a connection of its own renews, so that neither a slow write nor canaries cost the lease; a loop that stood still
for three seconds is not renewed for.  A lease that a renewal was refused for is lost for good: the term ends.
"""

from __future__ import annotations

import random
import threading
import time
from collections import deque
from contextlib import suppress
from typing import Self

import psycopg

from nodes.ledger import leases
from nodes.ledger.connections import connect
from nodes.ledger.leases import LENGTH, RENEW_EVERY, Slot
from nodes.ledger.rows import Row
from nodes.sign_of_life import boot_time

TERM = (30.0, 60.0)  # s; drawn anew each time, so that terms do not end together
LONGEST_TURN = 3.0  # s
RETRY = 0.5  # s
_STATEMENT = 1500  # ms


class LeaseLostError(Exception):
    """The lease is over: others may do the work, so nothing more is judged, written or reported in this term."""


class LeaseKeeper:
    """The lease of one term in a slot; the term ends 30 to 60 s from its beginning, once a successor has the slot."""

    def __init__(self, slot: Slot, term_number: int, taken_at: float) -> None:
        self.slot, self.term_number = slot, term_number
        self.has_successor = False
        self.lost = False  # a renewal was refused
        self._offered = False
        self._term_ends = time.monotonic() + random.uniform(*TERM)
        self._held_until, self._turned_at = taken_at + LENGTH, taken_at
        self._awake: deque[float] = deque(maxlen=16)  # when the keeping thread last ran, by the clock of the working loop
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._keep, name="lease", daemon=True)

    @classmethod
    def take(cls, connection: psycopg.Connection[Row], slot: Slot) -> Self | None:
        """Take the slot and keep it from now on; None while another has it."""
        asked_at = boot_time()
        term_number = leases.take(connection, slot, length=LENGTH)
        if term_number is None:
            return None
        keeper = cls(slot, term_number, asked_at)
        keeper._thread.start()
        return keeper

    @property
    def held(self) -> bool:
        """Whether the lease is certainly ours at this instant."""
        return not self.lost and boot_time() < self._held_until

    def check(self) -> None:
        """Asked before each act; raises `LeaseLostError`."""
        if not self.held:
            raise LeaseLostError(f"the lease of slot {self.slot.number} ({self.slot.kind}) is over")

    def turned(self) -> None:
        """The working loop has turned."""
        self._turned_at = boot_time()

    def ran_between(self, begin: float, end: float) -> bool:
        """Whether this process worked at all between two instants of `time.monotonic`, while the loop stood still."""
        return any(begin < each < end for each in tuple(self._awake))

    def hand_over(self, connection: psycopg.Connection[Row]) -> None:
        """Asked each second: offers the slot once the term is over, then notes when a successor has it.

        With the broker away no successor comes, and the term goes on.
        """
        if time.monotonic() < self._term_ends:
            return
        if not self._offered:
            self._offered = True
            leases.offer(connection, self.term_number)
        else:
            self.has_successor = leases.has_successor(connection, self.term_number)

    def close(self) -> None:
        """Renew no more."""
        self._closing.set()
        self._thread.join()

    def _keep(self) -> None:
        connection: psycopg.Connection[Row] | None = None
        wait = RENEW_EVERY
        while not self._closing.wait(wait):
            wait = RETRY
            self._awake.append(time.monotonic())
            if boot_time() - self._turned_at > LONGEST_TURN:
                continue  # it hangs: the lease runs out
            try:
                connection = connection or connect("failover lease", statement_timeout=_STATEMENT)
                asked_at = boot_time()
                if not leases.renew(connection, self.term_number, length=LENGTH):
                    self.lost = True
                    break
                self._held_until, wait = asked_at + LENGTH, RENEW_EVERY
            except psycopg.Error:
                _close(connection)
                connection = None
        _close(connection)


def _close(connection: psycopg.Connection[Row] | None) -> None:
    if connection is not None:
        with suppress(psycopg.Error):
            connection.close()
