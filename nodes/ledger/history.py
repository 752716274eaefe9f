"""Appending what happened: failures, incidents, decisions and events, in the transaction of the change itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from psycopg.types.json import Jsonb

from nodes.engine import types
from nodes.engine.decision import Decision, GuardAnswer
from nodes.engine.enums import ChangeKind, EventType, Severity
from nodes.engine.event_types import TABLE, TroubleType, event, rank, worst
from nodes.engine.shares import eligible
from nodes.engine.step import Step
from nodes.ledger.rows import Cursor, moment

_MESSAGE_LENGTH = 500


@dataclass(frozen=True, slots=True)
class OpenState:
    """The pool's open incident with its severity, and its nodes' open failures, by the ids of their rows."""

    incident: int | None
    severity: Severity | None
    failures: Mapping[int, int]  # node id -> id of its open Failure row


def write_history(cursor: Cursor, before: types.Pool, step: Step, was: OpenState, now: float) -> OpenState:
    """Write the step's failures, incident, decisions and events; returns what is open after it.  The pool's row is locked."""
    old = {m.id: m.failure for m in before.members if m.failure}
    new = {m.id: m.failure for m in step.pool.members if m.failure}
    touched = old.keys() | new.keys()
    events = [(e, e.node in touched or TABLE[e.type].of_incident) for e in step.events]
    told = [e for e, belongs in events if belongs]
    incident = _incident(cursor, step.pool, was, new, told, now)
    failures = _failures(cursor, was, incident, old, new, told, now)
    changes = [_change(cursor, step.pool, decision, incident, new, now) for decision in step.decisions]
    _end_ramps(cursor, before, step.pool, now)
    for each, belongs in events:
        failover = _failover_of(cursor, each, step, changes, now)
        append(cursor, each, now, pool=before.id, incident=incident if belongs else None, failover=failover)
    if incident is not None and not new:
        _close(cursor, incident, step, now)
    return OpenState(incident if new else None, None, failures)


def append(
    cursor: Cursor,
    event: types.Event,
    now: float,
    *,
    pool: int | None = None,
    incident: int | None = None,
    failover: int | None = None,
) -> None:
    """Append one event and its number to the outbox."""
    cursor.execute(
        """WITH e AS (INSERT INTO nodes_event
                          (at, type, severity, pool_id, node_id, incident_id, failover_id, actor, message, detail)
                      VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s) RETURNING id)
           INSERT INTO nodes_outbox (event_id) SELECT id FROM e""",
        (
            moment(now), event.type.value, event.severity.value, pool, event.node, incident, failover,
            event.actor[:150], event.message[:_MESSAGE_LENGTH], Jsonb(dict(event.detail)),
        ),
    )  # fmt: skip  # one line of values for one line of columns


def _incident(
    cursor: Cursor,
    pool: types.Pool,
    was: OpenState,
    failing: Mapping[int, types.Failure],
    told: list[types.Event],
    now: float,
) -> int | None:
    """Open the pool's incident with its first failure, dated back to the first bad check; raise it when worse comes."""
    gravest = worst(*(e.severity for e in told)) if told else Severity.WARNING
    if was.incident is not None:
        if was.severity is not None and rank(gravest) > rank(was.severity):
            cursor.execute("UPDATE nodes_incident SET severity = %s WHERE id = %s", (gravest.value, was.incident))
        return was.incident
    if not failing:
        return None
    first = min(failing.values(), key=lambda failure: failure.first_bad_at)
    loud = [e.message for e in told if e.severity == gravest] or [f"{pool.name}: {len(failing)} nodes failing"]
    cursor.execute(
        """INSERT INTO nodes_incident (pool_id, opened_at, detected_at, severity, summary, acknowledged_by, acknowledgement)
           VALUES (%s, %s, %s, %s, %s, '', '') RETURNING id""",
        (
            pool.id,
            moment(min(first.first_bad_at, now)),
            moment(now),
            worst(gravest, Severity.WARNING).value,
            loud[0][:300],
        ),
    )
    row = cursor.fetchone()
    assert row is not None  # RETURNING always answers
    return int(row["id"])


def _failures(
    cursor: Cursor,
    was: OpenState,
    incident: int | None,
    old: Mapping[int, types.Failure],
    new: Mapping[int, types.Failure],
    told: list[types.Event],
    now: float,
) -> dict[int, int]:
    """Open, move and close the rows of the nodes' failures."""
    rows = dict(was.failures)
    for node in old.keys() - new.keys():
        cursor.execute("UPDATE nodes_failure SET recovered_at = %s WHERE id = %s", (moment(now), rows.pop(node)))
    for node, failure in new.items():
        if node not in rows:
            said = next((e.message for e in told if e.node == node and TABLE[e.type].begins is TroubleType.FAILURE), "")
            cursor.execute(
                """INSERT INTO nodes_failure (node_id, incident_id, cause, message, had_share, first_bad_at, marked_at, moved_at)
                   VALUES (%s, %s, %s, %s, %s, %s, %s, %s) RETURNING id""",
                (
                    node, incident, failure.cause, said[:200], failure.had_share,
                    moment(failure.first_bad_at), moment(failure.marked_at), moment(failure.moved_at),
                ),
            )  # fmt: skip  # as above
            row = cursor.fetchone()
            assert row is not None  # RETURNING always answers
            rows[node] = int(row["id"])
        elif failure.moved_at != old[node].moved_at or failure.had_share != old[node].had_share:
            cursor.execute(
                "UPDATE nodes_failure SET moved_at = %s, had_share = %s WHERE id = %s",
                (moment(failure.moved_at), failure.had_share, rows[node]),
            )
    return rows


def _answer(answer: GuardAnswer) -> dict[str, Any]:
    """As it is stored: `holds` is the word of the first release for what blocks."""
    return {("holds" if field == "blocks" else field): value for field, value in answer._asdict().items()}


def _change(
    cursor: Cursor,
    pool: types.Pool,
    decision: Decision,
    incident: int | None,
    failing: Mapping[int, types.Failure],
    now: float,
) -> int:
    """Write one decision with its record, or a further step to the record of the first."""
    if decision.continues is not None and (row_id := _further(cursor, pool, decision, now)) is not None:
        return row_id
    status = _status(pool, decision)
    record = {
        "seen": decision.reason,
        "considered": [each._asdict() for each in decision.considered],
        "guards": [_answer(each) for each in decision.guards],
        "steps": _steps(decision, failing.get(decision.node or 0)),
    }
    caused = decision.kind in (ChangeKind.FAILOVER, ChangeKind.RECOVERY)
    cursor.execute(
        """INSERT INTO nodes_failover (kind, status, pool_id, node_id, incident_id, epoch, at, completed_at, actor, reason,
                                       refused_by, lifts_at, shares_before, shares_after, record)
           VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s) RETURNING id""",
        (
            decision.kind.value, status, pool.id, decision.node, incident if caused else None, decision.epoch, moment(now),
            moment(now) if status == "completed" else None, decision.actor[:150], decision.reason[:_MESSAGE_LENGTH],
            decision.refused_by.value if decision.refused_by else "", moment(decision.lifts_at),
            Jsonb({str(k): v for k, v in decision.before.items()}), Jsonb({str(k): v for k, v in decision.after.items()}),
            Jsonb(record),
        ),
    )  # fmt: skip  # as above
    row = cursor.fetchone()
    assert row is not None  # RETURNING always answers
    return int(row["id"])


def _status(pool: types.Pool, decision: Decision) -> str:
    """A failover stays `started` until a receiver has been verified, a recovery `ramping` while the node's share grows."""
    if decision.refused_by is not None:
        return "refused"
    if decision.kind == ChangeKind.FAILOVER:
        return "started"
    ramping = any(node.ramp is not None and node.ramp.epoch == decision.epoch for node in pool.members)
    return "ramping" if ramping else "completed"


def _further(cursor: Cursor, pool: types.Pool, decision: Decision, now: float) -> int | None:
    """Add a step to the recovery that began at an earlier epoch; None when that row is no longer there."""
    cursor.execute(
        """UPDATE nodes_failover SET shares_after = %s, record = jsonb_set(record, '{steps}', record->'steps' || %s)
           WHERE pool_id = %s AND epoch = %s RETURNING id""",
        (
            Jsonb({str(k): v for k, v in decision.after.items()}),
            Jsonb([{"at": now, "text": f"{decision.reason}, {_held(decision)}, epoch {decision.epoch}"}]),
            pool.id,
            decision.continues,
        ),
    )
    row = cursor.fetchone()
    return None if row is None else int(row["id"])


def _held(decision: Decision) -> str:
    return f"{decision.after.get(decision.node or 0, 0) / 100:g} %"


def _end_ramps(cursor: Cursor, before: types.Pool, after: types.Pool, now: float) -> None:
    """Complete the recoveries of nodes that have their share again, and end those of nodes that lost it on the way."""
    left = {node.id: node for node in after.members}
    for old in before.members:
        node = left.get(old.id)
        if old.ramp is None or (node is not None and node.ramp is not None and node.ramp.epoch == old.ramp.epoch):
            continue
        back = node is not None and eligible(node)
        text = "the node holds its share again" if back else "the node may no longer serve, its return is over"
        cursor.execute(
            """UPDATE nodes_failover
               SET status = %s, completed_at = %s, record = jsonb_set(record, '{steps}', record->'steps' || %s)
               WHERE pool_id = %s AND epoch = %s AND status = 'ramping'""",
            ("completed" if back else "failed", moment(now), Jsonb([{"at": now, "text": text}]), after.id, old.ramp.epoch),
        )


def _steps(decision: Decision, failure: types.Failure | None) -> list[dict[str, object]]:
    """The way to this decision, each step with its time; what comes later is added as it happens."""
    steps: list[dict[str, object]] = []
    if failure is not None and decision.kind == ChangeKind.FAILOVER:
        if failure.cause == "health":
            steps.append({"at": failure.first_bad_at, "text": "first bad check"})
        steps.append({"at": failure.marked_at, "text": "marked failed" if failure.cause == "health" else "breaker opened"})
    text = f"blocked by {decision.refused_by.words}" if decision.refused_by else f"shares moved, epoch {decision.epoch}"
    steps.append({"at": decision.at, "text": text})
    return steps


def _failover_of(cursor: Cursor, event: types.Event, step: Step, changes: list[int], now: float) -> int | None:
    """The decision that an event tells of; the end of a failover is written to the row of its start."""
    meaning = TABLE[event.type]
    if meaning.concludes is not None:
        cursor.execute(
            """UPDATE nodes_failover SET status = %s, completed_at = %s,
                      record = jsonb_set(record, '{steps}', record->'steps' || %s)
               WHERE id = (SELECT max(id) FROM nodes_failover WHERE pool_id = %s AND node_id = %s AND status = 'started')
               RETURNING id""",
            (meaning.concludes.value, moment(now), Jsonb([{"at": now, "text": event.message}]), step.pool.id, event.node),
        )
        row = cursor.fetchone()
        return int(row["id"]) if row else None
    for decision, change in zip(step.decisions, changes, strict=True):
        refused = (decision.refused_by is not None) == (event.type == EventType.FAILOVER_REFUSED)
        if refused and decision.kind in meaning.decisions and decision.node == event.node:
            return change
    return None


def _close(cursor: Cursor, incident: int, step: Step, now: float) -> None:
    """End the incident; the event that says so is what resolves its alerts."""
    cursor.execute("UPDATE nodes_incident SET closed_at = %s WHERE id = %s AND closed_at IS NULL", (moment(now), incident))
    last = next((each for each in reversed(step.events) if TABLE[each.type].ends is TroubleType.FAILURE), None)
    said = f"{last.message}; the incident of {step.pool.name} is over" if last else f"The incident of {step.pool.name} is over"
    closed = event(EventType.INCIDENT_CLOSED, said, last.node if last else None)
    append(cursor, closed, now, pool=step.pool.id, incident=incident)
