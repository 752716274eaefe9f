"""A slot: at most one runner at a time works in it, on this host."""

from __future__ import annotations

import asyncio
import logging
import os
import random
import socket
import time
from collections.abc import Callable
from zlib import crc32

import psycopg
import uvloop
from django.conf import settings

from nodes.egress import Egress
from nodes.ledger.claims import SLOT_LOCKS
from nodes.ledger.connections import connect
from nodes.ledger.rows import Row, moment
from nodes.runner.duties import Duties
from nodes.runner.figures import Figures
from nodes.runner.term import Term

_log = logging.getLogger(__name__)

SLOTS = 2  # runners on a host; its worker has one child more, so that ticks are answered
TERM = (30.0, 60.0)  # s; drawn anew each time, so that terms do not end together
RECONNECT = 0.25  # s


def slot_lock(host: str, slot: int) -> int:
    """The advisory lock's second key, a signed 32-bit number."""
    return crc32(f"{host}/{slot}".encode()) & 0x7FFFFFFF


def serve(stopping: Callable[[], bool]) -> str:
    """Work a term in the first free slot; returns within milliseconds when there is none.  The answer says which."""
    host = socket.gethostname()
    writes = connect("failover runner")
    for slot in range(SLOTS):
        if _take(writes, slot_lock(host, slot)):
            uvloop.run(_term(writes, host, slot, stopping))
            return f"served slot {slot}"
    writes.close()
    return "all slots are taken"


def _take(connection: psycopg.Connection[Row], lock: int) -> bool:
    row = connection.execute("SELECT pg_try_advisory_lock(%s, %s) AS taken", (SLOT_LOCKS, lock)).fetchone()
    return row is not None and bool(row["taken"])


async def _term(writes: psycopg.Connection[Row], host: str, slot: int, stopping: Callable[[], bool]) -> None:
    """Work until the term is over; when the database goes away, begin again with new sessions as soon as it is back."""
    until = time.monotonic() + random.uniform(*TERM)
    connection: psycopg.Connection[Row] | None = writes
    while not stopping():
        try:
            if connection is None:
                connection = connect("failover runner")
                if not _take(connection, slot_lock(host, slot)):
                    return  # another runner was first; it does the work
            claims = connect("failover runner claims")
            with connection, claims:
                await _work(claims, connection, host, slot, until, stopping)
            return
        except psycopg.OperationalError as error:
            _log.warning("database lost, beginning again: %s", error)
            connection = None
            await asyncio.sleep(RECONNECT * (0.5 + random.random()))


async def _work(
    claims: psycopg.Connection[Row],
    writes: psycopg.Connection[Row],
    host: str,
    slot: int,
    until: float,
    stopping: Callable[[], bool],
) -> None:
    _register(writes, host, slot)
    figures = Figures()
    duties = Duties(
        writes, claims, host=host, slot=slot, lock=slot_lock(host, slot), until=until, canaries=settings.CANARIES, figures=figures
    )
    egress = Egress.for_checks(settings.EGRESS_ALLOW)
    await Term(claims, writes, egress=egress, stopping=stopping, duties=duties, figures=figures).run()


def _register(connection: psycopg.Connection[Row], host: str, slot: int) -> None:
    now = moment(time.time())
    connection.execute(
        """INSERT INTO nodes_runner (host, slot, kind, pid, started_at, seen_at, checks, late, stale_results, stalls, lateness_p50,
                                     lateness_p99, lateness_histogram, latency_buckets, latency_sum, verdicts)
           VALUES (%s, %s, 'checks', %s, %s, %s, 0, 0, 0, 0, 0, 0, '{}', '{}', 0, '{}')
           ON CONFLICT (host, kind, slot)
           DO UPDATE SET pid = excluded.pid, started_at = excluded.started_at, seen_at = excluded.seen_at""",
        (host, slot, os.getpid(), now, now),
    )
