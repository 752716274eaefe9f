"""A pool's policies as sentences for people: how soon a node is out, what brings it back, what holds automation back.

Pure.  A sentence is a row of texts of which every second one is a figure or a rule to be set off.
"""

from __future__ import annotations

from collections.abc import Iterator

from nodes.engine import health as healths
from nodes.engine.breaker_policy import opens_after
from nodes.engine.enums import Failback, Strategy
from nodes.engine.headline import span
from nodes.engine.types import BreakerPolicy, HealthPolicy, PoolPolicy

Sentence = tuple[str, ...]


def out_after_refusing(policy: HealthPolicy, breaker: BreakerPolicy) -> float:
    """Seconds from the instant that a node refuses to be asked until it is out, at the longest: it died just after a check."""
    return policy.interval + (_checks(policy, breaker) - 1) * healths.fast_interval(policy)


def out_after_silent(policy: HealthPolicy, breaker: BreakerPolicy) -> float:
    """The same of a node that no longer answers at all: each check waits for its timeout, and the next one for it."""
    timeout = healths.effective_timeout(policy)
    apart = max(healths.fast_interval(policy), timeout)
    return policy.interval + (_checks(policy, breaker) - 1) * apart + timeout


def _checks(policy: HealthPolicy, breaker: BreakerPolicy) -> int:
    """Failing checks in a row that put a node out, by its health or by its breaker."""
    return min(policy.failure_threshold, breaker.failure_threshold or policy.failure_threshold)


def sentences(
    health: HealthPolicy, breaker: BreakerPolicy, policy: PoolPolicy, strategy: Strategy = Strategy.WEIGHTED
) -> tuple[Sentence, ...]:
    """All that a person on call should know of the policies, in the order of a failure."""
    return (*_detection(health, breaker), _breaker(breaker), _return(health, policy, strategy), *_guards(policy), *_habits(policy))


def of_node(health: HealthPolicy, breaker: BreakerPolicy) -> tuple[Sentence, ...]:
    """What of it holds for a node alone, which may override some of it."""
    return (*_detection(health, breaker), _breaker(breaker))


def _detection(health: HealthPolicy, breaker: BreakerPolicy) -> Iterator[Sentence]:
    fast, plain = healths.fast_interval(health), health.interval
    doubt = f", asked each {_seconds(fast)} once in doubt" if fast < plain else ""
    yield (
        "A node is asked ", f"every {_seconds(plain)}", "; it fails after ",
        _counted(health.failure_threshold, "bad check"), f"{doubt}.",
    )  # fmt: skip  # a sentence
    earliest = "at the latest " if breaker.failure_rate is not None or breaker.slow_call_rate is not None else "about "
    yield (
        "A refusing node is out ", f"after {earliest}{_seconds(out_after_refusing(health, breaker))}", ", a silent one ",
        f"after {earliest}{_seconds(out_after_silent(health, breaker))}", ".",
    )  # fmt: skip  # a sentence


def _breaker(breaker: BreakerPolicy) -> Sentence:
    grows = "; each further wait is longer" if breaker.timeout_multiplier > 1 else ""
    return (
        "The breaker opens after ", opens_after(breaker), ", tries again after ", _seconds(breaker.timeout),
        f"{grows} and closes after ", _counted(breaker.success_threshold, "good trial"), ".",
    )  # fmt: skip  # a sentence


def _return(health: HealthPolicy, policy: PoolPolicy, strategy: Strategy) -> Sentence:
    good = _counted(health.recovery_threshold, "good check")
    if strategy == Strategy.ACTIVE_PASSIVE:
        if policy.failback == Failback.MANUAL:
            return ("A node is well again after ", good, "; traffic returns to a better tier ", "when a person says so", ".")
        delay = f"by itself after {_seconds(policy.failback_delay)}"
        return ("A node is well again after ", good, "; traffic returns to a better tier ", delay, ".")
    how = f"in ten steps over {_seconds(policy.slow_start)}" if policy.slow_start else "at once"
    return ("Traffic returns by itself after ", good, ", ", how, ".")


def _guards(policy: PoolPolicy) -> Iterator[Sentence]:
    if policy.max_failed_percent < 100:  # percent: no limit
        yield ("No more than ", _percent(policy.max_failed_percent), " of the nodes may be out at once; one always may.")
    if policy.panic_threshold:
        yield ("Shares stay where they are if fewer than ", _percent(policy.panic_threshold * 100), " of the nodes would be left.")
    if policy.cooldown:
        yield ("After an automatic failover the next one waits ", _seconds(policy.cooldown), "; an acknowledgement lifts that.")


def _habits(policy: PoolPolicy) -> Iterator[Sentence]:
    if policy.auto_rebalance:
        yield ("Shares are brought back to the weights ", f"every {_seconds(policy.rebalance_interval)}", " if they are off them.")
    else:
        yield ("Shares are brought back to the weights ", "by hand only", ".")
    if policy.flapping_within:
        yield ("A node that fails again within ", _seconds(policy.flapping_within), " of its recovery is flapping.")


def _seconds(duration: float) -> str:
    text = f"{duration:g} s" if duration < 60 or duration % 60 else span(duration)
    return text.replace(" ", "\N{NO-BREAK SPACE}")


def _percent(value: float) -> str:
    return f"{value:g}\N{NO-BREAK SPACE}%"


def _counted(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"
