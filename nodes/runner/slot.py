"""Serves a slot of this host with check runners: takes a free one, works a term, begins anew when that was lost."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import random
import socket
from collections.abc import Callable

import psycopg
import uvloop
from django.conf import settings

from nodes.egress import Egress, Names
from nodes.ledger import checkers, leases, runners
from nodes.ledger.connections import connect
from nodes.ledger.lease_keeper import LeaseKeeper, LeaseLostError
from nodes.ledger.leases import Slot
from nodes.ledger.rows import Row
from nodes.runner.counters import Counters
from nodes.runner.periodic import PeriodicTasks
from nodes.runner.term import Term
from nodes.sign_of_life import EVERY as SIGN_EVERY
from nodes.sign_of_life import SignOfLife

_log = logging.getLogger(__name__)

SLOTS = 2  # runners on a host; its worker has one child more, so that ticks are answered
RECONNECT = 0.25  # s
_names = Names()  # of all terms of this process: what was resolved in one serves the next


def serve(stopping: Callable[[], bool]) -> str:
    """Work a term in the first free slot; returns within milliseconds when there is none.  The answer says which."""
    host = socket.gethostname()
    writes = connect("failover runner")
    for number in range(SLOTS):
        keeper = LeaseKeeper.take(writes, Slot("checks", host, number))
        if keeper is not None:
            _set_memory_aside()
            uvloop.run(_serve(writes, keeper, stopping))
            return f"served slot {number}"
    writes.close()
    return "all slots are taken"


def _set_memory_aside() -> None:
    """Let collections during the term pass over what is there before it: to look through all of Django takes 100 ms each time.

    What has become garbage since the last term is collected first.
    """
    gc.unfreeze()
    gc.collect()
    gc.freeze()


async def _serve(writes: psycopg.Connection[Row], taken: LeaseKeeper, stopping: Callable[[], bool]) -> None:
    """Serve the slot, and show the supervisor that the loop turns, whether or not the database answers."""
    signs = asyncio.create_task(_show_signs())
    try:
        await _serve_slot(writes, taken, stopping)
    finally:
        signs.cancel()


async def _show_signs() -> None:
    sign = SignOfLife()
    try:
        while True:
            sign.show()
            await asyncio.sleep(SIGN_EVERY)
    finally:
        sign.end()


async def _serve_slot(writes: psycopg.Connection[Row], taken: LeaseKeeper, stopping: Callable[[], bool]) -> None:
    """Work until the term is over; when the database or the lease is lost, begin anew as soon as both can be had."""
    connection: psycopg.Connection[Row] | None = writes
    slot, keeper, ended = taken.slot, taken, None
    while not stopping():
        try:
            if connection is None:
                connection = connect("failover runner")
                if ended is not None and not ended.lost:
                    leases.give_back(connection, ended.term_number)  # or our own lease would stand in our way
                again = LeaseKeeper.take(connection, slot)
                if again is None:
                    connection.close()
                    return  # another runner was first; it does the work
                keeper = again
            claims = connect("failover runner claims")
            with connection, claims:
                await _work(claims, connection, keeper, stopping)
            return
        except (psycopg.Error, LeaseLostError) as error:
            _log.warning("beginning again: %s", error)
            connection = None
            ended = keeper
            await asyncio.sleep(RECONNECT * (0.5 + random.random()))
        finally:
            keeper.close()


async def _work(
    claims: psycopg.Connection[Row], writes: psycopg.Connection[Row], keeper: LeaseKeeper, stopping: Callable[[], bool]
) -> None:
    slot = keeper.slot
    runners.sign(writes, kind=slot.kind, host=slot.host, slot=slot.number, pid=os.getpid(), anew=True)
    checkers.begin(writes, slot.host, keeper.term_number)
    counters = Counters()
    periodic = PeriodicTasks(writes, keeper=keeper, canaries=settings.CANARIES, counters=counters)
    egress = Egress.for_checks(settings.EGRESS_ALLOW, _names)
    await Term(claims, writes, keeper=keeper, egress=egress, stopping=stopping, periodic=periodic, counters=counters).run()
