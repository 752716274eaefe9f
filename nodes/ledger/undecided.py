"""Pools that cannot be decided: a row of another version or edited by hand, a policy that cannot work, a fault of ours.

Such a pool is never set aside.  Each failed try is noted in the pool's row, in a transaction of its own since that of the step
was rolled back; the pool and its nodes are due again at their own interval, whoever runs by then.  After three tries and 30 s
it is told, once; the next decided step ends that, whoever makes it, or the removal of the pool.
Locks: the pool's row, then the rows of its nodes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from nodes.engine.enums import EventType
from nodes.engine.event_types import event
from nodes.ledger.history import append
from nodes.ledger.intervals import INTERVAL_IN_FORCE
from nodes.ledger.rows import Cursor, Row

TOLD_AFTER = 30.0  # s
TOLD_TRIES = 3
SAID_EVERY = 60.0  # s between two lines of the log with the same cause
_WHY = 300  # characters
_SHORTEST, _LONGEST = 1.0, 86_400.0  # s
_OTHERWISE = 10.0  # s: an interval that cannot be meant, which may be the cause, makes nobody spin and nobody forgotten


@dataclass(frozen=True, slots=True)
class Noted:
    """What a failed try is to the log: a new cause, or one to be named again."""

    new: bool
    again: bool


def cause(error: BaseException) -> str:
    """What keeps a pool from being decided, in one line."""
    said = " ".join(str(error).split())
    return f"{type(error).__name__}: {said}"[:_WHY]


def note(cursor: Cursor, pool_id: int, lease: int, nodes: Sequence[int], why: str) -> Noted:
    """Note a try that failed; gives the nodes of this lease back, due at their own interval, and tells what lasts."""
    cursor.execute(_LOCK, (pool_id,))
    was = cursor.fetchone()
    cursor.execute(_GIVE_BACK, {"nodes": sorted(nodes), "lease": lease})
    if was is None:
        return Noted(new=False, again=False)
    lasts = was["lasts"] or 0.0
    told = was["undecided_told"] or (was["undecided_tries"] + 1 >= TOLD_TRIES and lasts >= TOLD_AFTER)
    cursor.execute(_NOTE, {"pool": pool_id, "why": why, "told": told})
    if told and not was["undecided_told"]:
        message = f"{was['name']} cannot be decided for {lasts:.0f} s, its shares stay as they are: {why}"
        append(cursor, event(EventType.POOL_UNDECIDED, message, detail={"why": why}), was["now"], pool=pool_id)
    minutes, before = lasts // SAID_EVERY, (was["lasted"] or 0.0) // SAID_EVERY
    return Noted(new=was["undecided_why"] != why, again=minutes > before)


def removed(cursor: Cursor, pool_id: int) -> None:
    """The pool is about to be removed, which ends the trouble as well."""
    cursor.execute(_LOCK, (pool_id,))
    if (row := cursor.fetchone()) is not None:
        over(cursor, pool_id, row, row["now"], removed=True)


def over(cursor: Cursor, pool_id: int, row: Row, now: float, *, removed: bool = False) -> None:
    """The pool is decided again, or gone; `row` is its locked row.  Says so if the opposite was said."""
    if row["undecided_since"] is None:
        return
    cursor.execute(_OVER, (pool_id,))
    if row["undecided_told"]:
        lasted = now - row["undecided_since"].timestamp()
        end = "was removed" if removed else "is decided again"
        append(cursor, event(EventType.POOL_DECIDED, f"{row['name']} {end} after {lasted:.0f} s"), now, pool=pool_id)


_LOCK = """
SELECT p.name, s.undecided_since, s.undecided_tries, s.undecided_why, s.undecided_told,
       extract(epoch FROM clock_timestamp())::float8 AS now,
       extract(epoch FROM clock_timestamp() - s.undecided_since)::float8 AS lasts,
       extract(epoch FROM s.undecided_tried_at - s.undecided_since)::float8 AS lasted
FROM nodes_poolstate s JOIN nodes_pool p ON p.id = s.pool_id
WHERE s.pool_id = %s AND p.removed_at IS NULL FOR UPDATE OF s
"""


def _later(interval: str) -> str:
    meant = f"CASE WHEN {interval} <= {_LONGEST} THEN greatest({interval}, {_SHORTEST}) ELSE {_OTHERWISE} END"
    return f"now() + make_interval(secs => {meant})"


_NOTE = f"""
UPDATE nodes_poolstate s
SET undecided_since = coalesce(s.undecided_since, now()), undecided_tried_at = now(), undecided_tries = s.undecided_tries + 1,
    undecided_why = %(why)s, undecided_told = %(told)s, version = s.version + 1,
    wake_at = {_later("f.interval")}
FROM nodes_pool p JOIN nodes_failoverpolicy f ON f.id = p.failover_policy_id
WHERE s.pool_id = %(pool)s AND p.id = s.pool_id
"""
_GIVE_BACK = f"""
WITH mine AS MATERIALIZED (
    SELECT s.node_id, {_later(INTERVAL_IN_FORCE)} AS due_at
    FROM nodes_nodestate s JOIN nodes_node n ON n.id = s.node_id JOIN nodes_pool g ON g.id = n.pool_id
    JOIN nodes_failoverpolicy f ON f.id = g.failover_policy_id
    WHERE s.node_id = ANY(%(nodes)s) AND s.owner = %(lease)s
    ORDER BY s.node_id FOR UPDATE OF s
)
UPDATE nodes_nodestate s SET owner = NULL, due_at = mine.due_at, version = s.version + 1
FROM mine WHERE s.node_id = mine.node_id
"""
_OVER = """
UPDATE nodes_poolstate SET undecided_since = NULL, undecided_tried_at = NULL, undecided_tries = 0, undecided_why = '',
    undecided_told = false, version = version + 1
WHERE pool_id = %s
"""
