"""The health of a node: what its checks add up to.

Five states meet three verdicts in `RULES`; `unknown` is no verdict on the node but on us, and moves nothing.  Passing
and failing checks reset each other's count.  How often to ask, how long to wait and when silence means stale follow from
the policy and the health alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from math import isfinite
from types import MappingProxyType
from typing import Literal

from nodes.engine.enums import AdminState, Health, Verdict
from nodes.engine.types import HealthPolicy, HealthState, Observation, PolicyError

LONGEST_DEFAULT_TIMEOUT = 5.0  # s
LONGEST_DEFAULT_FAST_INTERVAL = 2.0  # s
SHORTEST_SILENCE = 12.0  # s without a verdict before a node can be stale
SHORTEST_CONFIRMATION = 1.0  # s for which a decisive check is left to another checker, or a fast interval if that is longer
WITNESSES = 4  # checkers that are remembered of a run of failing checks
RESULTS = 20  # that say whether a node's results alternate
ALTERNATING_FAILS = 8  # of them, and it is degraded: 40 %
STEADY_FAILS = 4  # of them: under 20 %, fewer than these, and it no longer is

Quorum = Literal["all", "any", "majority"]
Rule = Callable[[HealthState, HealthPolicy, Observation], Health]


def _as_seen(health: HealthState, policy: HealthPolicy, seen: Observation) -> Health:
    """healthy on pass, degraded on warn, at once"""
    return Health.DEGRADED if seen.verdict == Verdict.WARN else Health.HEALTHY


def _count_fail(health: HealthState, policy: HealthPolicy, seen: Observation) -> Health:
    """failed at failure_threshold failing checks in a row"""
    return Health.FAILED if health.fails >= policy.failure_threshold else health.status


def _stay_failed(health: HealthState, policy: HealthPolicy, seen: Observation) -> Health:
    """failed"""
    return Health.FAILED


def _count_pass(health: HealthState, policy: HealthPolicy, seen: Observation) -> Health:
    """recovering; healthy or degraded at recovery_threshold good checks in a row, the first one counted"""
    return _as_seen(health, policy, seen) if health.passes >= policy.recovery_threshold else Health.RECOVERING


_NOT_FAILED: dict[Verdict, Rule] = {Verdict.PASS: _as_seen, Verdict.WARN: _as_seen, Verdict.FAIL: _count_fail}
_OUT: dict[Verdict, Rule] = {Verdict.PASS: _count_pass, Verdict.WARN: _count_pass, Verdict.FAIL: _stay_failed}

RULES: Mapping[tuple[Health, Verdict], Rule] = MappingProxyType(
    {
        (status, verdict): rule
        for status, rules in (
            (Health.UNKNOWN, _NOT_FAILED),
            (Health.HEALTHY, _NOT_FAILED),
            (Health.DEGRADED, _NOT_FAILED),
            (Health.FAILED, _OUT),
            (Health.RECOVERING, _OUT),
        )
        for verdict, rule in rules.items()
    }
)


def observe(health: HealthState, policy: HealthPolicy, observation: Observation, now: float) -> HealthState:
    """The health after one more check; the same value when the check could not be made."""
    if observation.verdict == Verdict.UNKNOWN:
        return health
    counted = _count(health, observation)
    status = RULES[health.status, observation.verdict](counted, policy, observation)
    if status in _IN_SERVICE:
        came_back = health.status not in (*_IN_SERVICE, Health.UNKNOWN)
        counted = replace(counted, results=1, alternating=False) if came_back else _judge(counted)
        status = Health.DEGRADED if counted.alternating else status
    elif counted.alternating:
        counted = replace(counted, alternating=False)
    if status == health.status:
        return counted
    return replace(counted, status=status, since=now, passes=counted.passes if status == Health.RECOVERING else 0)


_IN_SERVICE = (Health.HEALTHY, Health.DEGRADED)


def _count(health: HealthState, seen: Observation) -> HealthState:
    results = after_result(health.results, failed=seen.verdict == Verdict.FAIL)
    health = replace(health, observed_at=seen.started_at, stale=False, results=results)
    if seen.verdict != Verdict.FAIL:
        passes = health.passes + 1 if health.status in (Health.FAILED, Health.RECOVERING) else 0
        return replace(health, fails=0, passes=passes, first_bad_at=None, seen_by=(), confirm_until=None, fault="")
    first_bad_at = seen.started_at if health.first_bad_at is None else health.first_bad_at
    new = seen.checker and seen.checker not in health.seen_by and len(health.seen_by) < WITNESSES
    seen_by = (*health.seen_by, seen.checker) if new else health.seen_by
    said = seen.message or "no answer"
    return replace(health, fails=health.fails + 1, passes=0, first_bad_at=first_bad_at, seen_by=seen_by, fault=said)


# Alternating results --------------------------------------------------------------------------------------------------

_FULL = 1 << RESULTS  # the leading 1 of as many results as are looked at


def after_result(results: int, *, failed: bool) -> int:
    """The last results with one more; `nodes.ledger.fast_path` says the same of a pass in SQL."""
    shifted = results << 1 | failed
    return shifted if shifted < 2 * _FULL else shifted & (_FULL - 1) | _FULL


def failed_of_last(results: int) -> int | None:
    """How many of the last 20 results failed; None while there are fewer."""
    return None if results < _FULL else results.bit_count() - 1


def _judge(health: HealthState) -> HealthState:
    """Degraded by results that come and go, from so many failed ones on until they are few; no run of them need be long."""
    failed = failed_of_last(health.results)
    alternating = failed is not None and failed >= (STEADY_FAILS if health.alternating else ALTERNATING_FAILS)
    return health if alternating == health.alternating else replace(health, alternating=alternating)


def catch_up(health: HealthState, policy: HealthPolicy, now: float) -> HealthState:
    """Failed, when that many checks failed while no checker was believed; the same value otherwise."""
    counted_out = health.fails >= policy.failure_threshold and health.confirm_until is None
    if not counted_out or health.status in (Health.FAILED, Health.RECOVERING):
        return health
    return replace(health, status=Health.FAILED, since=now, alternating=False)


def rule_table() -> str:
    """The rules, one a line, for people."""
    return "\n".join(f"{status:<10} {verdict:<5} {rule.__doc__}" for (status, verdict), rule in RULES.items())


# Intervals ------------------------------------------------------------------------------------------------------------


def fast_interval(policy: HealthPolicy) -> float:
    """Seconds between checks while in doubt."""
    return min(policy.interval, LONGEST_DEFAULT_FAST_INTERVAL) if policy.fast_interval is None else policy.fast_interval


def confirmation(policy: HealthPolicy) -> float:
    """Seconds for which a decisive check is left to another checker."""
    return max(fast_interval(policy), SHORTEST_CONFIRMATION)


def down_interval(policy: HealthPolicy) -> float:
    """Seconds between checks while failed."""
    return policy.interval if policy.down_interval is None else policy.down_interval


def effective_timeout(policy: HealthPolicy) -> float:
    """Seconds that one check may take."""
    return min(LONGEST_DEFAULT_TIMEOUT, policy.interval / 2) if policy.check_timeout is None else policy.check_timeout


def interval_in_force(policy: HealthPolicy, health: HealthState) -> float:
    """The interval in force, in seconds: fast while in doubt, down while failed, else the plain one."""
    if health.status == Health.FAILED:
        return down_interval(policy)
    if health.status == Health.RECOVERING or health.fails:
        return fast_interval(policy)
    return policy.interval


def longest_silence(policy: HealthPolicy, interval: float) -> float:
    """Seconds that a node asked every `interval` may be without a verdict before it is stale."""
    return max(2 * interval + effective_timeout(policy), SHORTEST_SILENCE)


def stale(health: HealthState, policy: HealthPolicy, admin: AdminState, now: float) -> bool:
    """Whether nothing is known of the node any more: told so and no verdict since, or silent for longer than is allowed.

    Counted from the last verdict, or from enabling, which clears the verdict; a disabled node, which nobody checks, is told nothing
    new.  The interval is the one that the current due time was made of, so that a shorter one makes nobody stale.
    `nodes.ledger.intervals` says the same in SQL.
    """
    last = health.since if health.observed_at is None else health.observed_at
    interval = interval_in_force(policy, health) if health.due_interval is None else health.due_interval
    silent = last > 0 and now > last + longest_silence(policy, interval)
    return health.stale or (silent and admin != AdminState.DISABLED)


# Composite checks -----------------------------------------------------------------------------------------------------


def aggregate(quorum: Quorum, verdicts: Iterable[Verdict]) -> Verdict:
    """The verdict on a whole from those on its parts; a tie is no majority, no part at all is unknown."""
    parts = tuple(verdicts)
    good = sum(part in (Verdict.PASS, Verdict.WARN) for part in parts)
    unknown = parts.count(Verdict.UNKNOWN)
    holds_surely = _holds(quorum, good, len(parts))
    if not parts or holds_surely != _holds(quorum, good + unknown, len(parts)):
        return Verdict.UNKNOWN
    if not holds_surely:
        return Verdict.FAIL
    return Verdict.WARN if Verdict.WARN in parts or Verdict.FAIL in parts else Verdict.PASS


def _holds(quorum: Quorum, good: int, parts: int) -> bool:
    if quorum == "all":
        return good == parts
    return good >= 1 if quorum == "any" else good * 2 > parts


# Policies -------------------------------------------------------------------------------------------------------------


def validate(policy: HealthPolicy) -> None:
    """Refuse a policy that cannot work; raises `PolicyError` with the sentence why."""
    for broken, sentence in _faults(policy):
        if broken:
            raise PolicyError(sentence)


def _faults(policy: HealthPolicy) -> tuple[tuple[bool, str], ...]:
    intervals = (policy.interval, fast_interval(policy), down_interval(policy))
    timeout = effective_timeout(policy)
    return (
        (not all(isfinite(each) for each in (*intervals, timeout)), "Durations must be finite numbers."),
        (min(intervals) <= 0, "Intervals must be above 0."),
        (timeout <= 0, "A check must have some time to answer: the check timeout must be above 0."),
        (timeout >= policy.interval, "The check timeout must be below the interval, or checks of one node would overlap."),
        (fast_interval(policy) > policy.interval, "The fast interval must not be longer than the interval."),
        (policy.failure_threshold < 1, "The failure threshold must be at least 1: a node fails on a check, not on none."),
        (policy.recovery_threshold < 1, "The recovery threshold must be at least 1: a node recovers on a check, not on none."),
        (policy.degraded_latency is not None and policy.degraded_latency <= 0, "The degraded latency must be above 0."),
    )


def warnings(policy: HealthPolicy) -> tuple[str, ...]:
    """What is legal in a policy and yet probably not meant, a sentence each."""
    timeout = effective_timeout(policy)
    doubts = (
        (policy.failure_threshold == 1, "Failure threshold 1: a single lost packet fails a node over."),
        (
            policy.degraded_latency is not None and policy.degraded_latency >= timeout,
            "The degraded latency is never reached: the check times out before it.",
        ),
        (
            policy.check_timeout is not None and policy.check_timeout > 2 * fast_interval(policy),
            "A hanging node is found late: the check timeout is more than twice the fast interval.",
        ),
        (down_interval(policy) > 10 * policy.interval, "A recovered node is noticed late: it is asked at the down interval alone."),
    )
    return tuple(sentence for doubtful, sentence in doubts if doubtful)
