"""Reads what the truth of each pool is made of: rows as the engine's `PoolView` and `FleetView`.

`PoolView` is made of rows, one a node, with the columns of `COLUMNS`; the overview of the pages reads the same among others.
A row that this version cannot read makes a pool of which the console cannot tell.  Nothing is locked.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from itertools import groupby
from typing import Any

from django.db import connection
from psycopg.types.datetime import TimestamptzLoader

from nodes.engine.breaker import effective
from nodes.engine.enums import AdminState, Health, Mode, State, Strategy
from nodes.engine.guards import in_force
from nodes.engine.service import FleetView, NodeView, PoolView, Truth, truth
from nodes.engine.types import Breaker
from nodes.ledger import rows as stored
from nodes.ledger.intervals import stale

COLUMNS = f"""
       p.strategy, f.cooldown, ps.epoch, ps.low_capacity, ps.paused, ps.last_failover_at, ps.cooldown_lifted_at,
       ps.undecided_since, ps.undecided_why,
       n.id, n.name, n.weight, coalesce(n.failure_threshold, f.failure_threshold) AS failure_threshold,
       s.admin_state, s.health, s.health_since, s.fails, s.first_bad_at, {stale()} AS stale, s.share, s.ever_able, s.observed_at,
       s.breaker_state, s.breaker_mode, s.breaker_opened_at, s.breaker_opened_why, s.last_message, s.fault, s.failure, s.ramp
"""  # p a pool, ps its state, f its failover policy, n a node, s its state

FLEET_COLUMNS = "fs.paused AS fleet_paused, fs.isolated AS fleet_isolated, fs.missing_told AS fleet_missing"

_VIEWS = f"""
SELECT p.id AS pool_id, p.name AS pool, p.slug, extract(epoch FROM now())::float8 AS now, {FLEET_COLUMNS}, {COLUMNS}
FROM nodes_pool p JOIN nodes_failoverpolicy f ON f.id = p.failover_policy_id
JOIN nodes_poolstate ps ON ps.pool_id = p.id
LEFT JOIN nodes_fleetstate fs ON fs.id = 1
LEFT JOIN (nodes_node n JOIN nodes_nodestate s ON s.node_id = n.id) ON n.pool_id = p.id AND n.removed_at IS NULL
WHERE p.removed_at IS NULL AND (%(pools)s::text[] IS NULL OR p.slug = ANY(%(pools)s))
ORDER BY p.id, n.priority, n.name
"""


def truths(slugs: Sequence[str] = ()) -> Iterator[tuple[str, Truth]]:
    """The truth of these pools, or of all, by slug: one query."""
    for _, group in groupby(read(_VIEWS, {"pools": list(slugs) or None}), key=lambda row: row["pool_id"]):
        rows = list(group)
        now = rows[0]["now"]
        yield rows[0]["slug"], truth(pool_view(rows, now), fleet_view(rows[0], now))


def read(query: str, parameters: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Rows of nodes by the names of their columns; times by psycopg's own loader: Django's takes a fifth of a large page's time."""
    with connection.cursor() as cursor:
        cursor.adapters.register_loader("timestamptz", TimestamptzLoader)
        cursor.execute(query, parameters)
        names = [column.name for column in cursor.description or ()]
        return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]


def fleet_view(row: Mapping[str, Any], now: float, troubles: tuple[str, ...] = ()) -> FleetView:
    """Whether the console can tell anything at all."""
    isolated = stored.hold(row["fleet_isolated"])
    blind = "no check has had a result for too long" if row["fleet_missing"] else ""
    if isolated is not None:
        blind = f"no checker is believed{f' ({isolated.reason})' if isolated.reason else ''}"
    return FleetView(
        blind=blind,
        blind_since=(isolated.since or None) if isolated is not None else None,
        paused=in_force(stored.hold(row["fleet_paused"]), now),
        troubles=troubles,
    )


def pool_view(rows: Sequence[Mapping[str, Any]], now: float) -> PoolView:
    """A pool of its rows; without a node one row in which all of the node is null."""
    first = rows[0]
    why = (first["undecided_why"] or "it cannot be decided") if first["undecided_since"] else ""
    try:
        Strategy(first["strategy"])  # one that this version does not know cannot be decided
        return PoolView(
            id=first["pool_id"],
            name=first["pool"],
            slug=first["slug"],
            nodes=tuple(_node_view(row) for row in rows if row["id"] is not None),
            epoch=first["epoch"] or 0,
            low_capacity=bool(first["low_capacity"]),
            undecided=why,
            paused=in_force(stored.hold(first["paused"]), now),
            cooled_at=_cooled_at(first, now),
        )
    except Exception as error:  # a row of another version, or edited by hand: the runners meet it too, and tell it
        return PoolView(first["pool_id"], first["pool"], (), first["slug"], undecided=why or f"a row of it cannot be read: {error}")


def _cooled_at(row: Mapping[str, Any], now: float) -> float | None:
    moved, lifted = row["last_failover_at"], row["cooldown_lifted_at"]
    if moved is None or (lifted is not None and lifted >= moved):
        return None
    ends = stored.seconds(moved + timedelta(seconds=row["cooldown"]))
    return ends if ends is not None and ends > now else None


def _node_view(row: Mapping[str, Any]) -> NodeView:
    health, breaker = Health(row["health"]), _effective(row)
    failure, ramp = stored.failure(row["failure"]), stored.plain(row["ramp"])
    opened = row["breaker_opened_why"] if row["breaker_mode"] == Mode.AUTO else "forced by a person"
    first_bad = failure.first_bad_at if failure is not None else stored.seconds(row["first_bad_at"])
    if first_bad is None and health in (Health.FAILED, Health.RECOVERING):
        first_bad = stored.seconds(row["health_since"])
    if first_bad is None and breaker is not State.CLOSED and row["breaker_mode"] == Mode.AUTO:
        first_bad = stored.seconds(row["breaker_opened_at"])
    return NodeView(
        name=row["name"],
        share=row["share"],
        weight=row["weight"],
        admin=AdminState(row["admin_state"]),
        health=health,
        breaker=breaker,
        stale=row["stale"],
        fails=row["fails"],
        failure_threshold=row["failure_threshold"],
        ever_eligible=row["ever_able"],
        ramping=ramp is not None and ramp["step"] > 0,
        message=row["fault"] or row["last_message"],
        opened=opened if breaker is not State.CLOSED else "",
        since=first_bad,
        observed_at=stored.seconds(row["observed_at"]),
        refused_by=failure.refused_by if failure is not None else None,
    )


def _effective(row: Mapping[str, Any]) -> State:
    """The breaker as callers meet it."""
    return effective(Breaker(state=State(row["breaker_state"]), mode=Mode(row["breaker_mode"])))
