"""Runs the alerts for one term: one loop routes, leases and records, a thread of its own sends each message.

The threads touch no database, so a destination that hangs costs one thread for ten seconds and delays no other message.
The slot's advisory lock makes it one runner a host; several hosts may run at once, the leases keep them apart.
"""

from __future__ import annotations

import logging
import os
import queue
import random
import socket
import threading
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from zlib import crc32

import psycopg
from django.db import DatabaseError, InterfaceError, connection
from django.utils import timezone

from alerts.delivery import Outcome, Post, RetryAfter
from alerts.services import dispatch, routing
from alerts.services.dispatch import Leased
from nodes import live
from nodes.ledger.connections import connect
from nodes.ledger.rows import Row
from nodes.models import Runner

_log = logging.getLogger(__name__)

SLOT_LOCKS = 0x0FA13  # advisory lock class; the second key is made of the host
TERM = (30.0, 60.0)  # s
MOST_IN_FLIGHT = 32
POLL = 0.2  # s
_CHORES_EVERY = 1.0  # s: heartbeat, clock, superseded messages, successor
_RECONNECT = 0.25  # s


@dataclass(frozen=True, slots=True)
class _Sent:
    leased: Leased
    outcome: Outcome
    began: datetime
    duration: float


class Dispatcher:
    """Routes, leases, sends and records; `round` is one turn of it."""

    def __init__(self, post: Post) -> None:
        self._post = post
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
        leased = dispatch.claim(now, room=room, owner=self._owner) if room else []
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
            pool = dispatch.record(sent.leased, sent.outcome, began=sent.began, duration=sent.duration, now=now)
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


def slot_key(host: str) -> int:
    """The advisory lock's second key, a signed 32-bit number."""
    return crc32(host.encode()) & 0x7FFFFFFF


def serve(stopping: Callable[[], bool], post: Post) -> str:
    """Work a term in this host's slot; returns at once when it is taken.  The answer says which."""
    host = socket.gethostname()
    try:
        slot = connect("failover alerts slot")
    except psycopg.OperationalError:
        return "the database is away"  # the next tick asks again
    if not _take(slot, host):
        slot.close()
        return "the slot is taken"
    dispatcher = Dispatcher(post)
    term = _Term(slot, host, until=time.monotonic() + random.uniform(*TERM))
    try:
        _work(dispatcher, term, stopping)
    finally:
        if not stopping():
            dispatcher.finish(12.0)
        else:
            dispatcher.finish(0.5)
        term.close()
    return "served"


def _work(dispatcher: Dispatcher, term: _Term, stopping: Callable[[], bool]) -> None:
    while not stopping() and not term.relieved:
        try:
            term.chores()
            busy = dispatcher.round(timezone.now() + term.clock_offset)
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
    """The slot of this term: its lock, its heartbeat, the database's clock, and the successor."""

    def __init__(self, slot: psycopg.Connection[Row], host: str, *, until: float) -> None:
        self._slot, self._host, self._until = slot, host, until
        self._next_chores = 0.0
        self._offered = False
        self._began = timezone.now()
        self.relieved = False
        self.clock_offset = timedelta()

    def chores(self) -> None:
        """Once a second.  With the broker away nobody takes the slot that is offered, and the term goes on."""
        if time.monotonic() < self._next_chores:
            return
        self._next_chores = time.monotonic() + _CHORES_EVERY
        if self._slot.closed or self._slot.broken:
            self._slot = connect("failover alerts slot")
            self._offered = False
            if not _take(self._slot, self._host):
                self.relieved = True  # another was first; it does the work
                return
        self._look_at_the_clock()
        dispatch.expire_superseded(timezone.now() + self.clock_offset)
        self._show_up()
        if time.monotonic() >= self._until:
            self._hand_over()

    def close(self) -> None:
        self._slot.close()
        connection.close()

    def _look_at_the_clock(self) -> None:
        row = self._slot.execute("SELECT clock_timestamp() AS now").fetchone()
        assert row is not None  # a SELECT of a function answers
        self.clock_offset = row["now"] - timezone.now()

    def _show_up(self) -> None:
        now = timezone.now() + self.clock_offset
        here = {"pid": os.getpid(), "started_at": self._began, "seen_at": now}
        Runner.objects.update_or_create(host=self._host, kind="alerts", slot=0, defaults=here)

    def _hand_over(self) -> None:
        if not self._offered:
            self._offered = True
            self._slot.execute("SELECT pg_advisory_unlock(%s, %s)", (SLOT_LOCKS, slot_key(self._host)))
        else:
            self.relieved = _holder(self._slot, self._host)


def _take(slot: psycopg.Connection[Row], host: str) -> bool:
    row = slot.execute("SELECT pg_try_advisory_lock(%s, %s) AS taken", (SLOT_LOCKS, slot_key(host))).fetchone()
    return row is not None and bool(row["taken"])


def _holder(slot: psycopg.Connection[Row], host: str) -> bool:
    """Whether a successor holds the slot."""
    row = slot.execute(
        """SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND classid = %s AND objid = %s AND objsubid = 2 AND granted
           AND database = (SELECT oid FROM pg_database WHERE datname = current_database())""",
        (SLOT_LOCKS, slot_key(host)),
    ).fetchone()
    return row is not None
