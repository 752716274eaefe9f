"""Heartbeats that reach this web process: gathered, written together on a connection of their own, answered after the commit.

The same connection, after the same queue, signs that this process listens: so the sign stands for heartbeats that are answered,
and silence in which we took none is no node's fault.  Whatever we refused, lost or slept through is a miss, and the sign says when
the last one was.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import time
from collections import OrderedDict
from contextlib import suppress
from dataclasses import dataclass, field

import psycopg

from nodes.ledger import runners
from nodes.ledger.connections import aconnect
from nodes.ledger.heartbeats import Call, note_heartbeats
from nodes.ledger.rows import Row
from nodes.models.checks import push_digest

SIGN_EVERY = 1.0  # s
BATCH = 500  # heartbeats of one statement
WAITING = 2_000  # heartbeats; more are refused
PATIENCE = 2.0  # s until a heartbeat is given up
AGAIN = 0.02  # s until a row that somebody held is tried again
RECONNECT = 0.5  # s
PLACES = 20_000  # remembered
STALL = 1.0  # s that the loop may be late; a caller may have given up meanwhile

_log = logging.getLogger(__name__)
_missed_at: float | None = None  # monotonic
_places: OrderedDict[str, None] = OrderedDict()  # from which heartbeats were taken, the last one last


def last_miss() -> float | None:
    """When this process last may have lost a heartbeat, by the monotonic clock; None when it never did."""
    return _missed_at


def address(node_id: int) -> str:
    """Where a node calls, below the console's own address."""
    return f"/push/{node_id}/"


class NotTakenError(Exception):
    """The heartbeat could not be written in time; that is ours, not the node's."""


def missed(where: str = "") -> None:
    """A heartbeat may have been lost to this process just now: one from `where`, or from anybody.

    A place from which none was ever taken sends none: a stranger cannot have us doubt the silence of nodes elsewhere.
    """
    global _missed_at
    if not where or where in _places:
        _missed_at = time.monotonic()


@dataclass
class _Writer:
    """The heartbeats that wait in one event loop, and the task that writes them."""

    waiting: list[tuple[Call, float, asyncio.Future[bool]]] = field(default_factory=list)
    arrived: asyncio.Event = field(default_factory=asyncio.Event)
    signs_for: int | None = None  # the port whose process this is
    signed_at: float = 0.0  # monotonic
    task: asyncio.Task[None] | None = None


_writers: dict[asyncio.AbstractEventLoop, _Writer] = {}


async def take(node_id: int, secret: str, where: str = "") -> bool:
    """Write a node's heartbeat that came from `where`; False when the secret is not that node's.  Raises `NotTakenError`."""
    loop = asyncio.get_running_loop()
    writer = _writer(loop)
    if len(writer.waiting) >= WAITING:
        missed()
        raise NotTakenError
    answer: asyncio.Future[bool] = loop.create_future()
    writer.waiting.append(((node_id, push_digest(secret)), time.monotonic() + PATIENCE, answer))
    writer.arrived.set()
    try:
        async with asyncio.timeout(PATIENCE + SIGN_EVERY):
            known = await answer
    except (TimeoutError, psycopg.Error) as error:
        missed()
        raise NotTakenError from error
    if known and where:
        _remember(where)
    return known


def _remember(where: str) -> None:
    _places[where] = None
    _places.move_to_end(where)
    if len(_places) > PLACES:
        _places.popitem(last=False)


async def listen(port: int) -> None:
    """Sign that this process listens on a port, as long as the caller lets it."""
    writer = _writer(asyncio.get_running_loop())
    writer.signs_for = port
    missed()  # as far as anybody knows, nobody listened before
    try:
        while True:
            asked = time.monotonic()
            await asyncio.sleep(SIGN_EVERY / 2)
            if time.monotonic() - asked > SIGN_EVERY / 2 + STALL:
                missed()
            _writer(asyncio.get_running_loop()).arrived.set()
    finally:
        writer.signs_for = None


def _writer(loop: asyncio.AbstractEventLoop) -> _Writer:
    writer = _writers.get(loop) or _writers.setdefault(loop, _Writer())
    if writer.task is None or writer.task.done():
        writer.task = loop.create_task(_write_for_ever(writer))
    return writer


async def _write_for_ever(writer: _Writer) -> None:
    """Ends with its loop."""
    try:
        while True:
            try:
                async with await aconnect("failover web heartbeats") as connection:
                    while True:
                        await _turn(writer, connection)
            except psycopg.Error as error:
                missed()
                _log.warning("heartbeats cannot be written: %s", str(error).partition("\n")[0])
                _fail(writer, error)
                await asyncio.sleep(RECONNECT)
    finally:
        _writers.pop(asyncio.get_running_loop(), None)


async def _turn(writer: _Writer, connection: psycopg.AsyncConnection[Row]) -> None:
    """Write what waits, and sign when that is due."""
    if not writer.waiting:
        await writer.arrived.wait()
    writer.arrived.clear()
    batch, writer.waiting[:BATCH] = writer.waiting[:BATCH], []
    try:
        written = await note_heartbeats(connection, [call for call, _, _ in batch]) if batch else {}
        await _sign(writer, connection)
    except BaseException:
        writer.waiting[:0] = batch  # somebody waits for each of them
        raise
    now, held = time.monotonic(), []
    for entry in batch:
        call, until, answer = entry
        if written.get(call, True):
            _answer(answer, call in written)
        elif now < until:
            held.append(entry)
        else:
            _refuse(answer, TimeoutError())
    if held:
        writer.waiting[:0] = held
        await asyncio.sleep(AGAIN)


async def _sign(writer: _Writer, connection: psycopg.AsyncConnection[Row]) -> None:
    now = time.monotonic()
    if writer.signs_for is None or now - writer.signed_at < SIGN_EVERY:
        return
    news = None if _missed_at is None or _missed_at < writer.signed_at else now - _missed_at
    await runners.sign_listening(connection, host=socket.gethostname(), port=writer.signs_for, pid=os.getpid(), missed_for=news)
    writer.signed_at = now


def _fail(writer: _Writer, error: Exception) -> None:
    batch, writer.waiting[:] = tuple(writer.waiting), []
    for _, _, answer in batch:
        _refuse(answer, error)


def _answer(answer: asyncio.Future[bool], known: bool) -> None:
    with suppress(asyncio.InvalidStateError):  # whoever asked has left
        answer.set_result(known)


def _refuse(answer: asyncio.Future[bool], error: Exception) -> None:
    with suppress(asyncio.InvalidStateError):
        answer.set_exception(error)
