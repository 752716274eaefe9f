"""Appending what happened: failures, incidents, decisions, shares and events, in the transaction of the change itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from psycopg.types.json import Jsonb

from nodes.engine import types
from nodes.engine.decision import Decision, GuardAnswer
from nodes.engine.enums import ChangeKind, EventType
from nodes.engine.event_types import TABLE, TroubleType
from nodes.engine.shares import eligible
from nodes.engine.step import Step
from nodes.ledger import incidents
from nodes.ledger.incidents import OpenState
from nodes.ledger.rows import Cursor, moment
from nodes.ledger.share_points import write_shares

_MESSAGE_LENGTH = 500


def write_history(cursor: Cursor, before: types.Pool, step: Step, was: OpenState, now: float) -> OpenState:
    """Write the step's failures, incidents, decisions and events; returns what is open after it.  The pool's row is locked."""
    change = incidents.Change(before, step, was, now)
    during = incidents.follow(cursor, change)
    failures = _failures(cursor, change, during)
    changes = [_decide(cursor, decision, change, during) for decision in step.decisions]
    made = [row for row, decision in zip(changes, step.decisions, strict=True) if decision.epoch is not None]
    write_shares(cursor, before, step.pool, made[-1] if made else None, now)
    _end_ramps(cursor, before, step.pool, now)
    for each in step.events:
        failover = _failover_of(cursor, each, step, changes, now)
        append(cursor, each, now, pool=before.id, incident=change.id_of(each, during), failover=failover)
    left, closed = incidents.close(cursor, change, during)
    for each, incident in closed:
        append(cursor, each, now, pool=before.id, incident=incident)
    return replace(left, failures=failures)


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


def _failures(cursor: Cursor, change: incidents.Change, during: OpenState) -> dict[int, int]:
    """Open, move and close the rows of the nodes' failures."""
    old, new, now = change.failed, change.failing, change.now
    rows = dict(change.was.failures)
    for node in old.keys() - new.keys():
        cursor.execute("UPDATE nodes_failure SET recovered_at = %s WHERE id = %s", (moment(now), rows.pop(node)))
    for node, failure in new.items():
        if node not in rows:
            rows[node] = _begin(cursor, change, node, failure, incidents.row_of(during, change.owner_of(node)))
        elif failure.moved_at != old[node].moved_at or failure.had_share != old[node].had_share:
            cursor.execute(
                "UPDATE nodes_failure SET moved_at = %s, had_share = %s WHERE id = %s",
                (moment(failure.moved_at), failure.had_share, rows[node]),
            )
    return rows


def _begin(cursor: Cursor, change: incidents.Change, node: int, failure: types.Failure, incident: int | None) -> int:
    begun = (e.message for e in change.step.events if e.node == node and TABLE[e.type].begins is TroubleType.FAILURE)
    cursor.execute(
        """INSERT INTO nodes_failure (node_id, incident_id, cause, message, had_share, first_bad_at, marked_at, moved_at)
           VALUES (%s, %s, %s, %s, %s, %s, %s, %s) RETURNING id""",
        (
            node, incident, failure.cause, next(begun, "")[:200], failure.had_share,
            moment(failure.first_bad_at), moment(failure.marked_at), moment(failure.moved_at),
        ),
    )  # fmt: skip  # one line of values for one line of columns
    row = cursor.fetchone()
    assert row is not None  # RETURNING always answers
    return int(row["id"])


def _answer(answer: GuardAnswer) -> dict[str, Any]:
    """As it is stored: `holds` is the word of the first release for what blocks."""
    return {("holds" if field == "blocks" else field): value for field, value in answer._asdict().items()}


def _decide(cursor: Cursor, decision: Decision, change: incidents.Change, during: OpenState) -> int:
    """Write one decision with its record, or a further step to the record of the first."""
    pool, now = change.step.pool, change.now
    if decision.continues is not None and (row_id := _further(cursor, pool, decision, now)) is not None:
        return row_id
    status = _status(pool, decision)
    record = {
        "seen": decision.reason,
        "considered": [each._asdict() for each in decision.considered],
        "guards": [_answer(each) for each in decision.guards],
        "steps": _steps(decision, change.failing.get(decision.node or 0)),
    }
    caused = decision.kind in (ChangeKind.FAILOVER, ChangeKind.RECOVERY)
    owner = None if decision.node is None else change.owner_of(decision.node)
    cursor.execute(
        """INSERT INTO nodes_failover (kind, status, pool_id, node_id, incident_id, epoch, at, completed_at, actor, reason,
                                       refused_by, lifts_at, shares_before, shares_after, record, trials, last_trial_at)
           VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s) RETURNING id""",
        (
            decision.kind.value, status, pool.id, decision.node, incidents.row_of(during, owner) if caused else None,
            decision.epoch, moment(now), moment(now) if status == "completed" else None, decision.actor[:150],
            decision.reason[:_MESSAGE_LENGTH], decision.refused_by.value if decision.refused_by else "",
            moment(decision.lifts_at), _by_node(decision.before), _by_node(decision.after), Jsonb(record),
            int(decision.trial), moment(now) if decision.trial else None,
        ),
    )  # fmt: skip  # as above
    row = cursor.fetchone()
    assert row is not None  # RETURNING always answers
    return int(row["id"])


def _by_node(shares: Mapping[int, int]) -> Jsonb:
    return Jsonb({str(node): share for node, share in shares.items()})


def _status(pool: types.Pool, decision: Decision) -> str:
    """A failover stays `started` until a receiver has been verified, a recovery `ramping` while the node's share grows."""
    if decision.refused_by is not None:
        return "refused"
    if decision.kind == ChangeKind.FAILOVER:
        return "started"
    ramping = any(node.ramp is not None and node.ramp.epoch == decision.epoch for node in pool.members)
    return "ramping" if ramping else "completed"


def _further(cursor: Cursor, pool: types.Pool, decision: Decision, now: float) -> int | None:
    """Add a step to the recovery that began at an earlier epoch; None when that row is no longer there.

    A further trial is counted in that row, and adds no step to it.
    """
    step = Jsonb([{"at": now, "text": f"{decision.reason}, {_held(decision)}, epoch {decision.epoch}"}])
    key = (pool.id, decision.continues)
    if not decision.trial:
        cursor.execute(f"{_FURTHER}, record = {_ADD_STEP} {_OF_EPOCH}", (_by_node(decision.after), step, *key))
    elif decision.after.get(decision.node or 0, 0):
        counted = ", status = 'ramping', completed_at = NULL, trials = trials + 1, last_trial_at = %s"
        cursor.execute(f"{_FURTHER} {counted} {_OF_EPOCH}", (_by_node(decision.after), moment(now), *key))
    else:
        first = f", record = CASE WHEN trials > 1 THEN record ELSE {_ADD_STEP} END"
        cursor.execute(f"{_FURTHER} {first} {_OF_EPOCH}", (_by_node(decision.after), step, *key))
    row = cursor.fetchone()
    return None if row is None else int(row["id"])


_ADD_STEP = "jsonb_set(record, '{steps}', record->'steps' || %s)"
_FURTHER = "UPDATE nodes_failover SET shares_after = %s"
_OF_EPOCH = "WHERE pool_id = %s AND epoch = %s RETURNING id"


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
               SET status = %s, completed_at = %s,
                   record = CASE WHEN trials > 1 AND NOT %s THEN record
                                 ELSE jsonb_set(record, '{steps}', record->'steps' || %s) END
               WHERE pool_id = %s AND epoch = %s AND status = 'ramping'""",
            ("completed" if back else "failed", moment(now), back, Jsonb([{"at": now, "text": text}]), after.id, old.ramp.epoch),
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
