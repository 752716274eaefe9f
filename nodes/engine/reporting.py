"""What those who send the traffic tell of a node: how calls ended, and how much it carries.

Reported calls move the node's breaker by the same rules as its checks, with a run and windows of their own.  A call that
ended before the breaker's last change of state answers an older state, and one that ended while it was open met no
state at all: both are counted as late.  The order of the calls within one entry is not known; its failures are spread
evenly over it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum

from nodes.engine.apply_checks import breaker_events
from nodes.engine.breaker import Change
from nodes.engine.counting import Call, count_until_change
from nodes.engine.enums import UNWATCHED, EventType, Mode, State
from nodes.engine.event_types import event
from nodes.engine.pool_step import begin, settle
from nodes.engine.step import Step, member_of
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


class Late(StrEnum):
    """Why a call can say nothing about the breaker as it is now, as it follows "late:"."""

    OPEN = "the breaker is open"
    OLD = "ended over a minute ago"
    BEFORE = "ended before the breaker's last change of state"


TRIALS_ENOUGH = "no more trials are let through"


@dataclass(frozen=True, slots=True)
class Tallied:
    """What became of the calls of one report: counted, late and why, and rejected since there were trials enough."""

    counted: int = 0
    late: Mapping[Late, int] = field(default_factory=dict)
    rejected: int = 0


def report(pool: Pool, fleet: Fleet, now: float, node: int, told: Report, *, jitter: float = 0.0) -> Step:
    """Feed one node's breaker with reported calls, and take note of its load.  Raises `Refused` for a node that was removed."""
    member_of(pool, node)
    return report_all(pool, fleet, now, [(node, told)], jitter=jitter)[0]


def report_all(
    pool: Pool, fleet: Fleet, now: float, told: Sequence[tuple[int, Report]], *, jitter: float = 0.0
) -> tuple[Step, tuple[Tallied, ...]]:
    """Feed the breakers of a pool's nodes with reports, one after the other, then let automation act once on what they came to."""
    step = begin(pool, fleet, now, jitter=jitter)
    tallies = []
    for node, each in told:
        step, tallied = _take(step, node, each, now, jitter)
        tallies.append(tallied)
    return settle(step, pool, fleet, now), tuple(tallies)


def _take(step: Step, node: int, told: Report, now: float, jitter: float) -> tuple[Step, Tallied]:
    member = step.member(node)
    breaker, changes, tallied = _fed(member.breaker, member.breaker_policy, told.calls, now, jitter)
    seen = replace(member, breaker=breaker)
    if breaker.state == State.HALF_OPEN and breaker.successes > member.breaker.successes:
        seen = replace(seen, trial=replace(member.trial or Trial(), heard_at=now))
    step = step.put(seen).tell(*breaker_events(member, seen, changes, step.pool.policy.page_on))
    if told.load is not None:
        step = _weigh(step, seen, told.load)
    return step, tallied


def _fed(
    breaker: Breaker, policy: BreakerPolicy, calls: tuple[Calls, ...], now: float, jitter: float
) -> tuple[Breaker, tuple[Change, ...], Tallied]:
    changes: tuple[Change, ...] = ()
    taken, late, rejected = 0, Counter[Late](), breaker.stats.rejected
    for each in sorted(calls, key=lambda entry: entry.at):
        left = _spread(each, policy)
        while left and (why := _late(breaker, each.at, now)) is None:
            breaker, more, done = count_until_change(breaker, policy, left, now, jitter)
            changes += more
            taken, left = taken + done, left[done:]
        if left:
            assert why is not None  # else all would be counted
            late[why] += len(left)
            stats = breaker.stats
            breaker = replace(breaker, stats=replace(stats, total=stats.total + len(left), late=stats.late + len(left)))
    rejected = breaker.stats.rejected - rejected
    return breaker, changes, Tallied(taken - rejected, late, rejected)


def _spread(calls: Calls, policy: BreakerPolicy) -> list[Call]:
    """The calls one by one, failures and slow ones evenly among them."""
    whole = calls.success + calls.failure
    slow = calls.slow
    if calls.duration is not None and policy.slow_call_duration is not None:
        slow = whole if calls.duration > policy.slow_call_duration else 0
    return [(_falls(number, calls.failure, whole), _falls(number, slow, whole)) for number in range(whole)]


def _falls(number: int, part: int, whole: int) -> bool:
    return (number + 1) * part // whole > number * part // whole


def _late(breaker: Breaker, at: float, now: float) -> Late | None:
    """Why a call that ended at `at` can say nothing about the breaker as it is now, if so."""
    if breaker.state == State.OPEN or breaker.mode == Mode.FORCED_OPEN:
        return Late.OPEN
    if at < now - OLDEST:
        return Late.OLD
    return Late.BEFORE if at < (breaker.stats.last_change or 0.0) else None


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
