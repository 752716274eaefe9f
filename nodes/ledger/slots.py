"""Slots: at most one runner of a kind works in a slot of a host; how it takes that place, hands it over and who holds it.

In: a connection that lives as long as the runner works.  Out: whether the slot is this runner's, and whether a successor has it.
Lock held: one advisory lock a slot, by that connection's session; when the session ends, however it ends, the slot is free.
"""

from __future__ import annotations

import random
import time
from typing import Literal
from zlib import crc32

import psycopg

from nodes.ledger.rows import Row

Kind = Literal["checks", "alerts"]

TERM = (30.0, 60.0)  # s; drawn anew each time, so that terms do not end together
_LOCKS: dict[Kind, int] = {"checks": 0x0FA12, "alerts": 0x0FA13}  # advisory lock classes; the second key is made of host and slot


class Slot:
    """A slot of `host` for one term; the term ends 30 to 60 s from now, and goes on until a successor has the slot."""

    def __init__(self, kind: Kind, host: str, number: int = 0) -> None:
        self.kind, self.host, self.number = kind, host, number
        self.has_successor = False
        self._offered = False
        self._until = time.monotonic() + random.uniform(*TERM)

    @property
    def key(self) -> tuple[int, int]:
        """The two numbers of its advisory lock, the second a signed one of 32 bits."""
        return _LOCKS[self.kind], crc32(f"{self.host}/{self.number}".encode()) & 0x7FFFFFFF

    def take(self, connection: psycopg.Connection[Row]) -> bool:
        """Take the slot for this connection's session; False when another has it."""
        self._offered = False
        row = connection.execute("SELECT pg_try_advisory_lock(%s, %s) AS taken", self.key).fetchone()
        return row is not None and bool(row["taken"])

    def hand_over(self, connection: psycopg.Connection[Row]) -> None:
        """Asked each second: offers the slot once the term is over, then notes when a successor has it.

        With the broker away no successor comes, and the term goes on.
        """
        if time.monotonic() < self._until:
            return
        if not self._offered:
            self._offered = True
            connection.execute("SELECT pg_advisory_unlock(%s, %s)", self.key)
        elif self._is_held(connection):
            self.has_successor = True

    def _is_held(self, connection: psycopg.Connection[Row]) -> bool:
        held = connection.execute(
            """SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND classid = %s AND objid = %s AND objsubid = 2 AND granted
               AND database = (SELECT oid FROM pg_database WHERE datname = current_database())""",
            self.key,
        )
        return held.fetchone() is not None
