"""How a node gets its share back: at once, or in ten steps, or first a little for the trials of its breaker.

A node that passes its checks and fails its callers is healed by calls alone, and calls reach it by its share alone; so
it holds a little while its breaker is half-open.  The trial's share, the steps and the last of them are one recovery:
further steps name the epoch of the first.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from nodes.engine import guards
from nodes.engine.apply_checks import REOPENINGS_TOLD
from nodes.engine.course import Course
from nodes.engine.decide import change, decide_failover
from nodes.engine.enums import ChangeKind, EventType, Guard, Mode, Origin, Severity, Strategy
from nodes.engine.record import GuardAnswer
from nodes.engine.shares import awaiting_share, eligible, on_trial, only_stale, shares, taken_back, trial_shares
from nodes.engine.types import TENTHS, Event, Fleet, Member, Pool, Ramp

_NOT_FOR_TRIALS = frozenset({Guard.PANIC, Guard.MAX_FAILED_PERCENT, Guard.COOLDOWN})  # its failover has passed them already


def give_shares(course: Course, fleet: Fleet, ended: Mapping[int, Event], now: float) -> None:
    """Eligible nodes that hold nothing take their part back; what ended well is told after the share is back."""
    told = dict(ended)
    answers = guards.ask(course.pool, fleet, None, now)
    if guards.holder(answers) is None:
        _place_first(course)
        _go_on(course, now, answers)
        for node in awaiting_share(course.pool):
            reason = (
                f"{node.name} is eligible again" if node.health.ever_eligible else f"{node.name} is eligible for the first time"
            )
            if not give_back(course, node, now, actor="engine", reason=reason, answers=answers):
                continue
            if node.id in told:
                course.tell(told.pop(node.id))
            else:
                said = f"{reason} and takes its share of {course.pool.name}"
                course.tell(Event(EventType.REBALANCED, Severity.INFO, said, node.id, {"epoch": course.pool.epoch}))
        _try_out(course, now, answers)
    course.events += told.values()
    for node in course.pool.members:
        if not node.health.ever_eligible and eligible(node):
            course.set(replace(node, health=replace(node.health, ever_eligible=True)))


def give_back(course: Course, node: Member, now: float, *, actor: str, reason: str, answers: tuple[GuardAnswer, ...] = ()) -> bool:
    """Let this node take its part, or the first step of it; False when nobody holds more than theirs.

    What a node with a failover pending holds, only that failover brings.
    """
    slowly = course.pool.policy.slow_start > 0 and any(shares(course.pool).values())
    return _to_step(course, node, 1 if slowly else TENTHS, now, actor=actor, reason=reason, answers=answers)


def _to_step(
    course: Course, node: Member, step: int, now: float, *, actor: str, reason: str, answers: tuple[GuardAnswer, ...]
) -> bool:
    ramp = node.ramp or Ramp(course.pool.epoch + 1, now)
    after = taken_back(course.pool, node, tenths=step)
    given = after[node.id] != node.share
    if given:
        kind = ChangeKind.RECOVERY if node.health.ever_eligible else ChangeKind.REBALANCE
        said = reason if step == TENTHS and not ramp.step else f"{reason}: step {step} of {TENTHS}"
        decision = change(course.pool, kind, now, after, node=node, reason=said, answers=answers, actor=actor)
        course.decided(replace(decision, continues=node.ramp.epoch if node.ramp else None))
    if not given and node.ramp is None:
        return False
    since = ramp.since if ramp.step else now
    course.set(replace(course.member(node.id), ramp=None if step == TENTHS else replace(ramp, since=since, step=step)))
    return given


def _go_on(course: Course, now: float, answers: tuple[GuardAnswer, ...]) -> None:
    """Further steps of slow starts, as time passes."""
    for waiting in course.pool.members:
        if waiting.ramp is None or not waiting.ramp.step or not eligible(waiting):
            continue
        step = _due_step(waiting.ramp, course.pool.policy.slow_start, now)
        if step > waiting.ramp.step:
            node = course.member(waiting.id)
            _to_step(course, node, step, now, actor="engine", reason=f"slow start of {node.name}", answers=answers)


def _due_step(ramp: Ramp, slow_start: float, now: float) -> int:
    """Found by the very instants that `next_step_at` names: a step that a rounding missed would be woken for no more."""
    step = ramp.step
    while step < TENTHS and _step_at(ramp, step, slow_start) <= now:
        step += 1
    return step


def _step_at(ramp: Ramp, after: int, slow_start: float) -> float:
    """When the step after this one is due; at once if slow starts were switched off meanwhile."""
    return ramp.since + after * slow_start / TENTHS


def next_step_at(node: Member, pool: Pool) -> float | None:
    """When the node's slow start has its next step."""
    if node.ramp is None or not node.ramp.step or not eligible(node):
        return None
    return _step_at(node.ramp, node.ramp.step, pool.policy.slow_start)


def _try_out(course: Course, now: float, answers: tuple[GuardAnswer, ...]) -> None:
    """A little traffic for nodes that only calls can heal."""
    for node in course.pool.members:
        if not _healed_by_calls(node) or node.share or node.ramp is not None or not _in_reach(course.pool, node):
            continue
        after = trial_shares(course.pool, node)
        if after[node.id] == 0:
            continue
        reason = f"{node.name} is on trial: only calls can heal its breaker"
        course.decided(change(course.pool, ChangeKind.RECOVERY, now, after, node=node, reason=reason, answers=answers))
        course.set(replace(course.member(node.id), ramp=Ramp(course.pool.epoch, now)))
        if node.breaker.reopened % REOPENINGS_TOLD:
            continue
        detail = {"epoch": course.pool.epoch, "share": after[node.id]}
        said = f"{reason}, so it gets {after[node.id] / 100:g} % of {course.pool.name}"
        course.tell(Event(EventType.REBALANCED, Severity.INFO, said, node.id, detail))


def _healed_by_calls(node: Member) -> bool:
    return node.breaker.opened_by == Origin.CALLS and node.breaker.mode == Mode.AUTO and on_trial(node)


def _in_reach(pool: Pool, node: Member) -> bool:
    """A node that stands by behind the active tier is not tried: its callers must not write to a standby."""
    return node.weight > 0 and (pool.active_tier is None or node.priority <= pool.active_tier)


def withdraw(course: Course, fleet: Fleet, node: Member, now: float) -> bool:
    """Take a trial's share back after the trial failed; True when that was it."""
    if node.ramp is None or node.ramp.step:
        return False
    reason = f"{node.name} failed its trial"
    decision = decide_failover(course.pool, fleet, node, now, kind=ChangeKind.RECOVERY, reason=reason, override=_NOT_FOR_TRIALS)
    if decision.refused_by is not None:
        return False
    course.decided(replace(decision, continues=node.ramp.epoch))
    if node.breaker.reopened % REOPENINGS_TOLD != 1:
        return True
    said = f"{reason}: its {node.share / 100:g} % of {course.pool.name} went back"
    course.tell(Event(EventType.REBALANCED, Severity.INFO, said, node.id, {"epoch": course.pool.epoch}))
    return True


def end_ramps(course: Course) -> None:
    """A node that may no longer serve is no longer on its way back."""
    for node in course.pool.members:
        if node.ramp is not None and not eligible(node) and not on_trial(node) and not only_stale(node):
            course.set(replace(node, ramp=None))


def _place_first(course: Course) -> None:
    """While nodes of a better tier come up for the first time, traffic goes to them without the failback's delay."""
    pool = course.pool
    if pool.strategy != Strategy.ACTIVE_PASSIVE or pool.active_tier is None:
        return
    better = [node for node in pool.members if node.priority < pool.active_tier and node.weight > 0]
    fresh = [node for node in better if eligible(node) and not node.health.ever_eligible]
    if fresh and not any(node.health.ever_eligible for node in better):
        course.pool = replace(pool, active_tier=min(node.priority for node in fresh))
