"""Figures of nodes, pools and the whole fleet: states, shares, staleness, guards.

In: the slugs of some pools, or none for all.  Out: a fixed number of series a node and a pool, for `NODES_TOLD` nodes at the most,
those that are not healthy first; how many are left out is a figure of its own.  So a scrape is bounded, and what needs
attention is never what is missing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

from prometheus_client.core import CounterMetricFamily, Metric

from failover_console.metrics.families import figure, gauge, help_text, one_of, rows
from nodes.engine.enums import AdminState, Guard, Health, Mode, State
from nodes.engine.guards import in_force
from nodes.engine.service import Service
from nodes.ledger.intervals import stale
from nodes.ledger.rows import hold, seconds
from nodes.ledger.service import truths

NODES_TOLD = 2_000

_UP = (Health.HEALTHY, Health.DEGRADED)

# A removed pool or node gives its name free; who takes it goes on with the counts, so that no series falls.
_NODES = f"""
WITH counted AS (
    SELECT regexp_replace(p.slug, '-removed-' || p.id || '$', '') AS slug, n.name,
           sum(s.breaker_times_opened) AS times_opened, sum(s.breaker_closings) AS closings
    FROM nodes_nodestate s JOIN nodes_node n ON n.id = s.node_id JOIN nodes_pool p ON p.id = n.pool_id
    GROUP BY 1, 2
)
SELECT p.slug, n.name, s.health, s.breaker_state, s.breaker_mode, s.admin_state, s.share, {stale()} AS stale,
       greatest(extract(epoch FROM now() - coalesce(s.checked_at, n.created_at)), 0)::float8 AS age,
       c.times_opened::float8, c.closings::float8, count(*) OVER () AS nodes
FROM nodes_nodestate s JOIN nodes_node n ON n.id = s.node_id JOIN nodes_pool p ON p.id = n.pool_id
JOIN nodes_failoverpolicy f ON f.id = p.failover_policy_id
JOIN counted c ON c.slug = p.slug AND c.name = n.name
WHERE n.removed_at IS NULL AND (%(pools)s::text[] IS NULL OR p.slug = ANY(%(pools)s))
ORDER BY (s.health = '{Health.HEALTHY}' AND s.breaker_state = '{State.CLOSED}' AND NOT {stale()}), n.id
LIMIT {NODES_TOLD}
"""

_POOLS = """
SELECT p.slug, f.paused, f.isolated, s.paused, extract(epoch FROM now())::float8,
       CASE WHEN s.cooldown_lifted_at >= s.last_failover_at THEN false
            ELSE coalesce(extract(epoch FROM now() - s.last_failover_at)::float8 < y.cooldown, false) END AS cooling_down,
       coalesce(t.refused_by, '{}')
FROM nodes_pool p JOIN nodes_failoverpolicy y ON y.id = p.failover_policy_id JOIN nodes_poolstate s ON s.pool_id = p.id
LEFT JOIN nodes_fleetstate f ON f.id = 1
LEFT JOIN (SELECT pool_id, array_agg(DISTINCT failure->>'refused_by') AS refused_by FROM nodes_nodestate
           WHERE failure IS NOT NULL GROUP BY pool_id) t ON t.pool_id = p.id
WHERE p.removed_at IS NULL AND (%(pools)s::text[] IS NULL OR p.slug = ANY(%(pools)s))
ORDER BY p.id
"""

_FLEET = f"""
SELECT s.health, s.admin_state, s.breaker_mode, {stale()}, count(*)
FROM nodes_nodestate s JOIN nodes_node n ON n.id = s.node_id JOIN nodes_pool p ON p.id = n.pool_id
JOIN nodes_failoverpolicy f ON f.id = p.failover_policy_id
WHERE n.removed_at IS NULL GROUP BY 1, 2, 3, 4
"""


def pools_and_nodes(pools: Sequence[str] = ()) -> Iterator[Metric]:
    """The series of each node and of each pool."""
    wanted = {"pools": list(pools) or None}
    found = rows(_NODES, wanted)
    yield from _states(found)
    yield from _figures(found)
    left_out = found[0][-1] - len(found) if found else 0
    yield figure("failover_nodes_left_out", f"nodes without series in this answer, which tells of {NODES_TOLD}", left_out)
    yield _guards(rows(_POOLS, wanted))
    yield _services(pools)


def _states(found: list[tuple[Any, ...]]) -> Iterator[Metric]:
    """What a node is, in words."""
    up = gauge("failover_node_up", "1 when the node is healthy or degraded", ["pool", "node"])
    state = gauge("failover_node_state", "1 for the health that the node has", ["pool", "node", "state"])
    breaker = gauge("failover_breaker_state", "1 for the state that the node's breaker has", ["pool", "node", "state"])
    info = gauge(
        "failover_node_info", "always 1; the node's admin state and its breaker's mode", ["pool", "node", "admin_state", "mode"]
    )
    silent = gauge("failover_node_stale", "1 when the node is stale", ["pool", "node"])
    for pool, node, health, breaker_state, mode, admin_state, _, is_stale, *_ in found:
        up.add_metric([pool, node], float(health in _UP))
        one_of(state, [pool, node], Health, health)
        one_of(breaker, [pool, node], State, breaker_state)
        info.add_metric([pool, node, admin_state, mode], 1.0)
        silent.add_metric([pool, node], float(is_stale))
    yield from (up, state, breaker, info, silent)


def _figures(found: list[tuple[Any, ...]]) -> Iterator[Metric]:
    """What of a node is a number."""
    share = gauge("failover_node_share_ratio", "the node's part of its pool's traffic", ["pool", "node"])
    age = gauge("failover_node_check_age_seconds", "time since the node's last check, or since it was added", ["pool", "node"])
    moved = CounterMetricFamily(
        "failover_breaker_transitions", help_text("times a breaker went to this state"), labels=["pool", "node", "to"]
    )
    for pool, node, *_, basis_points, _, since, times_opened, closings, _ in found:
        share.add_metric([pool, node], basis_points / 10_000)
        age.add_metric([pool, node], since)
        moved.add_metric([pool, node, State.OPEN], times_opened)
        moved.add_metric([pool, node, State.CLOSED], closings)
    yield from (share, age, moved)


def _guards(found: list[tuple[Any, ...]]) -> Metric:
    blocking = gauge(
        "failover_guard_blocking",
        "1 while the guard blocks automatic changes of the pool, or the failover of one of its failed nodes",
        ["pool", "guard"],
    )
    for pool, fleet_paused, isolated, paused, now, cooling_down, refused_by in found:
        blocks = {
            Guard.PAUSED: any(in_force(hold(each), now) for each in (fleet_paused, paused)),
            Guard.CHECKER_ISOLATED: isolated is not None,
            Guard.COOLDOWN: cooling_down,
        }
        for guard in Guard:
            blocking.add_metric([pool, guard], float(blocks.get(guard, guard in refused_by)))
    return blocking


def _services(pools: Sequence[str]) -> Metric:
    family = gauge(
        "failover_pool_service",
        "1 for what the users of the pool feel; unknown also while no node is to serve it",
        ["pool", "state"],
    )
    for slug, known in truths(pools):
        one_of(family, [slug], Service, known.service)
    return family


def whole_fleet() -> Iterator[Metric]:
    """Counts of all nodes by what they are, and what holds all automation."""
    by_health, by_admin_state, by_mode = Counter[str](), Counter[str](), Counter[str]()
    silent = 0
    for health, admin_state, mode, is_stale, count in rows(_FLEET):
        by_health[health] += count
        by_admin_state[admin_state] += count
        by_mode[mode] += count
        silent += count * is_stale
    for name, what, label, values, counts in (
        ("failover_nodes_by_state", "nodes of this health", "state", Health, by_health),
        ("failover_nodes_by_admin_state", "nodes in this admin state", "admin_state", AdminState, by_admin_state),
        ("failover_nodes_by_mode", "nodes whose breaker is in this mode", "mode", Mode, by_mode),
    ):
        family = gauge(name, what, [label])
        for value in values:
            family.add_metric([value], counts[value])
        yield family
    yield figure("failover_nodes_stale", "stale nodes", silent)
    [(paused, isolated, now, believed)] = rows(
        "SELECT f.paused, f.isolated, now(), coalesce(f.believed, 1) FROM (VALUES (1)) one LEFT JOIN nodes_fleetstate f ON f.id = 1"
    )
    yield figure(
        "failover_automation_paused", "1 while all automation is paused", float(bool(in_force(hold(paused), seconds(now) or 0)))
    )
    yield figure(
        "failover_no_checker_believed", "1 while no checker is believed and automation is blocked", float(isolated is not None)
    )
    yield figure("failover_checkers_believed", "checkers that live and are not isolated", float(believed))
    doubted = gauge("failover_checker_isolated", "1 while this checker is not believed", ["checker"])
    unanswered = gauge("failover_checker_resolver_down", "1 while the resolver of this checker's host answers nothing", ["checker"])
    for host, doubt, away in rows("SELECT host, doubt, resolver_told FROM nodes_checker ORDER BY host LIMIT 1000"):
        doubted.add_metric([host], float(doubt != ""))
        unanswered.add_metric([host], float(away))
    yield from (doubted, unanswered)
