"""Writes batches of reports, in a few threads with a connection each; those of the pages are left alone.

A connection that was lost while it was idle is replaced and the work done again, once; work whose commit was on its way is not.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

import psycopg
from django.conf import settings

from nodes.ledger import PoolGoneError, reported, undecided
from nodes.ledger.connections import connect
from nodes.ledger.reported import Answer, NoSuchNodeError, Told
from nodes.ledger.rows import Cursor, Row

APPLICATION = "failover reports"
LOCK = 250  # ms that a batch waits for its pool: others wait for the thread
FAILED_IN_A_ROW = 3  # reports of a batch, each by itself, after which the others are not tried: it is the pool, not a report

_AWAY = "the database did not answer in time; report again, with the same Idempotency-Key if you gave one"
_TROUBLES = (psycopg.OperationalError, psycopg.InterfaceError, psycopg.InternalError)
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Unavailable:
    """Why a report was not counted, or why that is not known: a sentence, seconds until the next try, and the cause for the log."""

    sentence: str
    retry_after: int
    why: str = ""


def away(error: BaseException) -> Unavailable:
    """A database that did not answer, or not in time."""
    why = str(error).partition("\n")[0] or type(error).__name__
    return Unavailable(_AWAY, 2, why)


def fault(error: Exception) -> Unavailable:
    """What should not be."""
    return Unavailable(
        "a fault of the console; report again, with the same Idempotency-Key if you gave one", 10, undecided.cause(error)
    )


class Writers:
    """At the most `settings.REPORT_CONNECTIONS` connections, each used by one thread at a time, kept open between two uses."""

    def __init__(self) -> None:
        self.most = settings.REPORT_CONNECTIONS
        self._threads = ThreadPoolExecutor(self.most, "reports")
        self._idle: list[psycopg.Connection[Row]] = []  # the last used first: few are open while there is little to do

    def look(self, nodes: Sequence[int]) -> Future[tuple[dict[int, int], float] | Unavailable]:
        """The pools of these nodes, and the database's clock in seconds since the epoch."""
        return self._threads.submit(self._look, nodes)

    def count(self, pool_id: int, told: Sequence[Told]) -> Future[list[Answer | Unavailable] | None]:
        """Count a batch; an answer for each report, or None when another one keeps the pool, and none was counted."""
        return self._threads.submit(self._count, pool_id, told)

    def close(self) -> None:
        """Do what was begun, then close the connections."""
        self._threads.shutdown()
        while self._idle:
            self._idle.pop().close()

    def _look(self, nodes: Sequence[int]) -> tuple[dict[int, int], float] | Unavailable:
        try:
            return self._done(lambda cursor: reported.pools_of(cursor, nodes))
        except _TROUBLES as error:
            return away(error)

    def _done(self, work: Callable[[Cursor], _T]) -> _T:
        while True:
            kept = self._kept()
            connection = kept or connect(APPLICATION, lock_timeout=LOCK)
            finished = False
            try:
                with connection.transaction(), connection.cursor() as cursor:
                    found = work(cursor)
                    finished = True
                return found
            except psycopg.Error:
                if finished or kept is None or not connection.closed:
                    raise
            finally:
                if not connection.closed:
                    self._idle.append(connection)

    def _kept(self) -> psycopg.Connection[Row] | None:
        try:
            return self._idle.pop()  # in one go: another thread may take the last one
        except IndexError:
            return None

    def _count(self, pool_id: int, told: Sequence[Told]) -> list[Answer | Unavailable] | None:
        try:
            return list(self._done(lambda cursor: reported.count(cursor, pool_id, told)))
        except PoolGoneError:
            return [NoSuchNodeError(NoSuchNodeError.__doc__) for _ in told]
        except psycopg.errors.LockNotAvailable:
            return None
        except _TROUBLES as error:
            return [away(error)] * len(told)
        except Exception as error:  # a report that breaks the step, a row edited by hand, a fault of ours
            return [_undecided(error)] if len(told) == 1 else self._singly(pool_id, told)

    def _singly(self, pool_id: int, told: Sequence[Told]) -> list[Answer | Unavailable]:
        """Each report by itself: one that alone breaks the batch costs the others nothing."""
        answers: list[Answer | Unavailable] = []
        failed = 0
        for each in told:
            if failed < FAILED_IN_A_ROW:
                (answer,) = self._count(pool_id, [each]) or [away(TimeoutError("another one keeps the pool"))]
                failed = failed + 1 if isinstance(answer, Unavailable) else 0
            answers.append(answer)
        return answers


def _undecided(error: Exception) -> Unavailable:
    """As every act on such a pool says it; the runner that decides it next notes and tells the trouble."""
    cause = undecided.cause(error)
    return Unavailable(f"not counted, report again later: This pool cannot be decided: {cause}", 10, cause)
