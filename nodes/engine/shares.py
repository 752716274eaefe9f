"""Who may hold traffic, and how the 10 000 basis points of a pool move.

A change moves a node's share and nothing else; left-over points go to the node furthest below its exact part, then to
the lower id.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from nodes.engine.breaker import effective
from nodes.engine.enums import AdminState, Health, Mode, State, Strategy
from nodes.engine.types import FULL_SHARE, TENTHS, TRIAL_SHARE, Member, Pool

Shares = dict[int, int]

_GOOD = frozenset({Health.HEALTHY, Health.DEGRADED})
_ENABLED, _CLOSED = AdminState.ENABLED, State.CLOSED  # asked of every node at every decision: a name is cheaper than a member


def eligible(node: Member) -> bool:
    """Whether the node may hold its share of the traffic."""
    health = node.health
    return node.admin is _ENABLED and health.status in _GOOD and not health.stale and effective(node.breaker) is _CLOSED


def on_trial(node: Member) -> bool:
    """Eligible but for a half-open breaker: it may hold a little, and no failover is pending."""
    return _fit(node) and effective(node.breaker) == State.HALF_OPEN and not node.health.stale


def in_service(node: Member) -> bool:
    """Eligible as far as anybody knows: silence alone takes no capacity away."""
    return _fit(node) and effective(node.breaker) is _CLOSED


def _fit(node: Member) -> bool:
    return node.admin is _ENABLED and node.health.status in _GOOD


def failover_pending(pool: Pool) -> list[Member]:
    """Nodes that hold a share and may not, by first bad check, then id.  A silent node keeps what it holds."""
    found = [node for node in pool.members if node.share > 0 and not eligible(node) and not on_trial(node) and not only_stale(node)]
    return sorted(found, key=lambda node: (first_bad(node), node.id))


def only_stale(node: Member) -> bool:
    """Nothing speaks against the node but its silence."""
    return node.health.stale and _fit(node) and effective(node.breaker) in (State.CLOSED, State.HALF_OPEN)


def recovered(node: Member) -> bool:
    """Eligible, but for what a person ordered: what ends a failure."""
    enabled = replace(node, admin=AdminState.ENABLED)
    return eligible(enabled) or eligible(replace(enabled, breaker=replace(node.breaker, mode=Mode.AUTO)))


def first_bad(node: Member) -> float:
    if node.failure is not None:
        return node.failure.first_bad_at
    return node.health.first_bad_at if node.health.first_bad_at is not None else node.health.since


def active_tier(pool: Pool, without: int | None = None) -> int | None:
    """The tier that serves: the stored one while it has an eligible node, else the best that has one."""
    if pool.strategy == Strategy.WEIGHTED:
        return None
    tiers = sorted({node.priority for node in pool.members if node.id != without and eligible(node) and node.weight > 0})
    if pool.active_tier in tiers or not tiers:
        return pool.active_tier
    return tiers[0]


def receivers(pool: Pool, without: int | None = None) -> list[Member]:
    """Eligible nodes with weight, of the tier that would serve."""
    tier = active_tier(pool, without)
    return [
        node
        for node in pool.members
        if node.id != without and eligible(node) and node.weight > 0 and (tier is None or node.priority == tier)
    ]


def shares(pool: Pool) -> Shares:
    return {node.id: node.share for node in pool.members}


def ideal_shares(pool: Pool) -> Shares:
    """Shares by weight over the receivers; all 0 when there is none."""
    return {node.id: 0 for node in pool.members} | portions(FULL_SHARE, {node.id: node.weight for node in receivers(pool)})


def portions(points: int, weights: Mapping[int, int]) -> Shares:
    """Split whole points in proportion to weights; the sum is exact."""
    whole = sum(weights.values())
    if whole <= 0:
        return dict.fromkeys(weights, 0)
    parts = {key: points * weight // whole for key, weight in weights.items()}
    left = points - sum(parts.values())
    furthest = sorted(weights, key=lambda key: (-(points * weights[key] % whole), key))
    for key in furthest[:left]:
        parts[key] += 1
    return parts


def moved_away(pool: Pool, node: Member) -> Shares:
    """The shares after this node's share went to the receivers, by their shares, or by weight if they hold nothing."""
    takers = receivers(pool, without=node.id)
    weights = {taker.id: taker.share for taker in takers}
    if not any(weights.values()):
        weights = {taker.id: taker.weight for taker in takers}
    after = shares(pool)
    for taker, points in portions(node.share, weights).items():
        after[taker] += points
    after[node.id] = 0
    return after


def kept_shares(pool: Pool) -> Shares:
    """What stays where it is: a silent node's share, a little on trial, all that waits for a failover, a slow start's steps."""
    kept = {node.id: min(node.share, TRIAL_SHARE) if on_trial(node) else node.share for node in pool.members if not eligible(node)}
    if ramping := [node for node in pool.members if _ramping(node) and eligible(node)]:
        ideal = ideal_shares(pool)
        kept |= {node.id: min(node.share, ideal[node.id]) for node in ramping}
    return kept


def target_shares(pool: Pool) -> Shares:
    """What each node should hold now: by weight over the receivers, of what the others keep."""
    kept = kept_shares(pool)
    takers = [node for node in receivers(pool) if not _ramping(node)]
    if not takers:
        return shares(pool)
    rest = FULL_SHARE - sum(kept.values())
    return {node.id: 0 for node in pool.members} | kept | portions(rest, {node.id: node.weight for node in takers})


def _ramping(node: Member) -> bool:
    return node.ramp is not None and node.ramp.step > 0


def taken_back(pool: Pool, node: Member, *, tenths: int = TENTHS) -> Shares:
    """The shares after this node took its part, or tenths of it, from those above theirs; all of it from an empty pool."""
    after = shares(pool)
    if not any(after.values()):
        return {**after, node.id: FULL_SHARE}
    ideal = target_shares(_with(pool, replace(node, ramp=None)))
    excess = {other.id: max(0, other.share - ideal[other.id]) for other in pool.members if other.id != node.id}
    whole = min(ideal[node.id], ideal_shares(pool)[node.id])  # while others are on their way, not what is left of theirs
    wanted = max(min(1, whole), whole * tenths // TENTHS)
    points = min(max(0, wanted - node.share), sum(excess.values()))
    for donor, part in portions(points, excess).items():
        after[donor] -= part
    after[node.id] += points
    return after


def _with(pool: Pool, node: Member) -> Pool:
    return replace(pool, members=tuple(node if each.id == node.id else each for each in pool.members))


def trial_shares(pool: Pool, node: Member) -> Shares:
    """The shares after this node was given a little, or its ideal where that is less, in proportion to what others hold."""
    after = shares(pool)
    takers = receivers(pool, without=node.id)
    lucky = [other for other in pool.members if on_trial(other) and other.share > TRIAL_SHARE]  # a guard let them keep it
    givers = {giver.id: giver.share for giver in (*takers, *lucky) if giver.share}
    weights = {taker.id: taker.weight for taker in takers} | {node.id: node.weight}
    points = min(TRIAL_SHARE, portions(FULL_SHARE, weights)[node.id], sum(givers.values()))
    for giver, part in portions(points, givers).items():
        after[giver] -= part
        after[node.id] += part
    return after


def awaiting_share(pool: Pool) -> list[Member]:
    """Eligible receivers that hold nothing, or what was for their trials, though their part is not nothing."""
    ideal = target_shares(pool) if any(shares(pool).values()) else ideal_shares(pool)
    return [node for node in receivers(pool) if _waits(node) and ideal[node.id] > 0]


def _waits(node: Member) -> bool:
    return not _ramping(node) and (node.share == 0 or node.ramp is not None)


def off_ideal(pool: Pool) -> bool:
    """Whether a share is off its ideal by more than min(100 bp, 10 % of the ideal) and by more than 1 bp."""
    if not any(shares(pool).values()):
        return False
    ideal = target_shares(pool)
    return any(_far_off(node.share, ideal[node.id]) for node in pool.members)


def _far_off(share: int, ideal: int) -> bool:
    off = abs(share - ideal)
    return (share == 0 and ideal > 0) or (off > 1 and off > min(100, ideal / 10))


def left_out(node: Member, tier: int | None) -> str:
    """Why a node is no receiver while this tier serves (None: all do), in words; empty when it is one."""
    if eligible(node) and node.weight > 0 and tier in (None, node.priority):
        return ""  # most nodes of a pool
    reasons = (
        (node.admin != AdminState.ENABLED, f"it is {node.admin.words}"),
        (node.health.status not in _GOOD, f"its health is {node.health.status}"),
        (node.health.stale, "its last check is too old"),
        (node.breaker.mode == Mode.FORCED_OPEN, "its breaker is forced open"),
        (effective(node.breaker) != State.CLOSED, f"its breaker is {effective(node.breaker).replace('_', '-')}"),
        (node.weight == 0, "its weight is 0"),
        (tier is not None and node.priority != tier, f"tier {node.priority} stands by, tier {tier} serves"),
    )
    return next((text for holds, text in reasons if holds), "")
