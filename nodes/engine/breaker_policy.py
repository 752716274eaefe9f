"""Which policies of a circuit breaker cannot work, and which are probably not meant."""

from __future__ import annotations

from math import isfinite

from nodes.engine.backoff import longest_wait
from nodes.engine.types import BreakerPolicy, PolicyError


def validate(policy: BreakerPolicy) -> None:
    """Refuse a policy that cannot work; raises `PolicyError` with the sentence why."""
    for broken, sentence in (*_lengths(policy), *_thresholds(policy), *_rates(policy)):
        if broken:
            raise PolicyError(sentence)


def _lengths(policy: BreakerPolicy) -> tuple[tuple[bool, str], ...]:
    durations = (policy.timeout, policy.trial_timeout, policy.timeout_multiplier, policy.jitter, longest_wait(policy))
    optional = [each for each in (policy.slow_call_duration, policy.window_seconds) if each is not None]
    return (
        (
            not all(isfinite(each) for each in (*durations, *(each or 0.0 for each in optional))),
            "Durations must be finite numbers.",
        ),
        (policy.timeout < 0, "The timeout cannot be negative."),
        (policy.timeout_multiplier < 1, "The timeout multiplier must be at least 1: a reopened breaker never waits less."),
        (longest_wait(policy) < policy.timeout, "The longest wait must not be below the timeout."),
        (not 0 <= policy.jitter <= 1, "The jitter is a part of the wait, from 0 to 1."),
        (policy.trial_timeout <= 0, "A trial must have some time to report: the trial timeout must be above 0."),
    )


def _thresholds(policy: BreakerPolicy) -> tuple[tuple[bool, str], ...]:
    threshold = policy.failure_threshold
    return (
        (
            threshold is not None and threshold < 1,
            "The failure threshold must be at least 1: with 0 failures the breaker would never close.",
        ),
        (
            policy.success_threshold < 1,
            "The success threshold must be at least 1: a trial has to succeed before the breaker closes.",
        ),
        (policy.max_requests < 1, "At least 1 trial must be let through while half-open, or the breaker never closes again."),
        (
            threshold is None and policy.failure_rate is None and policy.slow_call_rate is None,
            "Nothing opens this breaker: set a failure threshold, a failure rate or a slow-call rate.",
        ),
    )


def _rates(policy: BreakerPolicy) -> tuple[tuple[bool, str], ...]:
    calls, seconds = policy.window_calls, policy.window_seconds
    rates = [each for each in (policy.failure_rate, policy.slow_call_rate) if each is not None]
    return (
        (any(not 0 < each <= 1 for each in rates), "A rate is a part of the calls, above 0 and up to 1."),
        (calls is not None and seconds is not None, "Give the window in calls or in seconds, not both."),
        (bool(rates) and calls is None and seconds is None, "A rate needs a window, in calls or in seconds."),
        (not rates and (calls is not None or seconds is not None), "A window needs a rate: a failure rate or a slow-call rate."),
        (calls is not None and calls < 1, "A window holds at least 1 call."),
        (seconds is not None and seconds <= 0, "A window lasts longer than 0 seconds."),
        (policy.minimum_calls < 1, "A rate needs at least 1 call."),
        (
            calls is not None and policy.minimum_calls > calls,
            "The least number of calls is above what the window holds: the rate would never count.",
        ),
        (
            (policy.slow_call_rate is None) != (policy.slow_call_duration is None),
            "A slow-call rate and the duration from which a call is slow go together.",
        ),
        ((policy.slow_call_duration or 0.0) < 0, "The duration from which a call is slow cannot be negative."),
    )


def warnings(policy: BreakerPolicy) -> tuple[str, ...]:
    """What is legal in a policy and yet probably not meant, a sentence each."""
    doubts = (
        (policy.timeout == 0, "Timeout 0: an open breaker lets a trial through at once."),
        (policy.failure_threshold == 1, "Failure threshold 1: a single failure opens the breaker."),
        (
            policy.max_timeout is not None and policy.timeout_multiplier == 1,
            "The longest wait has no effect while the timeout multiplier is 1.",
        ),
        (policy.max_requests > 10 * policy.success_threshold, "Far more trials are let through than are needed to close."),
        (
            (policy.window_calls is not None or policy.window_seconds is not None) and policy.minimum_calls < 5,
            "So few calls decide over a rate that chance opens the breaker.",
        ),
    )
    return tuple(sentence for doubtful, sentence in doubts if doubtful)


def opens_after(policy: BreakerPolicy) -> str:
    """What opens a breaker of this policy, in words."""
    within = f"the last {policy.window_calls} calls" if policy.window_calls else f"the calls of the last {policy.window_seconds} s"
    ways = []
    if policy.failure_threshold is not None:
        ways.append(f"{policy.failure_threshold} failure{'s' if policy.failure_threshold > 1 else ''} in a row")
    if policy.failure_rate is not None:
        ways.append(f"{policy.failure_rate:.0%} of {within} failing")
    if policy.slow_call_rate is not None:
        ways.append(f"{policy.slow_call_rate:.0%} of {within} over {policy.slow_call_duration:g} s")
    return " or ".join(ways)
