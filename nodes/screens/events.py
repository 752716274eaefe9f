"""The page of events: the newest that a search finds, read anew as a whole, so that one that commits late is in its place."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import urlencode

from django.db.models import TextField
from django.db.models.expressions import RawSQL

from nodes.engine.enums import EventType
from nodes.models import Event
from nodes.screens.event_search import EVERYTHING, EventSearch, Place
from nodes.screens.fragments import Fragment, Screen, by_id
from nodes.screens.history_lines import EventLine, event_lines

SHOWN = 50  # events
WITH_IT = 20  # events of the same change
_ADDRESS = "address"  # of the actor, in an event's detail


@dataclass(frozen=True, slots=True)
class EventList:
    """A page of events, and the query of the next older one; empty when there is none."""

    events: tuple[EventLine, ...]
    older: str


NOTHING = EventList((), "")


def events(key: str, now: datetime) -> Screen | None:
    """The newest events of a search by its key; None when that is no key."""
    search = EventSearch.of(key)
    return None if search is None else event_screen(search, now)


def event_screen(search: EventSearch, now: datetime, *, before: Place | None = None) -> Screen:
    """The events of a search, those before an instant and number if there is one."""
    lines = search.newest(SHOWN + 1, before=before)
    listed = EventList(tuple(lines[:SHOWN]), _older(search, lines[SHOWN - 1]) if len(lines) > SHOWN else "")
    context = {"listed": listed, "key": search.key, "now": now}
    return Screen(context, by_id(Fragment("events", "nodes/events.html#events", "listed", listed)))


def _older(search: EventSearch, last: EventLine) -> str:
    place = urlencode({"before_at": last.at.isoformat(), "before": last.id})
    return place if search.key == EVERYTHING else f"{search.key}&{place}"


@dataclass(frozen=True, slots=True)
class EventRecord:
    """One event with its detail, and what the same change wrote."""

    line: EventLine
    detail: tuple[tuple[str, Any], ...]
    with_it: tuple[EventLine, ...]


def event_record(event_id: int, *, private: bool) -> EventRecord | None:
    """None when there is no such event; `private` for who may read about users: where somebody sat, what of an account changed."""
    found = Event.objects.filter(pk=event_id)
    line = next(iter(event_lines(found)), None)
    if line is None:
        return None
    same = RawSQL("SELECT xid FROM nodes_event WHERE id = %s", (event_id,), output_field=TextField())
    others = (
        Event.objects.annotate(xid=RawSQL("nodes_event.xid", (), output_field=TextField())).filter(xid=same).exclude(pk=event_id)
    )
    detail = found.values_list("detail", flat=True).get()
    shown = detail if private or not isinstance(detail, dict) else _public(line.type, detail)
    return EventRecord(line, _items(shown), event_lines(others.order_by("-at", "-pk")[:WITH_IT]))


def _public(event_type: str, detail: dict[str, Any]) -> dict[str, Any]:
    if event_type == EventType.ACCOUNT_CHANGED:
        return {}
    return {name: value for name, value in detail.items() if name != _ADDRESS}


def _items(detail: Any) -> tuple[tuple[str, Any], ...]:
    """What is known beside the sentence, as label and value; of another shape than ours as one value."""
    if not isinstance(detail, dict):
        return (("detail", detail),)
    return tuple((str(name).replace("_", " "), value) for name, value in detail.items() if value not in ("", None, []))
