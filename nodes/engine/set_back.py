"""A clock that was set back: what is said to have happened lies ahead then, and a wait counted from it would last for as long.

What lies ahead is taken to have happened just now, and an end keeps its distance from its beginning.
"""

from __future__ import annotations

from dataclasses import replace

from nodes.engine import flapping
from nodes.engine.health import confirmation, fast_interval
from nodes.engine.types import Breaker, Failure, HealthPolicy, HealthState, Member, Pool


def follow_clock(pool: Pool, now: float) -> Pool:
    """The pool with no past ahead of `now`; the same value when there is none, as nearly always."""
    members = tuple([_member(node, now) for node in pool.members])
    if any(new is not old for new, old in zip(members, pool.members, strict=True)):
        pool = replace(pool, members=members)
    instants = (pool.last_failover_at, pool.cooldown_lifted_at, pool.better_tier_since, pool.rebalanced_at)
    if max((each for each in instants if each is not None), default=now) <= now:
        return pool
    return replace(
        pool,
        last_failover_at=_past(pool.last_failover_at, now),
        cooldown_lifted_at=_past(pool.cooldown_lifted_at, now),
        better_tier_since=_past(pool.better_tier_since, now),
        rebalanced_at=_past(pool.rebalanced_at, now),
    )


def _past(instant: float | None, now: float) -> float | None:
    return now if instant is not None and instant > now else instant


def _member(node: Member, now: float) -> Member:
    health, ramp, failure = node.health, node.ramp, node.failure
    left_until = (
        None if health.confirm_until is None else min(health.confirm_until, now + _longest_confirmation(node.health_policy))
    )
    if (
        health.since > now
        or (health.observed_at or 0.0) > now
        or (health.first_bad_at or 0.0) > now
        or left_until != health.confirm_until
    ):
        node = replace(node, health=_health(health, left_until, now))
    if (node.breaker.stats.last_change or 0.0) > now:
        node = replace(node, breaker=_breaker(node.breaker, now))
    if ramp is not None and ramp.since > now:
        node = replace(node, ramp=replace(ramp, since=now))
    if node.trial is not None and (node.trial.heard_at or 0.0) > now:
        node = replace(node, trial=replace(node.trial, heard_at=now))
    if (
        failure is not None
        and max(failure.marked_at, failure.first_bad_at, failure.moved_at or 0.0, failure.verify_after or 0.0) > now
    ):
        node = replace(node, failure=_failure(failure, now))
    return flapping.follow_clock(node, now)


def _longest_confirmation(policy: HealthPolicy) -> float:
    """Seconds from a failing check to the end of the time in which another checker is to make the next."""
    return fast_interval(policy) + confirmation(policy)


def _health(health: HealthState, left_until: float | None, now: float) -> HealthState:
    return replace(
        health,
        since=min(health.since, now),
        observed_at=_past(health.observed_at, now),
        first_bad_at=_past(health.first_bad_at, now),
        confirm_until=left_until,
    )


def _breaker(breaker: Breaker, now: float) -> Breaker:
    """Its last change lies in the past, or no check and no call after it would ever count as one of today's state."""
    return replace(
        breaker,
        opened_at=_past(breaker.opened_at, now),
        first_opened_at=_past(breaker.first_opened_at, now),
        stats=replace(breaker.stats, last_change=_past(breaker.stats.last_change, now)),
    )


def _failure(failure: Failure, now: float) -> Failure:
    after, until = failure.verify_after, failure.verify_until
    if after is not None and after > now:
        after, until = now, None if until is None else until - (after - now)
    return replace(
        failure,
        first_bad_at=min(failure.first_bad_at, now),
        marked_at=min(failure.marked_at, now),
        moved_at=_past(failure.moved_at, now),
        verify_after=after,
        verify_until=until,
    )
