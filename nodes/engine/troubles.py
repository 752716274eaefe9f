"""Lasting troubles beside failures: a load that stays high, a trial that nobody calls, capacity that is gone.

Each part looks at what is, tells what has begun and ends what no longer holds, whichever way it went.
"""

from __future__ import annotations

from dataclasses import replace

from nodes.engine import guards
from nodes.engine.enums import UNWATCHED, AdminState, EventType, Mode, Origin, State
from nodes.engine.event_types import event
from nodes.engine.shares import in_service
from nodes.engine.step import Step
from nodes.engine.types import Event, Member, Pool, Trial

HIGH_LOAD = 0.8  # of the capacity
HIGH_REPORTS = 3  # reports of a high load in a row before it is told
STARVED_TRIALS = 10  # trial timeouts without one reported call
_CLOSED = State.CLOSED


def leave(step: Step, node: Member) -> Step:
    """End what lasts of a node that is being removed."""
    if node.load is not None and node.load.high >= HIGH_REPORTS:
        step = _end_high_load(step, node, "it was removed")
    return _forget_trial(step, step.member(node.id), "it was removed") if node.trial is not None else step


# Load -----------------------------------------------------------------------------------------------------------------


def watch_loads(step: Step) -> Step:
    """A high load ends with the watch on its node, or with the capacity that it was measured by."""
    for node in step.pool.members:
        if node.load is None or node.load.high < HIGH_REPORTS:
            continue
        if node.admin in UNWATCHED:
            why = f"it is {node.admin.words}"
        elif node.capacity is None or node.load.last < HIGH_LOAD * node.capacity:
            why = "its capacity was edited"
        else:
            continue
        step = _end_high_load(step, node, why)
    return step


def _end_high_load(step: Step, node: Member, why: str) -> Step:
    """End the trouble of a load that nobody measures any more."""
    assert node.load is not None  # asked by the callers
    told = event(EventType.HIGH_LOAD_ENDED, f"{node.name}: its load is no longer watched, {why}", node.id, {"load": node.load.last})
    return step.put(replace(node, load=replace(node.load, high=0))).tell(told)


# Trials that nobody calls ---------------------------------------------------------------------------------------------


def waits_for_calls(node: Member) -> bool:
    """Whether the breaker is half-open and only calls, which a person lets through, can heal it."""
    breaker = node.breaker
    by_calls = breaker.state is State.HALF_OPEN and breaker.opened_by is Origin.CALLS and breaker.mode is Mode.AUTO
    return by_calls and node.admin is AdminState.ENABLED


def watch_trials(step: Step, now: float) -> Step:
    """Tell of a breaker that waits for calls which never come, and let checks heal it after the pool's time."""
    for node in step.pool.members:
        if node.trial is None and node.breaker.state is _CLOSED:
            continue  # most nodes
        if not waits_for_calls(node):
            if node.trial is not None:
                step = _forget_trial(step, node, _why_over(node))
        elif node.trial is None or not node.trial.by_checks:
            step = _watch_trial(step, node, node.trial or Trial(), now)
    return step


def _watch_trial(step: Step, node: Member, trial: Trial, now: float) -> Step:
    since, patience = _waits_since(node), step.pool.policy.heal_unreported_after
    if patience is not None and now >= since + patience:
        return let_checks_heal(step, node, f"no call was reported for {now - since:.0f} s")
    starved = now >= _starved_at(node)
    if starved and not trial.starved:
        no_share = "" if node.share else "; it holds no share, so none can reach it"
        said = f"{node.name}: its breaker is half-open and waits for calls; none was reported for {now - since:.0f} s{no_share}"
        told = event(EventType.TRIAL_STARVED, said, node.id, {"since": since, "share": node.share})
        return step.put(replace(node, trial=replace(trial, starved=True))).tell(told)
    if trial.starved and not starved:
        heard = trial.heard_at is not None and trial.heard_at >= now
        why = "a call was reported" if heard else "it may wait for longer by its policy"
        return step.put(replace(node, trial=replace(trial, starved=False))).tell(_fed(node, why))
    return step


def let_checks_heal(step: Step, node: Member, why: str, actor: str = "engine") -> Step:
    """From now on checks count as trials of this breaker, too."""
    trial = node.trial or Trial()
    step = step.put(replace(node, trial=replace(trial, starved=False, by_checks=True)))
    said = f"checks count as its trials now, {why}"
    if trial.starved:
        return step.tell(_fed(node, said, actor))
    return step.tell(event(EventType.BREAKER_FORCED, f"{node.name}: {said}", node.id, {"mode": Mode.AUTO.value}, actor=actor))


def _forget_trial(step: Step, node: Member, why: str) -> Step:
    step = step.put(replace(node, trial=None))
    return step.tell(_fed(node, why)) if node.trial is not None and node.trial.starved else step


def _fed(node: Member, why: str, actor: str = "engine") -> Event:
    return event(EventType.TRIAL_STARVED_ENDED, f"{node.name} no longer waits for calls alone: {why}", node.id, actor=actor)


def _why_over(node: Member) -> str:
    if node.admin is not AdminState.ENABLED:
        return f"it is {node.admin.words}"
    if node.breaker.mode is not Mode.AUTO:
        return f"its breaker is {node.breaker.mode.replace('_', ' ')}"
    return f"its breaker is {node.breaker.state.replace('_', '-')}"


def _waits_since(node: Member) -> float:
    half_open_since = node.breaker.stats.last_change or 0.0
    return max(half_open_since, (node.trial.heard_at if node.trial is not None else None) or 0.0)


def _starved_at(node: Member) -> float:
    return _waits_since(node) + STARVED_TRIALS * node.breaker_policy.trial_timeout


def trial_instants(node: Member, pool: Pool) -> list[float]:
    """When it is told that nobody calls the node, and when checks begin to count as its trials."""
    if not waits_for_calls(node) or (node.trial is not None and node.trial.by_checks):
        return []
    patience = pool.policy.heal_unreported_after
    return [_starved_at(node)] + ([] if patience is None else [_waits_since(node) + patience])


# Capacity -------------------------------------------------------------------------------------------------------------


def watch_capacity(step: Step) -> Step:
    """Tell when too little of a pool, or nobody, is left to serve, and when that is over."""
    return _watch_down(_watch_low_capacity(step))


def _watch_low_capacity(step: Step) -> Step:
    pool, low = step.pool, guards.low_capacity(step.pool)
    if (low is not None) == pool.low_capacity:
        return step
    step = step.with_pool(replace(pool, low_capacity=low is not None))
    if low is None:
        return step.tell(event(EventType.LOW_CAPACITY_ENDED, f"{pool.name}: at least half of the weight is eligible again"))
    left, whole = low
    said = f"{pool.name}: only {left} of {whole} weight is eligible"
    return step.tell(event(EventType.LOW_CAPACITY, said, detail={"eligible": left, "enabled": whole}))


def _watch_down(step: Step) -> Step:
    pool, down = step.pool, guards.is_down(step.pool)
    if down == pool.down:
        return step
    step = step.with_pool(replace(pool, down=down))
    if down:
        return step.tell(event(EventType.POOL_DOWN, f"{pool.name} is down: no node is eligible"))
    back = next((node.name for node in pool.members if node.weight > 0 and in_service(node)), "")
    said = f"{back} is eligible again" if back else "no node is left that should serve"
    return step.tell(event(EventType.POOL_DOWN_ENDED, f"{pool.name} is no longer down: {said}"))
