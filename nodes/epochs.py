"""Waiting for a pool's epoch to pass a number: one look for all who wait in this process."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from dataclasses import dataclass, field

import psycopg

from nodes import turns
from nodes.ledger.connections import aconnect
from nodes.ledger.epochs import read_epochs
from nodes.ledger.rows import Row

LOOK = 0.2  # s between two looks while anybody waits
PATIENCE = 1.0  # s before a lost database is tried again

_log = logging.getLogger(__name__)


@dataclass
class _Watch:
    """The waiters of one event loop and the task that looks for them."""

    waiting: set[tuple[int, int, asyncio.Future[None]]] = field(default_factory=set)
    task: asyncio.Task[None] | None = None


_watches: dict[asyncio.AbstractEventLoop, _Watch] = {}


async def passed(pool_id: int, epoch: int, timeout: float) -> bool:  # noqa: ASYNC109 - the client's own patience
    """Wait until the pool's epoch is greater than `epoch`; False after `timeout` seconds."""
    loop = asyncio.get_running_loop()
    watch = _watches.setdefault(loop, _Watch())
    arrival: asyncio.Future[None] = loop.create_future()
    entry = (pool_id, epoch, arrival)
    watch.waiting.add(entry)
    if watch.task is None or watch.task.done():
        watch.task = loop.create_task(_look(watch))
    async with turns.asleep():
        try:
            await asyncio.wait_for(arrival, timeout)
        except TimeoutError:
            return False
        finally:
            watch.waiting.discard(entry)
    return True


async def _look(watch: _Watch) -> None:
    """Read all epochs while anybody waits; a database that is away is tried again, the waiters then run into their time-outs."""
    while watch.waiting:
        try:
            async with await aconnect("failover epochs") as connection:
                await _answer(watch, connection)
        except psycopg.Error as error:
            _log.warning("epochs cannot be read: %s", error)
            await asyncio.sleep(PATIENCE)
    _watches.pop(asyncio.get_running_loop(), None)


async def _answer(watch: _Watch, connection: psycopg.AsyncConnection[Row]) -> None:
    while watch.waiting:
        epochs = await read_epochs(connection)
        for pool_id, epoch, arrival in tuple(watch.waiting):
            if epochs.get(pool_id, 0) > epoch and not arrival.done():
                with contextlib.suppress(asyncio.InvalidStateError):
                    arrival.set_result(None)
        await asyncio.sleep(LOOK)
