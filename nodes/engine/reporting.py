"""What those who send the traffic tell of a node: how calls ended, and how much it carries.

Reported calls move the node's breaker by the same rules as its checks, with a run and windows of their own.  A call that
ended before the breaker's last change of state answers an older state, and one that ended while it was open met no
state at all: both are counted as late.  The order of the calls within one entry is not known; its failures are spread
evenly over it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from nodes.engine import breaker as rules
from nodes.engine.apply_checks import breaker_events
from nodes.engine.breaker import Change, Permit
from nodes.engine.enums import UNWATCHED, EventType, Mode, Origin, Outcome, State
from nodes.engine.event_types import event
from nodes.engine.pool_step import begin, settle
from nodes.engine.step import Step
from nodes.engine.troubles import HIGH_LOAD, HIGH_REPORTS
from nodes.engine.types import Breaker, BreakerPolicy, Fleet, Load, Member, Pool, Trial

OLDEST = 60.0  # s; what ended longer ago says nothing about now


@dataclass(frozen=True, slots=True)
class Calls:
    """Calls that ended around one instant: how many well and badly, how many of them slowly, or how long each took (s)."""

    success: int
    failure: int
    at: float
    slow: int = 0
    duration: float | None = None


@dataclass(frozen=True, slots=True)
class Report:
    """What one request brought for one node; `load` in the unit of its capacity."""

    calls: tuple[Calls, ...] = ()
    load: float | None = None


def report(pool: Pool, fleet: Fleet, now: float, node: int, told: Report, *, jitter: float = 0.0) -> Step:
    """Feed one node's breaker with reported calls, and take note of its load.  Raises `Refused` for a node that was removed."""
    step = begin(pool, fleet, now, jitter=jitter)
    member = step.member(node)
    breaker, changes = _fed(member.breaker, member.breaker_policy, told.calls, now, jitter)
    seen = replace(member, breaker=breaker)
    if breaker.state == State.HALF_OPEN and breaker.successes > member.breaker.successes:
        seen = replace(seen, trial=replace(member.trial or Trial(), heard_at=now))
    step = step.put(seen).tell(*breaker_events(member, seen, changes, pool.policy.page_on))
    if told.load is not None:
        step = _weigh(step, seen, told.load)
    return settle(step, pool, fleet, now)


def _fed(
    breaker: Breaker, policy: BreakerPolicy, calls: tuple[Calls, ...], now: float, jitter: float
) -> tuple[Breaker, tuple[Change, ...]]:
    changes: tuple[Change, ...] = ()
    for each in sorted(calls, key=lambda entry: entry.at):
        late = 0
        for outcome, slow in _spread(each, policy):
            if _answers(breaker, each.at, now):
                breaker, more = _count(breaker, policy, outcome, slow, now, jitter)
                changes += more
            else:
                late += 1
        if late:
            stats = breaker.stats
            breaker = replace(breaker, stats=replace(stats, total=stats.total + late, late=stats.late + late))
    return breaker, changes


def _spread(calls: Calls, policy: BreakerPolicy) -> Iterator[tuple[Outcome, bool]]:
    """The calls one by one, failures and slow ones evenly among them."""
    whole = calls.success + calls.failure
    slow = calls.slow
    if calls.duration is not None and policy.slow_call_duration is not None:
        slow = whole if calls.duration > policy.slow_call_duration else 0
    for number in range(whole):
        failed = _falls(number, calls.failure, whole)
        yield Outcome.FAILURE if failed else Outcome.SUCCESS, _falls(number, slow, whole)


def _falls(number: int, part: int, whole: int) -> bool:
    return (number + 1) * part // whole > number * part // whole


def _answers(breaker: Breaker, at: float, now: float) -> bool:
    """Whether a call that ended at `at` can say anything about the breaker as it is now."""
    if breaker.state == State.OPEN or breaker.mode == Mode.FORCED_OPEN:
        return False
    return at >= max(now - OLDEST, breaker.stats.last_change or 0.0)


def _count(
    breaker: Breaker, policy: BreakerPolicy, outcome: Outcome, slow: bool, now: float, jitter: float
) -> tuple[Breaker, tuple[Change, ...]]:
    asked, permit = rules.acquire(breaker, policy, now, jitter=jitter)
    if not isinstance(permit, Permit):
        return asked, ()  # more trials than are let through: the rest of the callers went round the console
    duration = (policy.slow_call_duration or 0.0) + 1.0 if slow else None
    return rules.report(asked, policy, permit, outcome, now, jitter=jitter, origin=Origin.CALLS, duration=duration)


def _weigh(step: Step, node: Member, load: float) -> Step:
    """Tell once when the load stays high, and once when it no longer is; a node that a person took out is not watched."""
    before = node.load.high if node.load else 0
    high = node.capacity is not None and load >= HIGH_LOAD * node.capacity and node.admin not in UNWATCHED
    after = min(before + 1, HIGH_REPORTS) if high else 0
    step = step.put(replace(node, load=Load(load, after)))
    if after == HIGH_REPORTS > before:
        said = f"{node.name} carries {load:g} of {node.capacity:g}: {HIGH_REPORTS} reports in a row at {HIGH_LOAD:.0%} or more"
        return step.tell(event(EventType.HIGH_LOAD, said, node.id, {"load": load, "capacity": node.capacity}))
    if before == HIGH_REPORTS > after:
        return step.tell(
            event(EventType.HIGH_LOAD_ENDED, f"{node.name} carries {load:g}: its load is no longer high", node.id, {"load": load})
        )
    return step
