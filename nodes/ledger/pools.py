"""The one transaction of a pool: lock, load, decide, write, append.

Locks are taken in one order: fleet row (shared), pool row, hot rows by id.  The caller opens and ends the transaction.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from psycopg import sql
from psycopg.types.json import Jsonb

from nodes.engine import types
from nodes.engine.health import interval_in_force
from nodes.engine.pool_step import busy, step
from nodes.engine.step import Step
from nodes.ledger import evidence, rows, undecided
from nodes.ledger.history import write_history
from nodes.ledger.incidents import OpenState, open_state, row_of
from nodes.ledger.letters import LETTERS
from nodes.ledger.rows import Cursor, Row, moment

Act = Callable[[types.Pool, types.Fleet, Mapping[int, types.Observation], float], Step]

JITTER = 0.1  # part of the plain interval that chance may take off


@dataclass(frozen=True, slots=True)
class Result:
    """An observation with the claim it answers."""

    node: int
    term_number: int
    observation: types.Observation


@dataclass(frozen=True, slots=True)
class Applied:
    """What a transaction came to."""

    step: Step
    outdated: tuple[int, ...] = ()  # nodes whose result answered an old claim and was dropped


class PoolGoneError(Exception):
    """The pool was removed; reload the page."""


# A row's share locks overtake who waits for it alone, as long as they come; at an advisory lock nobody overtakes.  The row is
# read as it is once the lock is had.
_FLEET = """
SELECT f.version, f.config_version, f.paused, f.isolated, f.believed
FROM (SELECT {gate}({lock}) OFFSET 0) gate, nodes_fleetstate f WHERE f.id = 1 FOR {row} OF f
"""
_EXCLUSIVE_FLEET = _FLEET.format(gate="pg_advisory_xact_lock", lock=0x0FA10, row="UPDATE")
_SHARED_FLEET = _FLEET.format(gate="pg_advisory_xact_lock_shared", lock=0x0FA10, row="SHARE")


def lock_fleet(cursor: Cursor, *, exclusive: bool = False) -> Row:
    """The fleet's row, locked; it is made when a flush took it away."""
    for _ in range(2):
        cursor.execute(_EXCLUSIVE_FLEET if exclusive else _SHARED_FLEET)
        if row := cursor.fetchone():
            return row
        cursor.execute(
            "INSERT INTO nodes_fleetstate (id, version, config_version, missing_told) VALUES (1, 0, 0, false)"
            " ON CONFLICT DO NOTHING"
        )
    raise PoolGoneError("The fleet's row cannot be made")


def read_fleet(cursor: Cursor) -> Row:
    """What holds all automation back, and how many checkers are believed; nothing is locked."""
    cursor.execute("SELECT paused, isolated, believed FROM nodes_fleetstate WHERE id = 1")
    return cursor.fetchone() or {"paused": None, "isolated": None, "believed": 1}


def transact(cursor: Cursor, pool_id: int, act: Act, *, now: float | None = None, results: Sequence[Result] = ()) -> Applied:
    """Lock the pool, let `act` decide on it, write what changed.  Raises `PoolGoneError`; what `act` raises passes through.

    It is `now` by the database's clock, unless an instant is given.
    """
    fleet = _fleet(lock_fleet(cursor))
    pool_row, node_rows = _load(cursor, pool_id)
    if now is None:
        now = float(pool_row["now"])
    before = rows.pool(pool_row, tuple(rows.member(row) for row in node_rows.values()))
    fresh = {r.node: r for r in results if r.node in node_rows and node_rows[r.node]["token"] == r.term_number}
    step = act(before, fleet, {node: r.observation for node, r in fresh.items()}, now)
    was = open_state(cursor, pool_row, node_rows)
    after = write_history(cursor, before, step, was, now)
    evidence.keep(cursor, after.failures, {node: result.observation for node, result in fresh.items()})
    _write_nodes(cursor, before, step.pool, after, fresh, now)
    _write_pool(cursor, pool_row, before, step, after, now)
    undecided.over(cursor, pool_id, pool_row, now)
    return Applied(step, tuple(r.node for r in results if r.node not in fresh))


def advance(cursor: Cursor, pool_id: int, *, now: float | None = None, results: Sequence[Result] = ()) -> Applied:
    """Apply results, or with none of them let time alone do its work."""

    def act(pool: types.Pool, fleet: types.Fleet, seen: Mapping[int, types.Observation], at: float) -> Step:
        return step(pool, fleet, at, observations=seen, jitter=random.random())

    return transact(cursor, pool_id, act, now=now, results=results)


def look(cursor: Cursor, pool_id: int) -> tuple[types.Pool, types.Fleet]:
    """The pool and the fleet as they are, nothing locked; the caller's transaction says how consistent.  Raises `PoolGoneError`."""
    fleet = _fleet(read_fleet(cursor))
    pool_row, node_rows = _load(cursor, pool_id, lock=False)
    return rows.pool(pool_row, tuple(rows.member(row) for row in node_rows.values())), fleet


def _fleet(row: Row) -> types.Fleet:
    return types.Fleet(rows.hold(row["paused"]), rows.hold(row["isolated"]), row["believed"])


def _load(cursor: Cursor, pool_id: int, *, lock: bool = True) -> tuple[Row, dict[int, Row]]:
    locked = " FOR UPDATE OF s" if lock else ""
    cursor.execute(_POOL + locked, (pool_id,))
    pool_row = cursor.fetchone()
    if pool_row is None:
        raise PoolGoneError(PoolGoneError.__doc__)
    cursor.execute(_NODES + locked, (pool_id,))
    return pool_row, {row["node_id"]: row for row in cursor.fetchall()}


_POOL = """
SELECT s.*, p.name, p.strategy, f.panic_threshold, f.max_failed_percent, f.cooldown, f.failback, f.failback_delay,
       f.auto_rebalance, f.rebalance_interval, f.slow_start, f.flapping_within, f.heal_unreported_after, f.page_on,
       extract(epoch FROM clock_timestamp())::float8 AS now
FROM nodes_poolstate s
JOIN nodes_pool p ON p.id = s.pool_id
JOIN nodes_failoverpolicy f ON f.id = p.failover_policy_id
WHERE s.pool_id = %s AND p.removed_at IS NULL
"""

CONFIGURATION = ", ".join(
    [f"n.{name} AS node_{name}, f.{name} AS pool_{name}" for name in rows.HEALTH_POLICY_FIELDS]
    + [f"b.{name} AS breaker_policy_{name}" for name in rows.BREAKER_POLICY_FIELDS]
)

_NODES = f"""
SELECT s.*, n.name, n.weight, n.priority, n.capacity, {CONFIGURATION}
FROM nodes_nodestate s
JOIN nodes_node n ON n.id = s.node_id
JOIN nodes_pool p ON p.id = n.pool_id
JOIN nodes_failoverpolicy f ON f.id = p.failover_policy_id
JOIN nodes_breakerpolicy b ON b.id = p.breaker_policy_id
WHERE n.pool_id = %s AND n.removed_at IS NULL
ORDER BY s.node_id
"""


def due_after(node: types.Member, observation: types.Observation, *, awaited: bool, now: float) -> float:
    """When to ask again: by the interval in force from the start of this check, at once if a failover awaits this node."""
    if awaited:
        return now
    interval = interval_in_force(node.health_policy, node.health)
    if interval == node.health_policy.interval:
        interval = jittered(interval)
    if observation.retry_after is not None:  # asked for by the node, obeyed as far as it hides no failure for longer than usual
        interval = max(interval, min(observation.retry_after, node.health_policy.interval))
    return max(now, observation.started_at + interval)


def jittered(interval: float) -> float:
    """The plain interval, shortened by chance so that checks drift apart."""
    return interval * (1 - JITTER * random.random())


def awaited_nodes(members: Iterable[types.Member]) -> dict[int, float]:
    """Receivers whose next check decides over a failover: node id -> a check begun after this instant counts."""
    waiting: dict[int, float] = {}
    for node in members:
        if node.failure is not None and node.failure.verify_after is not None:
            for receiver in node.failure.receivers:
                waiting[receiver] = max(waiting.get(receiver, 0.0), node.failure.verify_after)
    return waiting


def _write_nodes(
    cursor: Cursor,
    before: types.Pool,
    after: types.Pool,
    left: OpenState,
    fresh: Mapping[int, Result],
    now: float,
) -> None:
    """Write the columns that changed, by name; a node with a result also gets its next due time."""
    old = {node.id: node for node in before.members}
    awaited, awaited_before = awaited_nodes(after.members), awaited_nodes(before.members)
    for node in after.members:
        changes: dict[str, Any] = {}
        known = old.get(node.id)
        if node is not known:
            was = rows.columns(known) if known else {}
            changes = {name: value for name, value in rows.columns(node).items() if was.get(name, _ABSENT) != value}
            if known is None or node.failure != known.failure:
                changes["failure"] = _failure_json(node, left)
            if node.flapping != (known.flapping if known else None):
                changes["flapping"] = _flapping_json(node, left)
        expressions: dict[str, sql.Composable] = {}
        if node.id in fresh:
            observation = fresh[node.id].observation
            waits = awaited.get(node.id, 0.0) > observation.started_at or _is_to_be_confirmed(known, node)
            changes |= _seen(node, observation, due_after(node, observation, awaited=waits, now=now))
            expressions["recent"] = sql.SQL("right(recent || {}, 40)").format(sql.Literal(LETTERS[observation.verdict]))
        elif node.id in awaited and awaited[node.id] != awaited_before.get(node.id):
            changes["due_at"] = moment(now)
        if changes or expressions:
            _update(cursor, node.id, changes, expressions)
    for gone in old.keys() - {node.id for node in after.members}:
        nothing = dict.fromkeys(("failure", "ramp", "trial", "flapping", "owner"))
        _update(cursor, gone, {"share": 0, "admin_state": "disabled", **nothing}, {})


def _is_to_be_confirmed(before: types.Member | None, node: types.Member) -> bool:
    """A decisive failure was withheld just now: another checker is to ask at once."""
    until, known = node.health.confirm_until, before.health.confirm_until if before else None
    return until is not None and until != known and node.health.fails >= node.health_policy.failure_threshold


_ABSENT = object()


def _flapping_json(node: types.Member, left: OpenState) -> Jsonb | None:
    return None if node.flapping is None else Jsonb(asdict(node.flapping) | {"id": left.flapping[node.id].id})


def _failure_json(node: types.Member, left: OpenState) -> Jsonb | None:
    if node.failure is None:
        return None
    fields: dict[str, Any] = {name: getattr(node.failure, name) for name in types.Failure.__dataclass_fields__}
    return Jsonb(fields | {"id": left.failures[node.id]})


def _seen(node: types.Member, observation: types.Observation, due: float) -> dict[str, Any]:
    return {
        "owner": None,
        "due_at": moment(due),
        "due_interval": interval_in_force(node.health_policy, node.health),
        "checked_at": moment(observation.started_at),
        "last_verdict": observation.verdict.value,
        "last_latency": observation.latency,
        "last_message": observation.message[:200],
    }


def _update(cursor: Cursor, node: int, changes: Mapping[str, Any], expressions: Mapping[str, sql.Composable]) -> None:
    parts: list[sql.Composable] = [sql.SQL("version = version + 1")]
    parts += [sql.SQL("{} = {}").format(sql.Identifier(name), value) for name, value in expressions.items()]
    parts += [sql.SQL("{} = %s").format(sql.Identifier(name)) for name in changes]
    query = sql.SQL("UPDATE nodes_nodestate SET {} WHERE node_id = %s").format(sql.SQL(", ").join(parts))
    values_given = [Jsonb(value) if isinstance(value, tuple | dict) else value for value in changes.values()]
    cursor.execute(query, [*values_given, node])


def _write_pool(cursor: Cursor, row: Row, before: types.Pool, step: Step, left: OpenState, now: float) -> None:
    """Write the pool's row by name; its version tells readers that something is to be seen."""
    after = step.pool
    was, new = rows.pool_columns(before), rows.pool_columns(after)
    changes: dict[str, Any] = {name: value for name, value in new.items() if was[name] != value}
    if after.epoch != before.epoch:
        changes["epoch_at"] = moment(now)
    if after.paused != before.paused:
        changes["paused"] = rows.as_json(after.paused)
    if (incident := row_of(left, None)) != row["incident_id"]:
        changes["incident_id"] = incident
    if (wake_at := moment(step.wake_at)) != row["wake_at"]:
        changes["wake_at"] = wake_at
    if (awaited := busy(after)) != row["busy"]:
        changes["busy"] = awaited
    if changes or step.events or after.members != before.members:
        parts = [sql.SQL("version = version + 1"), *(sql.SQL("{} = %s").format(sql.Identifier(n)) for n in changes)]
        query = sql.SQL("UPDATE nodes_poolstate SET {} WHERE pool_id = %s").format(sql.SQL(", ").join(parts))
        cursor.execute(query, [*changes.values(), after.id])
