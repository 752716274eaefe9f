"""A web process sweeps for silence while no alert runner lives, in a thread with a connection of its own.

While one lives it costs one look at the leases a second.  What is told waits in the outbox for the next alert runner, and shows on
the pages meanwhile.
"""

from __future__ import annotations

import logging
import math
import threading
import time

import psycopg

from nodes.ledger.connections import connect
from nodes.ledger.leases import lives
from nodes.ledger.rows import Row
from nodes.ledger.silence_sweep import SilenceSweep

EVERY = 1.0  # s
AGAIN = 2.0  # s after trouble with the database

_answered_at = math.inf  # monotonic: when the database last answered this process's watch; none runs yet

_log = logging.getLogger(__name__)


class SilenceWatch:
    """The sweep of this process, from `start` to `stop`."""

    def __init__(self) -> None:
        self._over = threading.Event()

    def start(self) -> None:
        threading.Thread(target=self._watch, name="silence", daemon=True).start()

    def stop(self) -> None:
        """Sweep no more; a look under way ends by itself."""
        global _answered_at
        self._over.set()
        _answered_at = math.inf

    def _watch(self) -> None:
        global _answered_at
        sweep = SilenceSweep()
        _answered_at = time.monotonic()
        while not self._over.is_set():
            try:
                with connect("failover web silence") as connection:
                    while not self._over.wait(EVERY):
                        look(connection, sweep)
                        _answered_at = time.monotonic()
            except psycopg.Error as error:
                _log.info("silence is not watched for: %s", error)
                self._over.wait(AGAIN)
            except Exception:  # the watch outlives a row that cannot be read
                _log.exception("silence cannot be watched for")
                self._over.wait(AGAIN)


def database_silent_for() -> float:
    """Seconds since the database last answered the watch of this process; 0 where none runs."""
    return max(0.0, time.monotonic() - _answered_at)


def look(connection: psycopg.Connection[Row], sweep: SilenceSweep) -> bool:
    """One turn: a sweep if no alert runner lives; True when something was told."""
    if lives(connection, "alerts"):
        sweep.turn()
        return False
    return sweep.each_second(connection)
