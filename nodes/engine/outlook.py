"""What would happen now: for each node, where its share would go if it failed this second, or which guard would hold it."""

from __future__ import annotations

from dataclasses import dataclass, replace

from nodes.engine.decision import Decision
from nodes.engine.enums import Health
from nodes.engine.pool_step import decide
from nodes.engine.shares import failover_pending
from nodes.engine.types import Failure, Fleet, Member, Pool


@dataclass(frozen=True, slots=True)
class Prospect:
    """One node's; `waits` says that its failover is pending already, `decision` is what is decided about it."""

    node: Member
    decision: Decision
    waits: bool = False


def outlook(pool: Pool, fleet: Fleet, now: float, *, most: int | None = None) -> tuple[Prospect, ...]:
    """The prospects of the nodes that hold a share (of `most` of them), the greatest first: what `decide` says of each failing."""
    waiting = {node.id for node in failover_pending(pool)}
    holding = sorted((node for node in pool.members if node.share), key=lambda node: (-node.share, node.id))
    return tuple(Prospect(node, if_failed(pool, fleet, now, node), node.id in waiting) for node in holding[:most])


def if_failed(pool: Pool, fleet: Fleet, now: float, node: Member) -> Decision:
    """What `decide` would answer if this node, which holds a share, were marked failed at `now`."""
    health = replace(node.health, status=Health.FAILED, fails=node.health_policy.failure_threshold, first_bad_at=now, since=now)
    failed = replace(node, health=health, failure=node.failure or Failure(now, now, "health", had_share=node.share > 0))
    members = tuple(failed if each.id == node.id else each for each in pool.members)
    decision = decide(replace(pool, members=members), fleet, now, about=node.id)
    assert decision is not None  # a failed node that holds a share has a failover pending
    return decision
