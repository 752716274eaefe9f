"""Nodes that keep failing soon after they have recovered.

A failure within `flapping_within` seconds after the same node's recovery makes the node flap; failures that end by removal,
maintenance or disabling are no recoveries.  All its failures from then on are one incident of the node alone, which ends after
as long a time in which none of them was open.  A node that is removed flaps no more.
"""

from __future__ import annotations

from dataclasses import replace

from nodes.engine.enums import UNWATCHED
from nodes.engine.step import Step
from nodes.engine.types import Failure, Flapping, LastFailure, Member, Pool, PoolPolicy


def watch_flapping(done: Step, before: Pool, now: float) -> Step:
    """Follow failures that began or ended in this step, and quiet times."""
    known = {node.id: node.failure for node in before.members}
    changed = [(node, _watch(node, known.get(node.id), done.pool.policy, now)) for node in done.pool.members]
    moved = [new for old, new in changed if new is not old]
    return done.put(*moved) if moved else done


def ends_at(node: Member, policy: PoolPolicy) -> float | None:
    """When the node's flapping ends if it does not fail before; None while it fails or does not flap."""
    if node.flapping is None or node.flapping.quiet_since is None:
        return None
    return node.flapping.quiet_since + policy.flapping_within


def _watch(node: Member, before: Failure | None, policy: PoolPolicy, now: float) -> Member:
    if before is None and node.failure is not None:
        return _failed(node, node.failure, policy)
    if before is not None and node.failure is None and node.admin not in UNWATCHED:
        node = replace(node, last_failure=LastFailure(min(before.first_bad_at, now), now))
    if node.flapping is None or node.failure is not None:
        return node
    if node.flapping.quiet_since is None:
        node = replace(node, flapping=replace(node.flapping, quiet_since=now))
    over = ends_at(node, policy)
    return replace(node, flapping=None) if over is not None and now >= over else node


def _failed(node: Member, failure: Failure, policy: PoolPolicy) -> Member:
    """A failure that has just begun."""
    flapping, last, over = node.flapping, node.last_failure, ends_at(node, policy)
    if flapping is not None and over is not None and failure.marked_at >= over:
        flapping = None
    elif flapping is not None:
        flapping = replace(flapping, failures=flapping.failures + 1, failed_at=failure.first_bad_at, quiet_since=None)
    elif last is not None and failure.marked_at - last.recovered_at < policy.flapping_within:
        flapping = Flapping(last.first_bad_at, failure.first_bad_at, failures=2)
    return replace(node, flapping=flapping)


def follow_clock(node: Member, now: float) -> Member:
    """The node with nothing of this ahead of `now`; the same value when nothing is, as nearly always."""
    last, flapping = node.last_failure, node.flapping
    if last is not None and last.recovered_at > now:
        node = replace(node, last_failure=LastFailure(min(last.first_bad_at, now), now))
    if flapping is not None and max(flapping.failed_at, flapping.quiet_since or 0.0) > now:
        quiet = None if flapping.quiet_since is None else min(flapping.quiet_since, now)
        flapping = replace(flapping, since=min(flapping.since, now), failed_at=min(flapping.failed_at, now), quiet_since=quiet)
        node = replace(node, flapping=flapping)
    return node
