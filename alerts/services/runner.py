"""Runs the alerts for one term: one loop routes, leases and records, a thread of its own sends each message.

The threads touch no database, so a destination that hangs costs one thread for ten seconds and delays no other message.
Its lease makes it one runner a host; several hosts may run at once, the leases of messages keep them apart.
"""

from __future__ import annotations

import logging
import math
import os
import queue
import random
import socket
import threading
import time
import uuid
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta

import psycopg
from django.db import DatabaseError, InterfaceError, connection
from django.utils import timezone

from alerts.delivery import Outcome, Post, RetryAfter
from alerts.services import destination_watch, destinations, dispatch, outcomes, reconcile, routing
from alerts.services.dead_mans_switch import LEASE, STOP_TIMEOUT, Caller
from alerts.services.dispatch import Leased
from nodes import live
from nodes.ledger import runners
from nodes.ledger.connections import connect
from nodes.ledger.lease_keeper import LeaseKeeper
from nodes.ledger.leases import Slot, give_back
from nodes.ledger.rows import Row
from nodes.ledger.silence_sweep import SilenceSweep
from nodes.sign_of_life import SignOfLife, boot_time

_log = logging.getLogger(__name__)

MOST_IN_FLIGHT = 32
POLL = 0.2  # s
_CHORES_EVERY = 1.0  # s: the row of this runner, clock, superseded messages, successor
_LOOK_AGAIN_EVERY = 60.0  # s: reconciliation
_RECONNECT = 0.25  # s
SET_BACK = 2.0  # s by which the database's clock was set back, from which what waits is due at once


@dataclass(frozen=True, slots=True)
class _Sent:
    leased: Leased
    outcome: Outcome
    began: datetime
    duration: float


class Dispatcher:
    """Routes, leases, sends and records; `round` is one turn of it."""

    def __init__(self, post: Post, host: str = "") -> None:
        self._post, self._host = post, host
        self._owner = uuid.uuid4()
        self._answers: queue.SimpleQueue[_Sent] = queue.SimpleQueue()
        self._unrecorded: list[_Sent] = []
        self._hints: queue.SimpleQueue[int | None] = queue.SimpleQueue()
        self.in_flight = 0
        threading.Thread(target=self._hint, name="hints", daemon=True).start()

    def round(self, now: datetime) -> bool:
        """Route what happened, lease what is due, record what came back; True when there was anything to do."""
        recorded = self._record(now)
        routed = routing.route(now)
        if routed:
            dispatch.expire_superseded(now)
        room = MOST_IN_FLIGHT - self.in_flight
        leased = dispatch.claim(now, room=room, owner=self._owner, host=self._host) if room else []
        for each in leased:
            self.in_flight += 1
            threading.Thread(target=self._send, args=(each, now), name=f"send {each.notification}", daemon=True).start()
        return bool(recorded or routed or leased)

    def wait(self, seconds: float) -> None:
        """Until an answer comes in, or the time is over."""
        try:
            self._unrecorded.append(self._answers.get(timeout=seconds))
        except queue.Empty:
            return

    def finish(self, seconds: float) -> None:
        """Wait for messages on their way and record them; one that takes longer goes out again when its lease ends."""
        until = time.monotonic() + seconds
        while self.in_flight and (left := until - time.monotonic()) > 0:
            self.wait(left)
            self._record(timezone.now())
        self._hints.put(None)

    def _record(self, now: datetime) -> int:
        while not self._answers.empty():
            self._unrecorded.append(self._answers.get())
        recorded = 0
        while self._unrecorded:  # kept when the database is away, so that nothing is sent twice for it
            sent = self._unrecorded[0]
            pool = outcomes.record(sent.leased, sent.outcome, began=sent.began, duration=sent.duration, now=now)
            self._unrecorded.pop(0)
            self.in_flight -= 1
            recorded += 1
            if pool is not None:
                self._hints.put(pool)
        return recorded

    def _send(self, leased: Leased, now: datetime) -> None:
        began = time.monotonic()
        try:
            outcome: Outcome = dispatch.send_leased(leased, self._post, now.timestamp())
        except Exception:  # a fault of ours must not swallow the lease
            _log.exception("notification %s cannot be sent", leased.notification)
            outcome = RetryAfter(None, "the console could not make the message; its log says why", ours=True)
        self._answers.put(_Sent(leased, outcome, now, time.monotonic() - began))

    def _hint(self) -> None:
        """Notify the browsers, in a thread of its own: a Redis that hangs must not hold an alert."""
        while (pool := self._hints.get()) is not None:
            pools = {pool}
            while not self._hints.empty():
                if (more := self._hints.get()) is None:
                    return
                pools.add(more)
            live.hint(pools)


def serve(stopping: Callable[[], bool], post: Post) -> str:
    """Work a term in this host's slot; returns at once when it is taken.  The answer says which."""
    try:
        slot = connect("failover alerts slot")
        slot_host = socket.gethostname()
        keeper = LeaseKeeper.take(slot, Slot("alerts", slot_host))
    except psycopg.OperationalError:
        return "the database is away"  # the next tick asks again
    if keeper is None:
        slot.close()
        return "the slot is taken"
    dispatcher = Dispatcher(post, slot_host)
    term = _Term(keeper, slot)
    try:
        _work(dispatcher, term, stopping)
    finally:
        if not stopping():
            dispatcher.finish(12.0)
            term.close(LEASE)
        else:
            term.say_stopped()
            dispatcher.finish(0.5)
            term.close(STOP_TIMEOUT)
    return "served"


def _work(dispatcher: Dispatcher, term: _Term, stopping: Callable[[], bool]) -> None:
    while not stopping() and not term.is_over:
        try:
            term.chores()
            busy = dispatcher.round(timezone.now() + term.clock_offset)
            term.after_full_turn()
        except (DatabaseError, InterfaceError, psycopg.Error) as error:
            _log.warning(
                "database trouble, beginning again: %s", str(error).splitlines()[0] if str(error) else type(error).__name__
            )
            connection.close()
            time.sleep(_RECONNECT * (0.5 + random.random()))
            continue
        except Exception:  # the loop survives one bad row; it is tried again
            _log.exception("alerts cannot be dispatched")
            time.sleep(1.0)
            continue
        dispatcher.wait(0.01 if busy else POLL)


class _Term:
    """The time in the slot: its lease, its row, the database's clock, and the successor."""

    def __init__(self, keeper: LeaseKeeper, connection: psycopg.Connection[Row]) -> None:
        self._keeper, self._connection = keeper, connection
        self._sign_of_life = SignOfLife()
        self._silence = SilenceSweep()
        self._switch = Caller(keeper.slot.host)
        self._next_chores = self._next_switch = self._next_look = 0.0
        self._signed = False
        self.clock_offset = timedelta()
        self._boot_at = -math.inf

    @property
    def is_over(self) -> bool:
        """Whether the lease is over or a successor has the slot; it does the work."""
        return not self._keeper.held or self._keeper.has_successor

    def chores(self) -> None:
        """Each turn; what is due once a second raises psycopg errors when the database goes away."""
        self._sign_of_life.show()
        self._keeper.turned()
        if time.monotonic() < self._next_chores:
            return
        self._next_chores = time.monotonic() + _CHORES_EVERY
        if self._connection.closed or self._connection.broken:
            self._connection = connect("failover alerts slot")
        self._look_at_the_clock()
        self._silence.each_second(self._connection)
        self._watch(timezone.now() + self.clock_offset)
        self._sign()
        self._keeper.hand_over(self._connection)

    def _watch(self, now: datetime) -> None:
        """What nobody waits for: messages that are over, destinations that fail or leave, and each minute all that was told."""
        dispatch.expire_superseded(now)
        destination_watch.watch(now)
        destinations.finish_leaving(now)
        if time.monotonic() >= self._next_look:
            self._next_look = time.monotonic() + _LOOK_AGAIN_EVERY
            destination_watch.watch_quiet(now)
            reconcile.reconcile(now)

    def after_full_turn(self) -> None:
        """Called when a turn has routed, leased and recorded: the dead man's switch, once a second."""
        if self._keeper.held and time.monotonic() >= self._next_switch:
            self._next_switch = time.monotonic() + _CHORES_EVERY
            try:
                self._switch.after_full_turn()
            except (DatabaseError, InterfaceError):
                raise
            except Exception:  # a fault of ours must not slow the alerts down
                _log.exception("the dead man's switch cannot be called")

    def say_stopped(self) -> None:
        """The worker was asked to end."""
        with suppress(DatabaseError, InterfaceError):
            self._switch.say_stopped()

    def close(self, seconds: float) -> None:
        """Give the slot back, so that the next tick may take it; a call of the switch has so many seconds to end."""
        with suppress(DatabaseError, InterfaceError):
            self._switch.finish(seconds)
        self._sign_of_life.end()
        self._keeper.close()
        with suppress(psycopg.Error):
            give_back(self._connection, self._keeper.term_number)
        self._connection.close()
        connection.close()

    def _look_at_the_clock(self) -> None:
        row = self._connection.execute("SELECT clock_timestamp() AS now").fetchone()
        assert row is not None  # a SELECT of a function answers
        self.clock_offset = row["now"] - timezone.now()
        began = row["now"].timestamp() - boot_time()  # the boot, by the database's clock
        if began < self._boot_at - SET_BACK:
            dispatch.pull_in(row["now"])
        self._boot_at = began

    def _sign(self) -> None:
        slot = self._keeper.slot
        runners.sign(self._connection, kind=slot.kind, host=slot.host, slot=slot.number, pid=os.getpid(), anew=not self._signed)
        self._signed = True
