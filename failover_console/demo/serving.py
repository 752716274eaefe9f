"""Runs the demo's servers while the demo is in the inventory, in one process per database.

The nodes of one inventory lead to one fleet: a console that shares its database with another waits until that one's demo ends.
Locks: a session's advisory lock, for as long as the servers run.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Mapping

import psycopg
from django.conf import settings
from django.db import DatabaseError, connection

from failover_console.demo import inventory, ports
from failover_console.demo.door import Door
from failover_console.demo.fleet import Fleet
from failover_console.demo.layout import HOST
from failover_console.demo.pages import Pages
from failover_console.demo.receiver import Receiver
from failover_console.demo.traffic import Traffic
from failover_console.environment import own_url
from nodes.ledger.connections import connect
from nodes.ledger.rows import Row

LOOK_EVERY = 2.0  # s between looks whether the demo was added, removed or taken over
_LOCK = 0x0DE30  # advisory lock of the process that runs the demo's servers

Say = Callable[[str], None]


class Turn:
    """Whether it is this process that runs the servers; a database that is away changes nothing."""

    def __init__(self, say: Say) -> None:
        self._say = say
        self._session: psycopg.Connection[Row] | None = None
        self._mine = self._waited = False
        self._locked_by_session = False

    def ours(self) -> bool:
        with contextlib.suppress(DatabaseError, psycopg.Error):
            self._mine = _installed() and self._locked()
        return self._mine

    def end(self) -> None:
        if self._session is not None:
            self._session.close()

    def _locked(self) -> bool:
        """Hold the lock, or learn that another process does."""
        if self._session is None or self._session.closed:
            self._session = connect("failover demo")
            self._locked_by_session = False
        if self._locked_by_session:
            self._session.execute("SELECT 1")  # as long as the session lives it has the lock
            return True
        row = self._session.execute("SELECT pg_try_advisory_lock(%s) AS mine", (_LOCK,)).fetchone()
        assert row is not None  # a select of one row
        self._locked_by_session = bool(row["mine"])
        if not self._locked_by_session and not self._waited:
            self._say("another console on this database runs the demo's servers; they start here when those end")
        self._waited = not self._locked_by_session
        return self._locked_by_session


async def serve_until(stop: asyncio.Event, say: Say) -> None:
    """Run the servers while it is our turn.  Raises OSError when no port can be had at all."""
    turn = Turn(say)
    while not stop.is_set():
        if await asyncio.to_thread(turn.ours):
            await _serve_while_ours(turn, stop, say)
        await _until(stop)
    turn.end()


async def _serve_while_ours(turn: Turn, stop: asyncio.Event, say: Say) -> None:
    try:
        named = await asyncio.to_thread(_named_ports)
    except DatabaseError:
        return  # the next look tries again
    doors = _claim(named, say)
    fleet, receiver = Fleet(doors, settings.DATA_DIR / "demo.json"), Receiver()
    await fleet.start()
    await receiver.start(doors[ports.RECEIVER])
    await doors[ports.SWITCHES].open(Pages(fleet, receiver).answer)
    callers = asyncio.create_task(_call_models())
    say(f"demo switches at http://{HOST}:{doors[ports.SWITCHES].port}")
    led = False
    while not stop.is_set() and await asyncio.to_thread(turn.ours):
        led = led or await asyncio.to_thread(_lead, {part: door.port for part, door in doors.items()})
        await _until(stop)
    callers.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await callers
    doors[ports.SWITCHES].close()
    receiver.stop()
    fleet.stop()
    if not stop.is_set():
        say("the demo was removed, or another console runs it now: its servers here have ended")


def _claim(named: Mapping[str, int], say: Say) -> dict[str, Door]:
    """The doors, and a line for each that is not where it was."""
    before = {**named, **ports.remembered(settings.DATA_DIR)}
    doors = ports.claim(settings.DATA_DIR, named)
    for part, door in doors.items():
        if part in before and door.port != before[part]:
            say(f"port {before[part]} is taken by another program: {part} of the demo is at {door.port} from now on")
    return doors


async def _call_models() -> None:
    while True:
        with contextlib.suppress(DatabaseError):
            token = await asyncio.to_thread(_token)
            await Traffic(own_url(settings.HOST, settings.PORT), token).run()
        await asyncio.sleep(LOOK_EVERY)


async def _until(stop: asyncio.Event) -> None:
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(stop.wait(), LOOK_EVERY)


def _installed() -> bool:
    try:
        return inventory.installed()
    finally:
        connection.close()


def _named_ports() -> dict[str, int]:
    try:
        return inventory.ports()
    finally:
        connection.close()


def _token() -> str:
    try:
        return inventory.traffic_token()
    finally:
        connection.close()


def _lead(taken: Mapping[str, int]) -> bool:
    """Let the inventory lead to our ports; False when the database could not take it, to be tried again."""
    try:
        inventory.lead_to(taken)
    except DatabaseError:
        return False
    finally:
        connection.close()
    return True
