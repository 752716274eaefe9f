"""Turns events of the outbox into notifications, in one transaction: each is written once, whichever process dies when.

Input: the outbox, the rules and destinations in force, the keys.  Output: notifications to be sent, keys with what they told.
Locks: the router's advisory lock, then the rows of the outbox that it takes.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Sequence
from datetime import datetime

from django.db import InterfaceError, OperationalError, connection, transaction
from django.db.models import F, QuerySet

from alerts.rules import Event, is_alertable, trouble_of
from alerts.services import in_force
from alerts.services.in_force import InForce
from alerts.services.own_events import append_event
from alerts.services.telling import event_of, tell
from nodes.engine.enums import EventType
from nodes.engine.event_types import event as make_event
from nodes.models import Event as EventRow
from nodes.models import Outbox

ROUTING_LOCK = 0x0FA14  # advisory lock: one router at a time, so that an end is never decided before its beginning
MOST_TRIES = 3
_BATCH = 200
_MOST_MORE = 2000
LONGEST_BATCH = 1.0  # s after which what was decided is committed: the runner's lease and its sign of life wait for it

_log = logging.getLogger(__name__)


def route(now: datetime, *, limit: int = _BATCH) -> int:
    """Decide about up to `limit` events; returns how many were taken from the outbox.

    Events of one pool have rising numbers in the order of their commits, since the pool's row is locked while they are written.
    """
    waiting = Outbox.objects.filter(given_up_at=None)
    if not waiting.exists():
        return 0
    with transaction.atomic():
        if not lock():
            return 0
        taken = _take(waiting, limit)
        rows = EventRow.objects.filter(pk__in=taken).select_related("pool", "node", "incident", "failover").order_by("pk")
        done, failed = _Pass(now).take(rows)
        Outbox.objects.filter(pk__in=done).delete()
        for row, error in failed:
            _count_failure(row, error, now)
    return len(done)


def _take(waiting: QuerySet[Outbox], limit: int) -> list[int]:
    """The numbers of the oldest events; what else waits of their pools comes along, for one step's events are told together."""
    unlocked = waiting.select_for_update(of=("self",), skip_locked=True).order_by("pk")
    first = list(unlocked.values_list("pk", "event__pool_id")[:limit])
    taken = [number for number, _ in first]
    if len(first) < limit:
        return taken
    pools = {pool for _, pool in first} - {None}
    rest = unlocked.filter(event__pool_id__in=pools, pk__gt=taken[-1])
    return taken + list(rest.values_list("pk", flat=True)[:_MOST_MORE])


Failed = list[tuple[EventRow, Exception]]


class _Pass:
    """One transaction of routing; the rules and destinations are read once an event needs them: most passes need none."""

    def __init__(self, now: datetime) -> None:
        self._now = now
        self._in_force: InForce | None = None
        self._done: list[int] = []
        self._failed: Failed = []

    def take(self, rows: Iterable[EventRow]) -> tuple[list[int], Failed]:
        """The numbers of the events that were decided about, and those that could not be, with why."""
        groups: dict[str, dict[int, tuple[EventRow, Event]]] = {}
        for row in rows:
            try:
                event = event_of(row)
                alertable = is_alertable(event)
            except ValueError as error:  # of a type or severity of another version
                _log.exception("event %s cannot be read", row.pk)
                self._failed.append((row, error))
                continue
            if alertable:
                groups.setdefault(_concern(event), {})[row.pk] = (row, event)
            else:
                self._done.append(row.pk)
        until = time.monotonic() + LONGEST_BATCH
        for group in groups.values():
            self._tell_group(list(group.values()))
            if time.monotonic() > until:
                break
        return self._done, self._failed

    def _tell_group(self, group: Sequence[tuple[EventRow, Event]]) -> None:
        """Tell a group together; if that fails each of its events alone, so that one that cannot be told takes no other along."""
        error = self._try(group)
        if error is None:
            self._done += [row.pk for row, _ in group]
        elif len(group) == 1:
            self._failed.append((group[0][0], error))
        else:
            for each in group:
                self._tell_group([each])

    def _try(self, group: Sequence[tuple[EventRow, Event]]) -> Exception | None:
        """Decide about these, in a savepoint.  Raises what the database itself has."""
        if self._in_force is None:
            self._in_force = in_force.load()  # what fails here is no fault of an event's
        try:
            with transaction.atomic():
                tell({row.pk: row for row, _ in group}, [event for _, event in group], self._in_force, self._now)
        except (OperationalError, InterfaceError):
            raise
        except Exception as error:  # a row of another version, or a fault of ours
            _log.exception("event %s cannot be told", group[0][0].pk)
            return error
        return None


def _concern(event: Event) -> str:
    """What an event is about in the widest sense: events of one pool are decided about together, in their order."""
    return f"pool/{event.pool}" if event.pool is not None else trouble_of(event) or f"event/{event.number}"


def _count_failure(row: EventRow, error: Exception, now: datetime) -> None:
    """After three tries the event is given up, and that is told."""
    Outbox.objects.filter(pk=row.pk).update(tries=F("tries") + 1)
    given_up = Outbox.objects.filter(pk=row.pk, tries__gte=MOST_TRIES).update(given_up_at=now)
    if not given_up or row.type == EventType.EVENT_GIVEN_UP:  # what tells of it may fail as well, and would be told for ever
        return
    said = f"Event {row.pk} ({row.type}) is given up, nobody is notified of it: {type(error).__name__}: {error}"
    told = make_event(EventType.EVENT_GIVEN_UP, said[:500], detail={"event": row.pk}, actor="alerts")
    append_event(told, now)


def lock() -> bool:
    """Take the router's lock until the end of the transaction; False when another router has it."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_xact_lock(%s)", [ROUTING_LOCK])
        row = cursor.fetchone()
    return row is not None and bool(row[0])
