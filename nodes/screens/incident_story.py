"""All that is stored about one incident, in one query, however long it was: what its page and its post-mortem are made of."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import connection

from nodes.engine.enums import EventType
from nodes.screens.history_lines import EventLine, IncidentRow

AROUND = timedelta(minutes=4)  # the move, on the band
EVENTS = 500  # newest
CHANGES = 1000  # decisions, failures
CHECKS = 20_000
_POINTS = 400
_BEFORE = 30  # incidents of the pool
_ENDS = (EventType.RECOVERY_COMPLETED.value, EventType.FAILURE_ENDED.value)


@dataclass(frozen=True, slots=True)
class NodeFailure:
    """A failure of the incident, with how its node is now."""

    node: int
    name: str
    cause: str
    message: str
    had_share: bool
    first_bad_at: datetime
    marked_at: datetime
    moved_at: datetime | None
    recovered_at: datetime | None
    health: str
    breaker: str
    trial_at: datetime | None  # when its open breaker lets a trial through


@dataclass(frozen=True, slots=True)
class Turn:
    """A decision in short; `share` is what its node held before it, in basis points."""

    id: int
    at: datetime
    kind: str
    status: str
    node: int | None
    epoch: int | None
    share: int


@dataclass(frozen=True, slots=True)
class SharePoint:
    at: datetime
    shares: Mapping[int, int]


@dataclass(frozen=True, slots=True)
class Before:
    """An earlier incident of the pool: who failed how, how it ended, who did something about it."""

    id: int
    summary: str
    opened_at: datetime
    closed_at: datetime | None
    failures: frozenset[tuple[int, str]]  # node and cause
    ended_by: str  # type of the event
    person: str


@dataclass(frozen=True, slots=True)
class Story:
    """One incident.  `events` are the newest first, all else is the oldest first; the totals count what is left out."""

    row: IncidentRow
    pool: int
    runbook: str
    failures: tuple[NodeFailure, ...]
    events: tuple[EventLine, ...]
    events_total: int
    turns: tuple[Turn, ...]
    turns_total: int
    points: tuple[SharePoint, ...]
    around: tuple[datetime, datetime]
    names: Mapping[int, str]  # of the pool's nodes, in take-over order
    before: tuple[Before, ...]
    checks: int  # of its failing nodes while it was open
    checks_failed: int

    @property
    def first(self) -> NodeFailure | None:
        return self.failures[0] if self.failures else None


_STORY = f"""
WITH i AS (
    SELECT i.*, p.name AS pool, p.slug AS pool_slug, p.runbook, n.name AS flapping
    FROM nodes_incident i JOIN nodes_pool p ON p.id = i.pool_id LEFT JOIN nodes_node n ON n.id = i.node_id WHERE i.id = %(id)s
), f AS (
    SELECT f.*, n.name, s.health, s.breaker_state, s.breaker_opened_at, s.breaker_wait
    FROM nodes_failure f JOIN nodes_node n ON n.id = f.node_id LEFT JOIN nodes_nodestate s ON s.node_id = f.node_id
    WHERE f.incident_id = %(id)s ORDER BY f.first_bad_at, f.id LIMIT {CHANGES}
), w AS (
    SELECT moved - %(around)s AS start, least(moved + %(around)s, %(now)s) AS until
    FROM (SELECT least(coalesce((SELECT min(moved_at) FROM f), i.detected_at), %(now)s) AS moved FROM i) m
)
SELECT i.*, w.start, w.until,
  (SELECT json_agg(f ORDER BY f.first_bad_at, f.id) FROM f) AS failures,
  (SELECT count(*) FROM nodes_event e WHERE e.incident_id = i.id) AS events_total,
  (SELECT json_agg(json_build_array(e.id, e.at, e.type, e.severity, e.message, e.actor, i.pool, i.pool_slug, n.name, e.node_id,
                                    e.incident_id, e.failover_id) ORDER BY e.at DESC, e.id DESC)
   FROM (SELECT * FROM nodes_event WHERE incident_id = i.id ORDER BY at DESC, id DESC LIMIT {EVENTS}) e
   LEFT JOIN nodes_node n ON n.id = e.node_id) AS events,
  (SELECT count(*) FROM nodes_failover d WHERE d.incident_id = i.id) AS turns_total,
  (SELECT json_agg(json_build_array(d.id, d.at, d.kind, d.status, d.node_id, d.epoch, d.shares_before -> d.node_id::text)
                   ORDER BY d.at, d.id)
   FROM (SELECT * FROM nodes_failover WHERE incident_id = i.id ORDER BY at DESC, id DESC LIMIT {CHANGES}) d) AS turns,
  (SELECT json_agg(json_build_array(greatest(s.at, w.start), s.shares) ORDER BY s.at, s.id)
   FROM (SELECT * FROM nodes_sharepoint s WHERE s.pool_id = i.pool_id AND s.at < w.until AND s.at >= coalesce(
             (SELECT max(at) FROM nodes_sharepoint p WHERE p.pool_id = i.pool_id AND p.at <= w.start), w.start)
         ORDER BY s.at, s.id LIMIT {_POINTS}) s) AS points,
  (SELECT json_agg(json_build_array(n.id, n.name) ORDER BY n.priority, n.name, n.id)
   FROM nodes_node n WHERE n.pool_id = i.pool_id AND (n.removed_at IS NULL OR n.removed_at > w.start)) AS names,
  (SELECT json_agg(json_build_array(o.id, o.summary, o.opened_at, o.closed_at,
      (SELECT json_agg(DISTINCT jsonb_build_array(x.node_id, x.cause)) FROM nodes_failure x WHERE x.incident_id = o.id),
      (SELECT e.type FROM nodes_event e WHERE e.incident_id = o.id AND e.type = ANY(%(ends)s)
       ORDER BY e.at DESC, e.id DESC LIMIT 1),
      (SELECT e.actor FROM nodes_event e WHERE e.incident_id = o.id AND e.actor <> 'engine' AND e.type <> ALL(%(words)s)
       ORDER BY e.at DESC, e.id DESC LIMIT 1)) ORDER BY o.opened_at DESC)
   FROM (SELECT * FROM nodes_incident o WHERE o.pool_id = i.pool_id AND o.opened_at < i.opened_at AND o.id <> i.id
         ORDER BY o.opened_at DESC LIMIT {_BEFORE}) o) AS before,
  (SELECT json_build_array(count(*), count(*) FILTER (WHERE c.verdict = 'f'))
   FROM (SELECT r.verdict FROM nodes_checkresult r WHERE r.node_id IN (SELECT node_id FROM f)
         AND r.at >= i.opened_at AND r.at <= coalesce(i.closed_at, %(now)s) LIMIT {CHECKS}) c) AS checks
FROM i, w
"""


def story(incident_id: int, now: datetime) -> Story | None:
    """None when there is no such incident; one query."""
    asked: Any = {
        "id": incident_id, "now": now, "around": AROUND, "ends": list(_ENDS),
        "words": [EventType.ACKNOWLEDGED.value, EventType.NOTE_ADDED.value],
    }  # fmt: skip  # what belongs together stays on a line
    with connection.cursor() as cursor:
        cursor.execute(_STORY, asked)
        names = [column.name for column in cursor.description or ()]
        found = cursor.fetchone()
    return None if found is None else _story(dict(zip(names, found, strict=True)))


def _story(stored: Mapping[str, Any]) -> Story:
    many = {name: _json(stored[name]) for name in ("failures", "events", "turns", "points", "names", "before", "checks")}
    made, failed = many["checks"] or (0, 0)
    return Story(
        row=_row(stored),
        pool=stored["pool_id"],
        runbook=stored["runbook"],
        failures=tuple(map(_failure, many["failures"])),
        events=tuple(map(_event, many["events"])),
        events_total=stored["events_total"],
        turns=tuple(_turn(*each) for each in many["turns"]),
        turns_total=stored["turns_total"],
        points=tuple(SharePoint(_instant(at), _shares(shares)) for at, shares in many["points"]),
        around=(stored["start"], stored["until"]),
        names=dict(many["names"]),
        before=tuple(_before(*each) for each in many["before"]),
        checks=made,
        checks_failed=failed,
    )


def _json(value: Any) -> Any:
    return json.loads(value) if isinstance(value, str) else value or []


def _instant(text: str) -> datetime:
    return datetime.fromisoformat(text)


def _maybe(text: str | None) -> datetime | None:
    return None if text is None else _instant(text)


def _row(stored: Mapping[str, Any]) -> IncidentRow:
    return IncidentRow(
        id=stored["id"],
        pool=stored["pool"],
        pool_slug=stored["pool_slug"],
        severity=stored["severity"],
        summary=stored["summary"],
        opened_at=stored["opened_at"],
        closed_at=stored["closed_at"],
        acknowledged_at=stored["acknowledged_at"],
        acknowledged_by=stored["acknowledged_by"],
        acknowledgement=stored["acknowledgement"],
        last_action="",
        flapping=stored["flapping"] or "",
        flapping_id=stored["node_id"],
    )


def _event(stored: Sequence[Any]) -> EventLine:
    number, at, *words = stored
    kind, severity, message, actor, pool, slug, node, *ids = words
    return EventLine(number, _instant(at), kind, severity, message, actor, pool, slug, node or "", *ids)


def _failure(stored: Mapping[str, Any]) -> NodeFailure:
    opened, wait = _maybe(stored["breaker_opened_at"]), stored["breaker_wait"]
    waits = stored["breaker_state"] == "open" and opened is not None and isinstance(wait, float | int) and 0 <= wait < 1e8
    return NodeFailure(
        node=stored["node_id"],
        name=stored["name"],
        cause=stored["cause"],
        message=stored["message"],
        had_share=stored["had_share"],
        first_bad_at=_instant(stored["first_bad_at"]),
        marked_at=_instant(stored["marked_at"]),
        moved_at=_maybe(stored["moved_at"]),
        recovered_at=_maybe(stored["recovered_at"]),
        health=stored["health"] or "",
        breaker=(stored["breaker_state"] or "").replace("_", "-"),
        trial_at=opened + timedelta(seconds=wait) if waits and opened is not None else None,
    )


def _turn(number: int, at: str, kind: str, status: str, node: int | None, epoch: int | None, share: Any) -> Turn:
    return Turn(number, _instant(at), kind, status, node, epoch, share if isinstance(share, int) else 0)


def _shares(stored: Any) -> Mapping[int, int]:
    return {int(node): share for node, share in stored.items()} if isinstance(stored, dict) else {}


def _before(
    number: int, summary: str, opened: str, closed: str | None, failures: Sequence[tuple[int, str]] | None, ended: str | None,
    person: str | None,
) -> Before:  # fmt: skip  # as the query has them
    pairs = frozenset((node, cause) for node, cause in failures or ())
    return Before(number, summary, _instant(opened), _maybe(closed), pairs, ended or "", person or "")
