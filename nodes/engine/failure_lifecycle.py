"""The life of one node's failure: a table where its stage meets what happens to it, and the parts of a pass that move it.

A failure begins when a node is marked failed or its breaker opens.  Its share moves, or a guard refuses that; receivers are
verified or fail; attempts to recover come and go at any stage; it ends when the node is eligible again, or when nobody waits for
it any more (removed, disabled, put in maintenance).  The table says for each stage and signal how the failure changes and
which events tell of it; a signal without an entry is an error that names both.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from types import MappingProxyType
from typing import NamedTuple

from nodes.engine.apply_checks import REOPENINGS_TOLD
from nodes.engine.breaker import effective
from nodes.engine.decide import run_of, witnesses
from nodes.engine.enums import UNWATCHED, EventType, Guard, Health, Mode, PageOn, State, Verdict
from nodes.engine.event_meaning import Stakes
from nodes.engine.event_types import event
from nodes.engine.shares import first_bad, recovered
from nodes.engine.step import Step
from nodes.engine.types import Event, Failure, Fleet, Member, Observation, Pool, Ramp

UNVERIFIED_AFTER = 30.0  # s from the marking of a node


class Stage(StrEnum):
    """How far a failure has come; read from its fields by `stage_of`."""

    MARKED = "marked"  # failed, or its breaker opened; nothing is decided about its share
    REFUSED = "refused"  # a guard holds its share back
    MOVED = "moved"  # its share is away, its receivers are being checked
    SETTLED = "settled"  # its share is away and nobody is awaited


class Signal(StrEnum):
    """What happens to a failure."""

    SHARE_MOVED = "share_moved"
    REFUSED = "refused"
    REFUSED_AGAIN = "refused_again"
    RECEIVERS_FEWER = "receivers_fewer"
    VERIFIED = "verified"
    UNVERIFIED = "unverified"
    LEFT_UNVERIFIED = "left_unverified"
    ATTEMPT_BEGAN = "attempt_began"
    ATTEMPT_FAILED = "attempt_failed"
    ELIGIBLE = "eligible"
    UNWATCHED = "unwatched"


@dataclass(frozen=True, slots=True)
class Cause:
    """What comes with a signal: its instant, the guard that refused, the receivers awaited and until when."""

    at: float
    guard: Guard | None = None
    receivers: tuple[int, ...] = ()
    until: float | None = None


class NoRuleError(LookupError):
    """The table has no entry for this stage and signal."""


# Rules ----------------------------------------------------------------------------------------------------------------


def _await(failure: Failure, cause: Cause) -> Failure:
    """the share is away, its receivers are awaited"""
    return replace(
        failure, had_share=True, moved_at=cause.at, verify_after=cause.at, verify_until=cause.until, receivers=cause.receivers,
        refused_by=None,
    )  # fmt: skip  # what is awaited, on a line


def _hold(failure: Failure, cause: Cause) -> Failure:
    """the guard is kept, so that it is told once"""
    assert cause.guard is not None  # what refused
    return replace(failure, refused_by=cause.guard, had_share=True, told_guards=(*failure.told_guards, cause.guard))


def _hold_again(failure: Failure, cause: Cause) -> Failure:
    """a guard that was told of refuses again"""
    return replace(failure, refused_by=cause.guard)


def _narrow(failure: Failure, cause: Cause) -> Failure:
    """a receiver that failed its check is awaited no longer"""
    return replace(failure, receivers=cause.receivers)


def _settle(failure: Failure, cause: Cause) -> Failure:
    """nobody is awaited any more"""
    return replace(failure, verify_after=None, verify_until=None, receivers=())


def _verify(failure: Failure, cause: Cause) -> Failure:
    """a receiver serves, nobody is awaited any more"""
    return replace(_settle(failure, cause), verified=True)


def _note_unverified(failure: Failure, cause: Cause) -> Failure:
    """its time to be verified is over"""
    return replace(failure, unverified_told=True)


def _try(failure: Failure, cause: Cause) -> Failure:
    """an attempt to recover has begun"""
    return replace(failure, recovering=True)


def _give_up(failure: Failure, cause: Cause) -> Failure:
    """the attempt is over, the failure goes on"""
    return replace(failure, recovering=False)


def _end(failure: Failure, cause: Cause) -> None:
    """the failure is over"""


Rule = Callable[[Failure, Cause], Failure | None]


class Entry(NamedTuple):
    """How a failure changes, and the events that tell of it, in order."""

    rule: Rule
    tells: tuple[EventType, ...] = ()


_ALWAYS: dict[Signal, Entry] = {
    Signal.SHARE_MOVED: Entry(_await, (EventType.FAILOVER_STARTED,)),
    Signal.REFUSED: Entry(_hold, (EventType.FAILOVER_REFUSED,)),
    Signal.REFUSED_AGAIN: Entry(_hold_again),
    Signal.LEFT_UNVERIFIED: Entry(_note_unverified, (EventType.FAILOVER_UNVERIFIED,)),
    Signal.ATTEMPT_BEGAN: Entry(_try, (EventType.RECOVERY_STARTED,)),
    Signal.ATTEMPT_FAILED: Entry(_give_up, (EventType.RECOVERY_FAILED,)),
    Signal.ELIGIBLE: Entry(_end, (EventType.RECOVERY_COMPLETED,)),
    Signal.UNWATCHED: Entry(_end, (EventType.FAILURE_ENDED,)),
}
_AWAITING: dict[Signal, Entry] = {
    Signal.RECEIVERS_FEWER: Entry(_narrow),
    Signal.VERIFIED: Entry(_verify, (EventType.FAILOVER_COMPLETED,)),
    Signal.UNVERIFIED: Entry(_settle, (EventType.FAILOVER_FAILED,)),
    Signal.ELIGIBLE: Entry(_end, (EventType.FAILOVER_COMPLETED, EventType.RECOVERY_COMPLETED)),
    Signal.UNWATCHED: Entry(_end, (EventType.FAILOVER_COMPLETED, EventType.FAILURE_ENDED)),
}

RULES: Mapping[tuple[Stage, Signal], Entry] = MappingProxyType(
    {
        (stage, signal): entry
        for stage in Stage
        for signal, entry in (_ALWAYS | _AWAITING if stage is Stage.MOVED else _ALWAYS).items()
    }
)


def stage_of(failure: Failure) -> Stage:
    """How far the failure has come."""
    if failure.verify_after is not None:
        return Stage.MOVED
    if failure.refused_by is not None:
        return Stage.REFUSED
    return Stage.SETTLED if failure.moved_at is not None else Stage.MARKED


def apply(failure: Failure, signal: Signal, cause: Cause) -> tuple[Failure | None, tuple[EventType, ...]]:
    """The failure after a signal (None: it is over) and what is told.  Raises `NoRuleError` where the table is empty."""
    entry = RULES.get((stage_of(failure), signal))
    if entry is None:
        raise NoRuleError(f"A failure that is {stage_of(failure)} knows no {signal}")
    return entry.rule(failure, cause), entry.tells


def rule_table() -> str:
    """The rules, one a line, for people."""
    told = {key: ", ".join(entry.tells) or "nothing" for key, entry in RULES.items()}
    return "\n".join(
        f"{stage:<8} {signal:<16} {entry.rule.__doc__}; tells {told[stage, signal]}" for (stage, signal), entry in RULES.items()
    )


def turn(step: Step, node: Member, signal: Signal, cause: Cause, sentences: Mapping[EventType, Event]) -> Step:
    """Move a node's failure by the table, and tell what it says, in the given sentences."""
    assert node.failure is not None  # asked by the caller
    failure, tells = apply(node.failure, signal, cause)
    return step.put(replace(node, failure=failure)).tell(*(sentences[kind] for kind in tells))


# Beginning and attempts -----------------------------------------------------------------------------------------------


def mark_failures(step: Step, before: Pool, fleet: Fleet, observations: Mapping[int, Observation], now: float) -> Step:
    """Begin the failures of nodes that are failed or whose breaker opened, by first bad check, then id; follow their attempts.

    One that was never eligible has lost nothing, and nobody waits for it.
    """
    known = {node.id: node for node in before.members}
    for node in sorted(step.pool.members, key=lambda each: (first_bad(each), each.id)):
        if node.failure is not None:
            step = _follow(step, node, known.get(node.id, node), fleet, observations.get(node.id), now)
        elif node.admin not in UNWATCHED and node.health.ever_eligible and (cause := _cause(node)):
            step = _begin(step, node, cause, fleet, observations.get(node.id), now)
    return step


def _cause(node: Member) -> str:
    if node.health.status == Health.FAILED:
        return "health"
    opened = effective(node.breaker) == State.OPEN and node.breaker.mode != Mode.FORCED_OPEN
    return "breaker" if opened else ""


def _begin(step: Step, node: Member, cause: str, fleet: Fleet, observation: Observation | None, now: float) -> Step:
    first_bad_at = node.health.first_bad_at if node.health.first_bad_at is not None else now
    step = step.put(replace(node, failure=Failure(min(first_bad_at, now), now, cause, had_share=node.share > 0)))
    stakes = Stakes(node.share, node.health.ever_eligible, page_on=step.pool.policy.page_on)
    if cause == "health":
        return step.tell(_marked(node, fleet, observation, now, stakes))
    told = any(each.type == EventType.BREAKER_OPENED and each.node == node.id for each in step.events)
    return step if told else step.tell(_found_open(node, stakes))


def _marked(node: Member, fleet: Fleet, observation: Observation | None, now: float, stakes: Stakes) -> Event:
    message = node.health.fault or "no answer"
    seen_failing = observation is not None and observation.verdict == Verdict.FAIL
    if node.health.since == now and not seen_failing:
        message += ", seen while no checker was believed"
    said = f"{node.name} failed {run_of(node.health.fails)}: {message}{witnesses(node, fleet)}"
    detail = {"count": node.health.fails, "message": message, "share": node.share, "checkers": list(node.health.seen_by)}
    return event(EventType.NODE_MARKED_FAILED, said, node.id, detail, stakes=stakes)


def _found_open(node: Member, stakes: Stakes) -> Event:
    """Its breaker opened while that took nothing from it: in maintenance, or in another mode."""
    said = f"{node.name}: its breaker is open ({node.breaker.opened_why})"
    detail = {"count": node.health.fails, "message": node.breaker.opened_why, "share": node.share}
    return event(EventType.NODE_MARKED_FAILED, said, node.id, detail, stakes=stakes)


def _follow(step: Step, node: Member, before: Member, fleet: Fleet, observation: Observation | None, now: float) -> Step:
    """Attempts to recover: begun by the first good check or by a trial, undone by a bad one."""
    assert node.failure is not None  # asked by the caller
    left_failed = before.health.status == Health.FAILED != node.health.status
    began = left_failed or _turned(before.breaker.state, node.breaker.state, State.HALF_OPEN)
    failed = _turned(before.health.status, node.health.status, Health.FAILED)
    if node.failure.recovering and (failed or node.breaker.reopened > before.breaker.reopened):
        said = event(EventType.RECOVERY_FAILED, f"{node.name} failed again while recovering", node.id)
        told = failed or node.breaker.reopened % REOPENINGS_TOLD == 1
        return _tell_if(told, turn(step, node, Signal.ATTEMPT_FAILED, Cause(now), {said.type: said}))
    if failed and before.health.status != Health.RECOVERING:
        return step.tell(_marked(node, fleet, observation, now, Stakes(begins=False)))  # its breaker had opened before that
    if began and not node.failure.recovering and not recovered(node):
        return _tell_if(left_failed or node.breaker.reopened % REOPENINGS_TOLD == 0, _start_recovery(step, node, now))
    return step


def _tell_if(told: bool, step: Step) -> Step:
    """Of the trials that calls fail the first is told, then every tenth."""
    return step if told else replace(step, events=step.events[:-1])


def _start_recovery(step: Step, node: Member, now: float) -> Step:
    passes, need = node.health.passes, node.health_policy.recovery_threshold
    said = f"{node.name} is recovering ({passes}/{need})" if passes else f"{node.name} is recovering"
    began = event(EventType.RECOVERY_STARTED, said, node.id, {"count": passes, "threshold": need})
    return turn(step, node, Signal.ATTEMPT_BEGAN, Cause(now), {began.type: began})


def _turned(before: str, after: str, to: str) -> bool:
    return before != after == to


# Ends -----------------------------------------------------------------------------------------------------------------


def end_failures(step: Step, now: float) -> tuple[Step, dict[int, Event]]:
    """End the failures of nodes that are eligible again or no longer watched; node -> the event to tell once its share is back."""
    ended: dict[int, Event] = {}
    for node in step.pool.members:
        if node.failure is None:
            continue
        if node.admin in UNWATCHED:
            step = abandon(step, node, f"it is {node.admin.words}", now)
        elif recovered(node):
            step, ended[node.id] = _recover(step, node, now)
    return step, ended


def _recover(step: Step, node: Member, now: float) -> tuple[Step, Event]:
    """End the failure; its last event is given back, to be told once the node's share is back."""
    assert node.failure is not None  # asked by the caller
    if not node.failure.recovering:
        step = _start_recovery(step, node, now)
    took = now - node.failure.marked_at
    detail = {"seconds": round(took, 3), "first_bad_at": node.failure.first_bad_at}
    back = event(EventType.RECOVERY_COMPLETED, f"{node.name} recovered after {took:.0f} s", node.id, detail)
    step = turn(step, step.member(node.id), Signal.ELIGIBLE, Cause(now), _last_words(node, now) | {back.type: back})
    if node.share and node.ramp is None:  # its failover was refused, and a trial's limit may have taken of its share since
        step = step.put(replace(step.member(node.id), ramp=Ramp(0, now)))
    return replace(step, events=step.events[:-1]), back


def abandon(step: Step, node: Member, why: str, now: float) -> Step:
    """End the failure of a node that nobody waits for any more."""
    assert node.failure is not None  # asked by the caller
    took = round(now - node.failure.marked_at, 3)
    over = event(EventType.FAILURE_ENDED, f"The failure of {node.name} ended: {why}", node.id, {"seconds": took})
    return turn(step, node, Signal.UNWATCHED, Cause(now), _last_words(node, now) | {over.type: over})


def _last_words(node: Member, now: float) -> dict[EventType, Event]:
    said = f"Failover of {node.name} ended before a receiver was checked: the node no longer counts as failing"
    ended = event(EventType.FAILOVER_COMPLETED, said, node.id, {"seconds": _since_move(node, now)})
    return {ended.type: ended}


# Verification ---------------------------------------------------------------------------------------------------------


def verify(step: Step, observations: Mapping[int, Observation], now: float) -> Step:
    """Complete when a receiver passed a check begun after the shares moved; failed when all failed theirs or time ran out."""
    for node in step.pool.members:
        if node.failure is not None and stage_of(node.failure) is Stage.MOVED:
            step = _verify_one(step, node, node.failure, observations, now)
    return step


def _verify_one(step: Step, node: Member, failure: Failure, observations: Mapping[int, Observation], now: float) -> Step:
    after, until = failure.verify_after or 0.0, failure.verify_until
    fresh = {
        each: observations[each] for each in failure.receivers if each in observations and observations[each].started_at >= after
    }
    passed = next((each for each, seen in fresh.items() if seen.verdict in (Verdict.PASS, Verdict.WARN)), None)
    left = tuple(each for each in failure.receivers if each not in fresh or fresh[each].verdict == Verdict.UNKNOWN)
    detail = {"seconds": _since_move(node, now)}
    if passed is not None:
        names = {each.id: each.name for each in step.pool.members}
        said = f"Failover of {node.name} completed: {names[passed]} answers and holds its traffic"
        done = event(EventType.FAILOVER_COMPLETED, said, node.id, detail)
        return turn(step, node, Signal.VERIFIED, Cause(now), {done.type: done})
    if not left or (until is not None and now >= until):
        why = "every receiver failed its check" if not left else "no receiver passed a check in time"
        failed = event(EventType.FAILOVER_FAILED, f"Failover of {node.name} failed: {why}", node.id, detail)
        return turn(step, node, Signal.UNVERIFIED, Cause(now), {failed.type: failed})
    if left != failure.receivers:
        return turn(step, node, Signal.RECEIVERS_FEWER, Cause(now, receivers=left), {})
    return step


def tell_unverified(step: Step, now: float) -> Step:
    """Of a pool that pages by impact: the failures after whose beginning nobody has been seen to serve for too long."""
    if step.pool.policy.page_on is not PageOn.IMPACT:
        return step
    for node in step.pool.members:
        due = unverified_at(node, step.pool)
        if due is None or now < due or node.failure is None:
            continue
        where = "its share could not move" if node.failure.moved_at is None else "no receiver has passed a check since"
        said = f"{node.name} failed {UNVERIFIED_AFTER:.0f} s ago and {where}"
        told = event(EventType.FAILOVER_UNVERIFIED, said, node.id, {"share": node.share, "seconds": UNVERIFIED_AFTER})
        step = turn(step, node, Signal.LEFT_UNVERIFIED, Cause(now), {told.type: told})
    return step


def unverified_at(node: Member, pool: Pool) -> float | None:
    """When it is told that nobody serves in the node's place; None when it will not be."""
    failure = node.failure
    if failure is None or pool.policy.page_on is not PageOn.IMPACT:
        return None
    open_still = failure.had_share and not failure.verified and not failure.unverified_told
    return failure.marked_at + UNVERIFIED_AFTER if open_still else None


def _since_move(node: Member, now: float) -> float:
    assert node.failure is not None  # asked by the callers
    return round(now - (node.failure.moved_at or node.failure.marked_at), 3)
