"""What would become of a pool that lost some of its nodes this second, all at once: what the engine itself would then do.

Pure.  The lost nodes are marked failed and the pool is settled as after any batch of checks, so that the answer is what happens.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace

from nodes.engine.decision import Decision
from nodes.engine.enums import Guard, Health
from nodes.engine.pool_step import decide, step
from nodes.engine.shares import eligible, shares
from nodes.engine.types import Fleet, Member, Pool


@dataclass(frozen=True, slots=True)
class Loss:
    """The shares before and after, in basis points by node, and what was decided of each lost node that held one."""

    lost: frozenset[int]
    before: Mapping[int, int]
    after: Mapping[int, int]
    decisions: tuple[Decision, ...]  # in the order they were made
    left: int  # nodes that could still take over from others
    loads: Mapping[int, float]  # what each receiver would carry, as a part of its capacity; only where both are known

    @property
    def to_place(self) -> int:
        """Basis points that the lost nodes hold."""
        return sum(self.before[node] for node in self.lost)

    @property
    def stranded(self) -> int:
        """Basis points that would stay on them."""
        return sum(self.after[node] for node in self.lost)

    @property
    def refusal(self) -> Decision | None:
        """The first decision that a guard would refuse."""
        return next((each for each in self.decisions if each.refused_by is not None), None)

    @property
    def passed(self) -> tuple[Guard, ...]:
        """Guards that would let all of it happen, in the order they are asked."""
        asked = {answer.guard for each in self.decisions for answer in each.guards}
        blocked = {answer.guard for each in self.decisions for answer in each.guards if answer.blocks}
        return tuple(guard for guard in Guard if guard in asked - blocked)


def if_lost(pool: Pool, fleet: Fleet, now: float, nodes: Collection[int]) -> Loss:
    """What would become of the pool; ids of other pools are ignored."""
    lost = frozenset(node.id for node in pool.members if node.id in nodes)
    failed = replace(pool, members=tuple(_failed(node, now) if node.id in lost else node for node in pool.members))
    done = step(failed, fleet, now)
    made = {each.node: each for each in done.decisions if each.node in lost}
    for node in done.pool.members:
        waits = decide(done.pool, fleet, now, about=node.id) if node.id in lost and node.share else None
        if waits is not None:  # refused before, which is told but once
            made.setdefault(node.id, waits)
    left = sum(eligible(node) and node.weight > 0 for node in done.pool.members)
    return Loss(lost, shares(pool), shares(done.pool), tuple(made.values()), left, _loads(pool, done.pool))


def _failed(node: Member, now: float) -> Member:
    """The node as after a run of failing checks; one that may not serve anyhow stays what it is."""
    if node.health.status in (Health.FAILED, Health.UNKNOWN):
        return node
    fails = max(node.health.fails, node.health_policy.failure_threshold)
    bad = now if node.health.first_bad_at is None else node.health.first_bad_at
    health = replace(
        node.health, status=Health.FAILED, fails=fails, passes=0, first_bad_at=bad, since=now, confirm_until=None, stale=False
    )
    return replace(node, health=health)


def _loads(before: Pool, after: Pool) -> dict[int, float]:
    """The load follows the share: a node that gets half as much again carries half as much again."""
    known = [node for node in before.members if node.load is not None and node.share]
    points = sum(node.share for node in known)
    carried = sum(node.load.last for node in known if node.load is not None)
    if not points:
        return {}
    held = shares(before)
    return {
        node.id: carried / points * node.share / node.capacity
        for node in after.members
        if node.capacity and node.share > held[node.id]
    }
