"""The rows of incidents: the pool's own and one for each flapping node, which of them a step belongs to, and their titles.

A pool has one open incident at the most, and each of its flapping nodes one more.  What happens to a node belongs to its
flapping incident while it has one, else to the pool's.  What happens to the pool as a whole belongs to the pool's incident; while
only flapping ones are open, to that of the node that failed last.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property

from nodes.engine import headline, types
from nodes.engine.enums import EventType, Severity
from nodes.engine.event_types import IN_INCIDENTS, TABLE, TroubleType, event, worst
from nodes.engine.step import Step
from nodes.ledger.rows import Cursor, Row, moment, plain, seconds

_SUMMARY_LENGTH = 300


@dataclass(frozen=True, slots=True)
class OpenIncident:
    """An open incident's row; `opened_at` in seconds since the epoch."""

    id: int
    severity: Severity
    summary: str
    opened_at: float


@dataclass(frozen=True, slots=True)
class OpenState:
    """What is open in a pool: its own incident, those of its flapping nodes, and its nodes' failures, by the ids of their rows."""

    incident: OpenIncident | None
    flapping: Mapping[int, OpenIncident]  # node id -> its incident
    failures: Mapping[int, int]  # node id -> id of its open Failure row


def row_of(state: OpenState, flaps: int | None) -> int | None:
    """The id of the pool's open incident, or of that of a flapping node."""
    found = state.incident if flaps is None else state.flapping.get(flaps)
    return None if found is None else found.id


def open_state(cursor: Cursor, pool_row: Row, node_rows: Mapping[int, Row]) -> OpenState:
    """What is open by the rows of a pool; the incidents are read only where there is one."""
    ids = {node: plain(row["flapping"])["id"] for node, row in node_rows.items() if row["flapping"] is not None}
    wanted = [*ids.values(), *([] if pool_row["incident_id"] is None else [pool_row["incident_id"]])]
    found: dict[int, OpenIncident] = {}
    if wanted:
        cursor.execute("SELECT id, severity, summary, opened_at FROM nodes_incident WHERE id = ANY(%s)", (wanted,))
        found = {row["id"]: _open(row) for row in cursor.fetchall()}
    failures = {node: plain(row["failure"])["id"] for node, row in node_rows.items() if row["failure"] is not None}
    return OpenState(found.get(pool_row["incident_id"] or 0), {node: found[row_id] for node, row_id in ids.items()}, failures)


def _open(row: Row) -> OpenIncident:
    return OpenIncident(row["id"], Severity(row["severity"]), row["summary"], seconds(row["opened_at"]) or 0.0)


@dataclass(frozen=True)
class Change:
    """The incidents of one step: before it, by what it decided, and what belongs to which."""

    before: types.Pool
    step: Step
    was: OpenState
    now: float

    @cached_property
    def failing(self) -> dict[int, types.Failure]:
        """The failures that are open after the step, by node."""
        return {node.id: node.failure for node in self.step.pool.members if node.failure}

    @cached_property
    def failed(self) -> dict[int, types.Failure]:
        """Those that were open before it."""
        return {node.id: node.failure for node in self.before.members if node.failure}

    @cached_property
    def flapping(self) -> dict[int, types.Member]:
        """Nodes with a flapping incident after the step."""
        return {node.id: node for node in self.step.pool.members if node.flapping}

    @cached_property
    def failing_once(self) -> dict[int, types.Failure]:
        """The failures of the pool's own incident."""
        return {node: failure for node, failure in self.failing.items() if node not in self.flapping}

    @cached_property
    def events(self) -> dict[int | None, list[types.Event]]:
        """What is told, by incident: that of a flapping node, or (None) the pool's."""
        found: dict[int | None, list[types.Event]] = {}
        for each in self.step.events:
            if self.belongs(each):
                found.setdefault(self.owner(each), []).append(each)
        return found

    def id_of(self, event: types.Event, during: OpenState) -> int | None:
        """The row of the incident that the event belongs to, if it belongs to one that is open in this step."""
        return row_of(during, self.owner(event)) if self.belongs(event) else None

    def belongs(self, event: types.Event) -> bool:
        """Whether the event belongs to an incident at all; what begins or ends a trouble beside failures does only by its row."""
        row = TABLE[event.type]
        trouble = row.begins or row.ends
        if trouble is not None and trouble not in IN_INCIDENTS:
            return row.of_incident
        return event.node in self.failed or event.node in self.failing or row.of_incident

    def owner(self, event: types.Event) -> int | None:
        """The flapping node whose incident the event belongs to; None: it is the pool's."""
        if event.node is not None and (owner := self.owner_of(event.node)) is not None:
            return owner
        if event.node in self.failing_once or self.was.incident is not None or self.failing_once:
            return None
        return self._failed_last

    def owner_of(self, node: int) -> int | None:
        """The node itself while it has an incident of its own, or with this step had; None: the pool's is its incident."""
        ends_now = node in self.was.flapping and node not in self.failing
        return node if node in self.flapping or ends_now else None

    @cached_property
    def _failed_last(self) -> int | None:
        both = {node: failure.marked_at for node, failure in (self.failed | self.failing).items() if self.owner_of(node) == node}
        return max(both, key=lambda node: (both[node], node), default=None)


def follow(cursor: Cursor, change: Change) -> OpenState:
    """Open, raise and rename the incidents of a step; those that end with it are still among them."""
    was, pool = change.was, change.step.pool
    own, flapping = was.incident, dict(was.flapping)
    if change.failing_once:
        own = _follow_one(cursor, change, None, own, headline.of_pool(pool))
    for node in change.flapping.values():
        flapping[node.id] = _follow_one(cursor, change, node.id, flapping.get(node.id), headline.of_flapping(pool, node))
    return replace(was, incident=own, flapping=flapping)


def _follow_one(cursor: Cursor, change: Change, flaps: int | None, known: OpenIncident | None, title: str) -> OpenIncident:
    """One that stays open: opened with its first failure, raised when worse comes, its title as true as the step."""
    if known is None:
        return _open_one(cursor, change, flaps, title[:_SUMMARY_LENGTH])
    after = replace(known, severity=_severity(change, flaps, known), summary=title[:_SUMMARY_LENGTH])
    if after != known:
        cursor.execute(
            "UPDATE nodes_incident SET severity = %s, summary = %s WHERE id = %s", (after.severity.value, after.summary, after.id)
        )
    return after


def _open_one(cursor: Cursor, change: Change, flaps: int | None, title: str) -> OpenIncident:
    """Dated back to the first bad check of its first failure."""
    failures = change.failing_once.values() if flaps is None else [change.failing[flaps]]
    opened_at = min(change.now, *(each.first_bad_at for each in failures))
    severity = _severity(change, flaps, None)
    cursor.execute(
        """INSERT INTO nodes_incident
                  (pool_id, node_id, opened_at, detected_at, severity, summary, acknowledged_by, acknowledgement)
           VALUES (%s, %s, %s, %s, %s, %s, '', '') RETURNING id""",
        (change.before.id, flaps, moment(opened_at), moment(change.now), severity.value, title),
    )
    row = cursor.fetchone()
    assert row is not None  # RETURNING always answers
    return OpenIncident(int(row["id"]), severity, title, opened_at)


def _severity(change: Change, flaps: int | None, known: OpenIncident | None) -> Severity:
    """The gravest of what was told in it; a warning at least."""
    return worst(known.severity if known else Severity.WARNING, *(each.severity for each in change.events.get(flaps, ())))


def close(cursor: Cursor, change: Change, during: OpenState) -> tuple[OpenState, list[tuple[types.Event, int]]]:
    """End the incidents that are over; what is left, and for each that ended the event that says so and resolves its alerts."""
    own, flapping, closed = during.incident, dict(during.flapping), []
    if own is not None and not change.failing_once:
        closed.append((_close_own(cursor, change, own), own.id))
        own = None
    for node in sorted(during.flapping.keys() - change.flapping.keys()):
        over = flapping.pop(node)
        closed.append((_close_flapping(cursor, change, node, over), over.id))
    return replace(during, incident=own, flapping=flapping), closed


def _close_own(cursor: Cursor, change: Change, incident: OpenIncident) -> types.Event:
    pool = change.step.pool
    cursor.execute(
        """SELECT n.name FROM nodes_failure f JOIN nodes_node n ON n.id = f.node_id WHERE f.incident_id = %s
           GROUP BY n.id, n.name ORDER BY n.id""",
        (incident.id,),
    )
    names = [row["name"] for row in cursor.fetchall()]
    _close_one(cursor, change, incident, None, headline.of_pool_over(pool, names, change.now - incident.opened_at))
    ends = (each for each in reversed(change.events.get(None, ())) if TABLE[each.type].ends is TroubleType.FAILURE)
    last = next(ends, None)
    said = f"{last.message}; the incident of {pool.name} is over" if last else f"The incident of {pool.name} is over"
    return event(EventType.INCIDENT_CLOSED, said, last.node if last else None)


def _close_flapping(cursor: Cursor, change: Change, node: int, incident: OpenIncident) -> types.Event:
    pool, was = change.step.pool, next(each for each in change.before.members if each.id == node)
    assert was.flapping is not None  # it has an open incident
    _close_one(cursor, change, incident, node, headline.of_flapping_over(pool, was.name, was.flapping))
    stays = any(each.id == node for each in pool.members)
    quiet = headline.span(pool.policy.flapping_within)
    said = f"{was.name} has not failed for {quiet}: it flaps no more" if stays else f"{was.name} was removed, it flaps no more"
    return event(EventType.INCIDENT_CLOSED, said, node)


def _close_one(cursor: Cursor, change: Change, incident: OpenIncident, flaps: int | None, title: str) -> None:
    cursor.execute(
        "UPDATE nodes_incident SET closed_at = %s, severity = %s, summary = %s WHERE id = %s AND closed_at IS NULL",
        (moment(change.now), _severity(change, flaps, incident).value, title[:_SUMMARY_LENGTH], incident.id),
    )
