"""Serves a slot of this host with check runners: takes a free one, works a term, begins again when the database was away."""

from __future__ import annotations

import asyncio
import logging
import os
import random
import socket
from collections.abc import Callable

import psycopg
import uvloop
from django.conf import settings

from nodes.egress import Egress
from nodes.ledger import runners
from nodes.ledger.connections import connect
from nodes.ledger.rows import Row
from nodes.ledger.slots import Slot
from nodes.runner.counters import Counters
from nodes.runner.periodic import PeriodicTasks
from nodes.runner.term import Term

_log = logging.getLogger(__name__)

SLOTS = 2  # runners on a host; its worker has one child more, so that ticks are answered
RECONNECT = 0.25  # s


def serve(stopping: Callable[[], bool]) -> str:
    """Work a term in the first free slot; returns within milliseconds when there is none.  The answer says which."""
    host = socket.gethostname()
    writes = connect("failover runner")
    for number in range(SLOTS):
        slot = Slot("checks", host, number)
        if slot.take(writes):
            uvloop.run(_serve(writes, slot, stopping))
            return f"served slot {number}"
    writes.close()
    return "all slots are taken"


async def _serve(writes: psycopg.Connection[Row], slot: Slot, stopping: Callable[[], bool]) -> None:
    """Work until the term is over; when the database goes away, begin again with new sessions as soon as it is back."""
    connection: psycopg.Connection[Row] | None = writes
    while not stopping():
        try:
            if connection is None:
                connection = connect("failover runner")
                if not slot.take(connection):
                    return  # another runner was first; it does the work
            claims = connect("failover runner claims")
            with connection, claims:
                await _work(claims, connection, slot, stopping)
            return
        except psycopg.OperationalError as error:
            _log.warning("database lost, beginning again: %s", error)
            connection = None
            await asyncio.sleep(RECONNECT * (0.5 + random.random()))


async def _work(claims: psycopg.Connection[Row], writes: psycopg.Connection[Row], slot: Slot, stopping: Callable[[], bool]) -> None:
    runners.sign(writes, kind=slot.kind, host=slot.host, slot=slot.number, pid=os.getpid(), anew=True)
    counters = Counters()
    periodic = PeriodicTasks(writes, slot=slot, canaries=settings.CANARIES, counters=counters)
    egress = Egress.for_checks(settings.EGRESS_ALLOW)
    await Term(claims, writes, slot=slot, egress=egress, stopping=stopping, periodic=periodic, counters=counters).run()
