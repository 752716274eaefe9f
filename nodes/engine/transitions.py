"""What moves the computed state of a circuit breaker: a table where state meets signal, and nothing beside it.

The generation rises at each change of state, so that a result which answers an older state can be told apart.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from types import MappingProxyType

from nodes.engine import window as windows
from nodes.engine.backoff import open_wait
from nodes.engine.enums import Mode, Origin, State
from nodes.engine.types import Breaker, BreakerPolicy, Run, Window


class Signal(StrEnum):
    """What can move the computed state."""

    SUCCESS = "success"
    FAILURE = "failure"
    WAITED = "waited"
    RESET = "reset"


class Shift(StrEnum):
    """What a transition came to."""

    OPENED = "opened"
    REOPENED = "reopened"
    HALF_OPENED = "half_opened"
    CLOSED = "closed"
    MODE_ENDED = "mode_ended"


@dataclass(frozen=True, slots=True)
class Change:
    """A change of the computed state, or the end of a mode, dated at the instant it is due to."""

    shift: Shift
    before: State
    after: State
    at: float
    reopened: int = 0  # how often this stretch has reopened, with this change
    trial: str = ""  # how the trial ended that reopened it, as it follows "a trial"
    mode: Mode = Mode.AUTO  # the one that ended


class NoRuleError(LookupError):
    """The table has no entry for this state and signal."""


@dataclass(frozen=True, slots=True)
class Cause:
    """By which policy, when, with which chance (0..1) and through whom a signal came."""

    policy: BreakerPolicy
    at: float
    jitter: float = 0.0
    origin: Origin | None = None
    slow: bool = False


# Rules ----------------------------------------------------------------------------------------------------------------


def _count_good(breaker: Breaker, cause: Cause) -> Breaker:
    """the run of failures ends; it opens when a rate reaches its limit, for a success counts as well"""
    return _counted(breaker, cause, replace(_run(breaker, cause), failures=0), failed=False)


def _count_failure(breaker: Breaker, cause: Cause) -> Breaker:
    """one failure more; at failure_threshold in a row, or when a rate reaches its limit, it opens"""
    run, threshold = _run(breaker, cause), cause.policy.failure_threshold
    run = replace(run, failures=run.failures + 1)
    if threshold is not None and run.failures >= threshold:
        return _open(breaker, cause, reopened=0, why=f"{run.failures} failure{'s' if run.failures > 1 else ''} in a row")
    return _counted(breaker, cause, run, failed=True)


def _run(breaker: Breaker, cause: Cause) -> Run:
    """Each origin has its own run and window."""
    return breaker.reported if cause.origin == Origin.CALLS else Run(breaker.failures, breaker.window)


def _counted(breaker: Breaker, cause: Cause, run: Run, *, failed: bool) -> Breaker:
    policy = cause.policy
    if windows.windowed(policy):
        window = windows.record(run.window, policy, cause.at, failed=failed, slow=cause.slow)
        if why := windows.verdict(window, policy, cause.at):
            return _open(breaker, cause, reopened=0, why=why)
        run = Run(run.failures, window)
    if cause.origin == Origin.CALLS:
        return breaker if run == breaker.reported else replace(breaker, reported=run)
    if (run.failures, run.window) == (breaker.failures, breaker.window):
        return breaker
    return replace(breaker, failures=run.failures, window=run.window)


def _clear(breaker: Breaker, cause: Cause) -> Breaker:
    """the counts are forgotten"""
    return replace(breaker, failures=0, window=Window(), reported=Run())


def _let_try(breaker: Breaker, cause: Cause) -> Breaker:
    """the wait is over: trials are let through"""
    return _enter(breaker, State.HALF_OPEN, cause.at)


def _count_success(breaker: Breaker, cause: Cause) -> Breaker:
    """one successful trial more; at success_threshold it closes; with slow_call_rate set a slow one is a failed trial"""
    if cause.slow:
        return _reopen(breaker, cause)
    successes = breaker.successes + 1
    if successes < cause.policy.success_threshold:
        return replace(breaker, successes=successes)
    return _close(breaker, cause)


def _reopen(breaker: Breaker, cause: Cause) -> Breaker:
    """one failed trial is enough: open again, for a wait that is timeout_multiplier times longer"""
    other = cause.origin is not None and cause.origin != breaker.opened_by
    return _open(breaker, cause, reopened=breaker.reopened + 1, why=f"a trial by {cause.origin} {_trial(cause)}" if other else "")


def _trial(cause: Cause) -> str:
    return f"took over {cause.policy.slow_call_duration:g} s" if cause.slow else "failed"


def _close(breaker: Breaker, cause: Cause) -> Breaker:
    """closed, counts cleared, multiplier back to 1"""
    stats = breaker.stats
    if breaker.first_opened_at is not None:
        spent = max(0.0, cause.at - breaker.first_opened_at)
        stats = replace(stats, closings=stats.closings + 1, open_seconds=stats.open_seconds + spent)
    closed = _enter(replace(breaker, stats=stats), State.CLOSED, cause.at)
    return replace(closed, opened_at=None, first_opened_at=None, reopened=0, wait=0.0, opened_by=None, opened_why="")


Rule = Callable[[Breaker, Cause], Breaker]

RULES: Mapping[tuple[State, Signal], Rule] = MappingProxyType(
    {
        (State.CLOSED, Signal.SUCCESS): _count_good,
        (State.CLOSED, Signal.FAILURE): _count_failure,
        (State.CLOSED, Signal.RESET): _clear,
        (State.OPEN, Signal.WAITED): _let_try,
        (State.OPEN, Signal.RESET): _close,
        (State.HALF_OPEN, Signal.SUCCESS): _count_success,
        (State.HALF_OPEN, Signal.FAILURE): _reopen,
        (State.HALF_OPEN, Signal.RESET): _close,
    }
)


def rule_table() -> str:
    """The rules, one a line, for people."""
    return "\n".join(f"{state:<10} {signal:<8} {rule.__doc__}" for (state, signal), rule in RULES.items())


def _enter(breaker: Breaker, state: State, at: float) -> Breaker:
    return replace(
        breaker,
        state=state,
        generation=breaker.generation + 1,
        failures=0,
        successes=0,
        window=Window(),
        reported=Run(),
        stats=replace(breaker.stats, last_change=at),
    )


def _open(breaker: Breaker, cause: Cause, *, reopened: int, why: str = "") -> Breaker:
    opened = _enter(breaker, State.OPEN, cause.at)
    return replace(
        opened,
        opened_at=cause.at,
        first_opened_at=cause.at if breaker.first_opened_at is None else breaker.first_opened_at,
        reopened=reopened,
        wait=open_wait(cause.policy, reopened, cause.jitter),
        opened_by=cause.origin or breaker.opened_by,
        opened_why=why or breaker.opened_why,
        stats=replace(opened.stats, opened=opened.stats.opened + 1),
    )


_SHIFTS = {State.CLOSED: Shift.CLOSED, State.OPEN: Shift.OPENED, State.HALF_OPEN: Shift.HALF_OPENED}


def apply(breaker: Breaker, signal: Signal, cause: Cause) -> tuple[Breaker, tuple[Change, ...]]:
    """The breaker after a signal, and the change of state it made.  Raises `NoRuleError` where the table is empty."""
    rule = RULES.get((breaker.state, signal))
    if rule is None:
        raise NoRuleError(f"A breaker that is {breaker.state} knows no {signal}")
    after = rule(breaker, cause)
    if after.state == breaker.state:
        return after, ()
    if after.state == State.OPEN and breaker.state == State.HALF_OPEN:
        return after, (Change(Shift.REOPENED, breaker.state, after.state, cause.at, after.reopened, trial=_trial(cause)),)
    return after, (Change(_SHIFTS[after.state], breaker.state, after.state, cause.at, after.reopened),)
