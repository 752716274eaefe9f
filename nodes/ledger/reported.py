"""Reports of calls as they are counted: all that wait for one pool in its one transaction, each at most once for its key."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from nodes.engine import reporting, types
from nodes.engine.reporting import Report, Tallied
from nodes.engine.step import Step
from nodes.ledger.pools import transact
from nodes.ledger.rows import Cursor, Row, moment

KEPT = 600.0  # s that a key is remembered
MOST_FORGOTTEN = 50_000  # keys in one statement


@dataclass(frozen=True, slots=True)
class Key:
    """What tells a retry from another report: digests of who sent it with its `Idempotency-Key`, and of its body."""

    sender: bytes
    body: bytes


@dataclass(frozen=True, slots=True)
class Told:
    """One report for one node."""

    node: int
    report: Report
    key: Key | None = None


@dataclass(frozen=True, slots=True)
class Counted:
    """The node after the transaction, and what became of the report's calls."""

    node: types.Member
    tallied: Tallied | None  # None: it was counted before


class NoSuchNodeError(Exception):
    """there is no such node, or it was removed"""


class OtherBodyError(Exception):
    """this Idempotency-Key came with another body before; nothing was counted"""


Answer = Counted | NoSuchNodeError | OtherBodyError


_Place = tuple[int, bytes]  # node, sender's key


def count(cursor: Cursor, pool_id: int, told: Sequence[Told]) -> list[Answer]:
    """Count reports in the order given; an answer for each.  Raises `PoolGoneError`, and whatever keeps the pool undecided."""
    fresh: dict[int, Tallied] = {}
    other: set[int] = set()

    def act(pool: types.Pool, fleet: types.Fleet, _: Mapping[int, types.Observation], now: float) -> Step:
        members = {node.id for node in pool.members}
        here = [number for number, each in enumerate(told) if each.node in members]
        new, changed = _new(cursor, told, here, now)
        other.update(changed)
        step, tallies = reporting.report_all(
            pool, fleet, now, [(told[number].node, told[number].report) for number in new], jitter=random.random()
        )
        fresh.update(zip(new, tallies, strict=True))
        return step

    after = {node.id: node for node in transact(cursor, pool_id, act).step.pool.members}
    return [_answer(after.get(each.node), fresh.get(number), changed=number in other) for number, each in enumerate(told)]


def _answer(node: types.Member | None, tallied: Tallied | None, *, changed: bool) -> Answer:
    if node is None:
        return NoSuchNodeError(NoSuchNodeError.__doc__)
    if changed:
        return OtherBodyError(OtherBodyError.__doc__)
    return Counted(node, tallied)


def _new(cursor: Cursor, told: Sequence[Told], here: Sequence[int], now: float) -> tuple[list[int], list[int]]:
    """Which of the reports count, and which came under a key that had another body; the pool is locked."""
    first: dict[_Place, tuple[int, Key]] = {}
    for number in here:
        if (key := told[number].key) is not None:
            first.setdefault((told[number].node, key.sender), (number, key))
    bodies = {place: key.body for place, (_, key) in first.items()}
    before = _remember(cursor, bodies, now) if first else {}
    counts = {number for place, (number, _) in first.items() if place not in before}
    bodies |= before
    changed = [n for n in here if (key := told[n].key) is not None and bodies[told[n].node, key.sender] != key.body]
    return [number for number in here if told[number].key is None or number in counts], changed


def _remember(cursor: Cursor, bodies: Mapping[_Place, bytes], now: float) -> dict[_Place, bytes]:
    """Write these keys with their bodies; those that were there before come back with the bodies that they had."""
    nodes, senders = [node for node, _ in bodies], [sender for _, sender in bodies]
    cursor.execute(_REMEMBER, (moment(now), nodes, senders, list(bodies.values())))
    if cursor.rowcount == len(bodies):
        return {}
    written = {_place(row) for row in cursor.fetchall()}
    cursor.execute(_KNOWN, (nodes, senders))
    return {place: bytes(row["body"]) for row in cursor.fetchall() if (place := _place(row)) not in written}


def _place(row: Row) -> _Place:
    return row["node_id"], bytes(row["key"])


_REMEMBER = """
INSERT INTO nodes_reportkey (node_id, key, body, at)
SELECT k.node_id, k.key, k.body, n.at
FROM (SELECT %s::timestamptz AS at) n, unnest(%s::bigint[], %s::bytea[], %s::bytea[]) AS k (node_id, key, body)
ON CONFLICT (node_id, key) DO NOTHING RETURNING node_id, key
"""
_KNOWN = """
SELECT r.node_id, r.key, r.body FROM nodes_reportkey r
JOIN unnest(%s::bigint[], %s::bytea[]) AS k (node_id, key) USING (node_id, key)
"""


def forget_keys(cursor: Cursor) -> int:
    """Delete the keys whose time is over; returns how many, at the most so many as one statement takes well."""
    cursor.execute(
        """DELETE FROM nodes_reportkey WHERE ctid IN (
               SELECT ctid FROM nodes_reportkey WHERE at < clock_timestamp() - make_interval(secs => %s) LIMIT %s)""",
        (KEPT, MOST_FORGOTTEN),
    )
    return cursor.rowcount


def pools_of(cursor: Cursor, nodes: Sequence[int]) -> tuple[dict[int, int], float]:
    """The pools of those of these nodes that are there, and the database's clock in seconds since the epoch."""
    cursor.execute(
        """SELECT extract(epoch FROM clock_timestamp())::float8 AS now, n.id, n.pool_id
           FROM (SELECT 1) one LEFT JOIN nodes_node n ON n.id = ANY(%s::bigint[]) AND n.removed_at IS NULL""",
        (list(nodes),),
    )
    rows = cursor.fetchall()
    return {row["id"]: row["pool_id"] for row in rows if row["id"] is not None}, float(rows[0]["now"])
