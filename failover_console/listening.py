"""A sign of life of this web process: pushes can only be missed while somebody could have received them."""

from __future__ import annotations

import logging
import os
import socket
import threading
import time

import psycopg
from django.conf import settings

from nodes.ledger.connections import connect
from nodes.ledger.rows import Row

EVERY = 5.0  # s
BREAK = 15  # s without a sign after which presence begins anew

_log = logging.getLogger(__name__)

_SIGN = """
INSERT INTO nodes_runner (host, slot, kind, pid, started_at, seen_at, checks, late, stale_results, stalls, lateness_p50,
                          lateness_p99, lateness_histogram, latency_buckets, latency_sum, verdicts)
VALUES (%(host)s, %(slot)s, 'web', %(pid)s, now(), now(), 0, 0, 0, 0, 0, 0, '{}', '{}', 0, '{}')
ON CONFLICT (host, kind, slot) DO UPDATE SET pid = excluded.pid, seen_at = excluded.seen_at,
    started_at = CASE WHEN nodes_runner.seen_at > now() - make_interval(secs => %(break)s)
                      THEN nodes_runner.started_at ELSE excluded.started_at END
"""


def announce() -> None:
    """Sign for as long as this process lives, from a thread with a connection of its own."""
    threading.Thread(target=_sign_for_ever, name="presence", daemon=True).start()


def sign(connection: psycopg.Connection[Row], *, host: str, slot: int, pid: int) -> None:
    """One sign of life; after a silence of `BREAK` seconds the presence counts from now on."""
    connection.execute(_SIGN, {"host": host, "slot": slot, "pid": pid, "break": BREAK})


def _sign_for_ever() -> None:
    while True:
        try:
            with connect("failover web presence") as connection:
                while True:
                    sign(connection, host=socket.gethostname(), slot=settings.PORT, pid=os.getpid())
                    time.sleep(EVERY)
        except psycopg.Error as error:
            _log.info("presence not signed: %s", error)
            time.sleep(EVERY)
