"""The rules of a circuit breaker, as pure transitions on the `Breaker` value.

Outcomes and instants are arguments: there is no clock, no lock and no callback here.  Two things are kept apart: the
computed state, which moves by `RULES` alone, and the mode, by which a person overrules it.  A permit carries the generation
of the state that gave it; the generation rises at each change of state, so that a result which answers an older state is
recognised and changes nothing.  A trial is a lease: one that is never reported lapses, so that no sequence of calls can lock
a breaker up.  What time alone does is done by `tick`, in the order of the instants at which it fell due; every other
function ticks first.  A policy may be edited between any two calls: counts and windows stay, see `deadline` for the wait.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum

from nodes.engine.backoff import open_wait
from nodes.engine.breaker_policy import validate, warnings
from nodes.engine.enums import Mode, Origin, Outcome, State
from nodes.engine.transitions import RULES, Cause, Change, NoRuleError, Shift, Signal, apply, rule_table
from nodes.engine.types import Breaker, BreakerPolicy, BreakerStats, Lease, PolicyError

__all__ = [
    "RULES",
    "Change",
    "NoRuleError",
    "Outcome",
    "Permit",
    "PolicyError",
    "Refusal",
    "Rejection",
    "Shift",
    "Signal",
    "acquire",
    "deadline",
    "effective",
    "force",
    "next_deadline",
    "renew",
    "report",
    "reset",
    "rule_table",
    "tick",
    "validate",
    "warnings",
]


_AUTO = Mode.AUTO  # asked of every node at every decision


class Rejection(StrEnum):
    OPEN = "open"
    TOO_MANY_REQUESTS = "too_many_requests"


@dataclass(frozen=True, slots=True)
class Permit:
    """Leave to call.  `trial` numbers a half-open trial, 0 is none; it must be reported before `ends_at`."""

    generation: int
    trial: int = 0
    ends_at: float | None = None


@dataclass(frozen=True, slots=True)
class Refusal:
    """No leave to call; `retry_after` in seconds, None in a mode without an end."""

    cause: Rejection
    retry_after: float | None


# Time -----------------------------------------------------------------------------------------------------------------


def tick(
    breaker: Breaker, policy: BreakerPolicy, now: float, *, jitter: float = 0.0, held: bool = False
) -> tuple[Breaker, tuple[Change, ...]]:
    """Do what time alone does: end a mode, take lapsed trials back, half-open after the wait (not while `held`)."""
    if breaker.state == State.CLOSED and breaker.mode == Mode.AUTO and not breaker.trials:
        return breaker, ()
    breaker = _clamp(breaker, policy, now)
    changes: tuple[Change, ...] = ()
    while (due := _next_due(breaker, policy, held=held)) is not None and due[0] <= now:
        at, lapsed = due
        breaker, more = _pass_time(breaker, policy, at, lapsed, now=now, jitter=jitter)
        changes += more
    return breaker, changes


def next_deadline(breaker: Breaker, policy: BreakerPolicy, *, held: bool = False) -> float | None:
    """The next instant at which `tick` has something to do, None when time alone changes nothing."""
    due = _next_due(breaker, policy, held=held)
    return None if due is None else due[0]


def deadline(breaker: Breaker, policy: BreakerPolicy) -> float:
    """When an open breaker lets trials through: by its stored wait, or a shorter one that an edited policy asks by now.

    A longer one counts from the next opening.
    """
    assert breaker.opened_at is not None  # asked of an open breaker only
    return breaker.opened_at + min(breaker.wait, open_wait(policy, breaker.reopened, 1.0))


def _next_due(breaker: Breaker, policy: BreakerPolicy, *, held: bool) -> tuple[float, Lease | None] | None:
    """The earliest instant that matters, with the lease that lapses then, if it is one."""
    due: list[tuple[float, Lease | None]] = [(lease.ends_at, lease) for lease in breaker.trials]
    if breaker.mode != Mode.AUTO and breaker.mode_until is not None:
        due.append((breaker.mode_until, None))
    if breaker.state == State.OPEN and not _frozen(breaker) and not held:
        due.append((deadline(breaker, policy), None))
    return min(due, key=lambda each: each[0], default=None)


def _pass_time(
    breaker: Breaker, policy: BreakerPolicy, at: float, lapsed: Lease | None, *, now: float, jitter: float
) -> tuple[Breaker, tuple[Change, ...]]:
    if lapsed is not None:
        return _lapse(breaker, policy, lapsed, jitter)
    if breaker.mode != Mode.AUTO and breaker.mode_until == at:
        change = Change(Shift.MODE_ENDED, breaker.state, breaker.state, at, breaker.reopened, mode=breaker.mode)
        return _in_auto(breaker), (change,)
    return apply(breaker, Signal.WAITED, Cause(policy, now))


def _lapse(breaker: Breaker, policy: BreakerPolicy, lease: Lease, jitter: float) -> tuple[Breaker, tuple[Change, ...]]:
    """A trial was not reported: one failure at its end; one of an older state counts in the statistics alone."""
    stats = replace(breaker.stats, failed=breaker.stats.failed + 1)
    breaker = replace(breaker, trials=_without(breaker.trials, lease.permit), stats=stats)
    if lease.generation != breaker.generation or _frozen(breaker):
        return breaker, ()
    return apply(breaker, Signal.FAILURE, Cause(policy, lease.ends_at, jitter))


def _clamp(breaker: Breaker, policy: BreakerPolicy, now: float) -> Breaker:
    """A clock that was set back must not lengthen a wait: no deadline lies further off than what it was made of."""
    if breaker.opened_at is not None and breaker.opened_at > now:
        breaker = replace(breaker, opened_at=now)
    latest = now + policy.trial_timeout
    if any(lease.ends_at > latest for lease in breaker.trials):
        breaker = replace(breaker, trials=tuple(replace(each, ends_at=min(each.ends_at, latest)) for each in breaker.trials))
    return breaker


# Asking and reporting -------------------------------------------------------------------------------------------------


def acquire(breaker: Breaker, policy: BreakerPolicy, now: float, *, jitter: float = 0.0) -> tuple[Breaker, Permit | Refusal]:
    """Ask for leave to call; the asking is counted, whatever the answer."""
    breaker, _ = tick(breaker, policy, now, jitter=jitter)
    if breaker.mode == Mode.FORCED_OPEN:
        until = breaker.mode_until
        return _refuse(breaker, Rejection.OPEN, None if until is None else until - now)
    if breaker.mode == Mode.FORCED_CLOSED or breaker.state == State.CLOSED:
        return _admit(breaker)
    if breaker.state == State.HALF_OPEN:
        in_flight = [lease.ends_at for lease in breaker.trials if lease.generation == breaker.generation]
        if len(in_flight) < policy.max_requests:
            return _admit_trial(breaker, now + policy.trial_timeout)
        if breaker.mode != Mode.METRICS_ONLY:
            return _refuse(breaker, Rejection.TOO_MANY_REQUESTS, min(in_flight) - now)
    if breaker.mode == Mode.METRICS_ONLY:
        return _admit(breaker)
    return _refuse(breaker, Rejection.OPEN, deadline(breaker, policy) - now)


def _admit(breaker: Breaker) -> tuple[Breaker, Permit]:
    stats = replace(breaker.stats, total=breaker.stats.total + 1)
    return replace(breaker, stats=stats), Permit(breaker.generation)


def _admit_trial(breaker: Breaker, ends_at: float) -> tuple[Breaker, Permit]:
    breaker, _ = _admit(breaker)
    number = breaker.last_permit + 1
    lease = Lease(number, ends_at, breaker.generation)
    return replace(breaker, last_permit=number, trials=(*breaker.trials, lease)), Permit(breaker.generation, number, ends_at)


def renew(breaker: Breaker, policy: BreakerPolicy, permit: Permit, now: float) -> Breaker:
    """A trial goes on: its lease begins anew, so that silence loses it and not length."""
    trials = tuple(
        replace(lease, ends_at=now + policy.trial_timeout) if lease.permit == permit.trial else lease for lease in breaker.trials
    )
    return replace(breaker, trials=trials)


def _refuse(breaker: Breaker, cause: Rejection, retry_after: float | None) -> tuple[Breaker, Refusal]:
    stats = replace(breaker.stats, total=breaker.stats.total + 1, rejected=breaker.stats.rejected + 1)
    return replace(breaker, stats=stats), Refusal(cause, retry_after)


def report(
    breaker: Breaker,
    policy: BreakerPolicy,
    permit: Permit,
    outcome: Outcome,
    now: float,
    *,
    jitter: float = 0.0,
    origin: Origin | None = None,
    duration: float | None = None,
) -> tuple[Breaker, tuple[Change, ...]]:
    """Tell how a call ended and how long it took (seconds, None: not measured), once for each permit.

    What answers an older state is counted as late and changes nothing.
    """
    breaker, changes = tick(breaker, policy, now, jitter=jitter, held=True)
    stats = breaker.stats
    trial = next((lease for lease in breaker.trials if lease.permit == permit.trial), None)
    if permit.trial and trial is None:
        return replace(breaker, stats=replace(stats, late_lapsed=stats.late_lapsed + 1)), changes
    if trial is not None:
        breaker = replace(breaker, trials=_without(breaker.trials, trial.permit))
    if permit.generation != breaker.generation:
        return replace(breaker, stats=replace(stats, late=stats.late + 1)), changes
    breaker = replace(breaker, stats=_counted(stats, outcome))
    signal = _SIGNALS.get(outcome)
    moves = breaker.state == State.CLOSED or trial is not None
    if signal is None or not moves or _frozen(breaker):
        return breaker, changes
    slow = duration is not None and policy.slow_call_duration is not None and duration > policy.slow_call_duration
    breaker, more = apply(breaker, signal, Cause(policy, now, jitter, origin, slow))
    return breaker, changes + more


_SIGNALS = {Outcome.SUCCESS: Signal.SUCCESS, Outcome.FAILURE: Signal.FAILURE}


def _counted(stats: BreakerStats, outcome: Outcome) -> BreakerStats:
    if outcome == Outcome.SUCCESS:
        return replace(stats, successful=stats.successful + 1)
    if outcome == Outcome.FAILURE:
        return replace(stats, failed=stats.failed + 1)
    return replace(stats, ignored=stats.ignored + 1)


def _without(trials: tuple[Lease, ...], permit: int) -> tuple[Lease, ...]:
    return tuple(lease for lease in trials if lease.permit != permit)


# Forced modes ---------------------------------------------------------------------------------------------------------


def force(breaker: Breaker, mode: Mode, reason: str, owner: str, until: float | None, now: float) -> Breaker:
    """Set the mode; the computed state stays as it is.  Raises `PolicyError` for an end that lies behind."""
    if mode == Mode.AUTO:
        return _in_auto(breaker)
    if until is not None and until <= now:
        raise PolicyError("The end of a forced mode must lie ahead.")
    return replace(breaker, mode=mode, mode_reason=reason, mode_owner=owner, mode_until=until)


def reset(breaker: Breaker, now: float) -> tuple[Breaker, tuple[Change, ...]]:
    """Close the breaker and forget its counts; mode and statistics stay."""
    return apply(breaker, Signal.RESET, Cause(BreakerPolicy(), now))


def _in_auto(breaker: Breaker) -> Breaker:
    return replace(breaker, mode=Mode.AUTO, mode_reason="", mode_owner="", mode_until=None)


def _frozen(breaker: Breaker) -> bool:
    return breaker.mode in (Mode.FORCED_OPEN, Mode.FORCED_CLOSED)


# Reading --------------------------------------------------------------------------------------------------------------


def effective(breaker: Breaker) -> State:
    """What callers meet."""
    if breaker.mode is _AUTO:
        return breaker.state
    return State.OPEN if breaker.mode == Mode.FORCED_OPEN else State.CLOSED
