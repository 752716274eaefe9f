"""A pool of the engine as the truths see it, so that what a command would come to is told in the words of the dashboard.  Pure."""

from __future__ import annotations

from nodes.engine.breaker import effective
from nodes.engine.service import FleetView, NodeView, PoolView
from nodes.engine.types import Fleet, Member, Pool


def seen_pool(pool: Pool) -> PoolView:
    """What `truth` says of it is what pages say once it is stored."""
    nodes = tuple(_seen(node) for node in sorted(pool.members, key=lambda each: (each.priority, each.name)))
    return PoolView(pool.id, pool.name, nodes, epoch=pool.epoch, low_capacity=pool.low_capacity, paused=pool.paused)


def seen_fleet(fleet: Fleet) -> FleetView:
    return FleetView(blind="no checker is believed" if fleet.isolated is not None else "", paused=fleet.paused)


def _seen(node: Member) -> NodeView:
    failure, health = node.failure, node.health
    return NodeView(
        name=node.name,
        share=node.share,
        weight=node.weight,
        admin=node.admin,
        health=health.status,
        breaker=effective(node.breaker),
        stale=health.stale,
        fails=health.fails,
        failure_threshold=node.health_policy.failure_threshold,
        ever_eligible=health.ever_eligible,
        ramping=node.ramp is not None and node.ramp.step > 0,
        message=health.fault,
        since=failure.first_bad_at if failure is not None else health.first_bad_at,
        observed_at=health.observed_at,
        refused_by=failure.refused_by if failure is not None else None,
    )
