"""How a node gets its share back: at once, or in ten steps, or first a little for the trials of its breaker.

A node that passes its checks and fails its callers is healed by calls alone, and calls reach it by its share alone; so
it holds a little while its breaker is half-open.  The trial's share, the steps and the last of them are one recovery:
further steps name the epoch of the first.  All trials of one failure are one recovery as well, which counts them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from nodes.engine import guards
from nodes.engine.apply_checks import REOPENINGS_TOLD
from nodes.engine.decide import change, decide_failover
from nodes.engine.decision import GuardAnswer
from nodes.engine.enums import ChangeKind, EventType, Guard, Mode, Origin, Strategy
from nodes.engine.event_types import event
from nodes.engine.shares import awaiting_share, eligible, on_trial, only_stale, shares, taken_back, trial_shares
from nodes.engine.step import Step
from nodes.engine.types import TENTHS, Event, Fleet, Member, Pool, Ramp

_NOT_FOR_TRIALS = frozenset({Guard.PANIC, Guard.MAX_FAILED_PERCENT, Guard.COOLDOWN})  # its failover has passed them already


def give_shares(step: Step, fleet: Fleet, ended: Mapping[int, Event], now: float) -> Step:
    """Eligible nodes that hold nothing take their part back; the end of a failure is told after the share is back."""
    waiting = dict(ended)
    if by_act := [node for node in step.pool.members if node.enabled_by and eligible(node)]:
        step = _give(step, [node for node in awaiting_share(step.pool) if node.enabled_by], waiting, now, ())
        step = step.put(*(replace(step.member(node.id), enabled_by="") for node in by_act))
    answers = guards.ask(step.pool, fleet, None, now)
    if guards.blocking(answers) is None:
        step = _go_on(_place_first(step), now, answers)
        step = _give(step, awaiting_share(step.pool), waiting, now, answers)
        step = _try_out(step, now, answers)
    step = step.tell(*waiting.values())
    first = [node for node in step.pool.members if not node.health.ever_eligible and eligible(node)]
    return step.put(*(replace(node, health=replace(node.health, ever_eligible=True)) for node in first)) if first else step


def _give(step: Step, nodes: list[Member], waiting: dict[int, Event], now: float, answers: tuple[GuardAnswer, ...]) -> Step:
    """Let these take their parts, one after the other; told is the end of their failures, where one is `waiting`."""
    for node in nodes:
        reason = f"{node.name} is eligible {'again' if node.health.ever_eligible else 'for the first time'}"
        reason += f", enabled by {node.enabled_by}," if node.enabled_by else ""
        actor, before = node.enabled_by or "engine", step.pool.epoch
        step = give_back(step, node, now, actor=actor, reason=reason.removesuffix(","), answers=answers)
        if step.pool.epoch == before:
            continue
        said = f"{reason} and takes its share of {step.pool.name}"
        over = waiting.pop(node.id, None)
        step = step.tell(over or event(EventType.REBALANCED, said, node.id, {"epoch": step.pool.epoch}, actor=actor))
    return step


def give_back(step: Step, node: Member, now: float, *, actor: str, reason: str, answers: tuple[GuardAnswer, ...] = ()) -> Step:
    """Let this node take its part, or the first step of it; the epoch stays when nobody holds more than theirs.

    What a node with a failover pending holds, only that failover brings.
    """
    slowly = step.pool.policy.slow_start > 0 and any(shares(step.pool).values())
    return _to_tenth(step, node, 1 if slowly else TENTHS, now, actor=actor, reason=reason, answers=answers)


def _to_tenth(
    step: Step, node: Member, tenth: int, now: float, *, actor: str, reason: str, answers: tuple[GuardAnswer, ...]
) -> Step:
    """Bring the node to so many tenths of its share; the epoch stays when nobody has to give any."""
    ramp = node.ramp if node.ramp is not None and node.ramp.epoch else Ramp(step.pool.epoch + 1, now)
    after = taken_back(step.pool, node, tenths=tenth)
    if after[node.id] != node.share:
        kind = ChangeKind.RECOVERY if node.health.ever_eligible else ChangeKind.REBALANCE
        said = reason if tenth == TENTHS and not ramp.step else f"{reason}: step {tenth} of {TENTHS}"
        decision = change(step.pool, kind, now, after, node=node, reason=said, answers=answers, actor=actor)
        step = step.carry_out(replace(decision, continues=(node.ramp.epoch or None) if node.ramp else None))
    elif node.ramp is None:
        return step
    since = ramp.since if ramp.step else now
    return step.put(replace(step.member(node.id), ramp=None if tenth == TENTHS else replace(ramp, since=since, step=tenth)))


def _go_on(step: Step, now: float, answers: tuple[GuardAnswer, ...]) -> Step:
    """Further steps of slow starts, as time passes."""
    for waiting in step.pool.members:
        if waiting.ramp is None or not waiting.ramp.step or not eligible(waiting):
            continue
        tenth = _due_tenth(waiting.ramp, step.pool.policy.slow_start, now)
        if tenth > waiting.ramp.step:
            node = step.member(waiting.id)
            step = _to_tenth(step, node, tenth, now, actor="engine", reason=f"slow start of {node.name}", answers=answers)
    return step


def _due_tenth(ramp: Ramp, slow_start: float, now: float) -> int:
    """Found by the very instants that `next_step_at` names: a step that a rounding missed would be woken for no more."""
    tenth = ramp.step
    while tenth < TENTHS and _tenth_at(ramp, tenth, slow_start) <= now:
        tenth += 1
    return tenth


def _tenth_at(ramp: Ramp, after: int, slow_start: float) -> float:
    """When the tenth after this one is due; at once if slow starts were turned off meanwhile."""
    return ramp.since + after * slow_start / TENTHS


def next_step_at(node: Member, pool: Pool) -> float | None:
    """When the node's slow start has its next step."""
    if node.ramp is None or not node.ramp.step or not eligible(node):
        return None
    return _tenth_at(node.ramp, node.ramp.step, pool.policy.slow_start)


def _try_out(step: Step, now: float, answers: tuple[GuardAnswer, ...]) -> Step:
    """A little traffic for nodes that only calls can heal."""
    for node in step.pool.members:
        if not _healed_by_calls(node) or node.share or node.ramp is not None or not _in_reach(step.pool, node):
            continue
        after = trial_shares(step.pool, node)
        if after[node.id] == 0:
            continue
        reason = f"{node.name} is on trial: only calls can heal its breaker"
        decision = change(step.pool, ChangeKind.RECOVERY, now, after, node=node, reason=reason, answers=answers)
        step = step.carry_out(replace(decision, continues=node.trials_epoch, trial=True))
        first = node.trials_epoch if node.trials_epoch is not None else step.pool.epoch
        step = step.put(replace(step.member(node.id), ramp=Ramp(first, now), trials_epoch=first))
        if node.breaker.reopened % REOPENINGS_TOLD:
            continue
        said = f"{reason}, so it gets {after[node.id] / 100:g} % of {step.pool.name}"
        step = step.tell(event(EventType.REBALANCED, said, node.id, {"epoch": step.pool.epoch, "share": after[node.id]}))
    return step


def _healed_by_calls(node: Member) -> bool:
    return node.breaker.opened_by == Origin.CALLS and node.breaker.mode == Mode.AUTO and on_trial(node)


def _in_reach(pool: Pool, node: Member) -> bool:
    """A node that stands by behind the active tier is not tried: its callers must not write to a standby."""
    return node.weight > 0 and (pool.active_tier is None or node.priority <= pool.active_tier)


def withdraw(step: Step, fleet: Fleet, node: Member, now: float) -> Step | None:
    """Take a trial's share back after the trial failed; None when that is not what the node holds, or a guard refuses."""
    if node.ramp is None or node.ramp.step or not node.ramp.epoch:
        return None
    reason = f"{node.name} failed its trial"
    decision = decide_failover(step.pool, fleet, node, now, kind=ChangeKind.RECOVERY, reason=reason, override=_NOT_FOR_TRIALS)
    if decision.refused_by is not None:
        return None
    step = step.carry_out(replace(decision, continues=node.ramp.epoch, trial=True))
    if node.breaker.reopened % REOPENINGS_TOLD != 1:
        return step
    said = f"{reason}: its {node.share / 100:g} % of {step.pool.name} went back"
    return step.tell(event(EventType.REBALANCED, said, node.id, {"epoch": step.pool.epoch}))


def end_ramps(step: Step) -> Step:
    """A node that may no longer serve is no longer on its way back; the trials of a failure that is over are counted no further."""
    over = [
        replace(node, ramp=None)
        for node in step.pool.members
        if node.ramp is not None and not eligible(node) and not on_trial(node) and not only_stale(node)
    ]
    step = step.put(*over) if over else step
    counted = [replace(node, trials_epoch=None) for node in step.pool.members if node.trials_epoch is not None and not node.failure]
    return step.put(*counted) if counted else step


def _place_first(step: Step) -> Step:
    """While nodes of a better tier come up for the first time, traffic goes to them without the failback's delay."""
    pool = step.pool
    if pool.strategy != Strategy.ACTIVE_PASSIVE or pool.active_tier is None:
        return step
    better = [node for node in pool.members if node.priority < pool.active_tier and node.weight > 0]
    fresh = [node for node in better if eligible(node) and not node.health.ever_eligible]
    if not fresh or any(node.health.ever_eligible for node in better):
        return step
    return step.with_pool(replace(pool, active_tier=min(node.priority for node in fresh)))
