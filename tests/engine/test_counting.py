"""Many calls counted at once come to what they come to one by one, whatever the policy, the mode and the history."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import example, given, settings
from hypothesis import strategies as st

from nodes.engine import breaker as rules
from nodes.engine.breaker import Change
from nodes.engine.breaker_policy import validate
from nodes.engine.counting import Call, count_one, count_until_change
from nodes.engine.enums import Mode, State
from nodes.engine.types import Breaker, BreakerPolicy, PolicyError

START = 1_790_000_000.0


def is_usable(policy: BreakerPolicy) -> bool:
    try:
        validate(policy)
    except PolicyError:
        return False
    return True


def policy(threshold: int | None, window: str, length: int, minimum: int, rate: float, slow: float | None) -> BreakerPolicy:
    """One with a window of calls, of seconds, or none."""
    made = BreakerPolicy(failure_threshold=threshold, timeout=3.0, trial_timeout=10.0)
    if window == "none":
        return made
    made = replace(made, failure_rate=rate, minimum_calls=min(minimum, length))
    if slow is not None:
        made = replace(made, slow_call_rate=slow, slow_call_duration=1.0)
    return replace(made, window_calls=length) if window == "calls" else replace(made, window_seconds=float(length))


rates = st.sampled_from([0.1, 0.3, 0.5, 0.7, 1.0])
policies = st.builds(
    policy,
    threshold=st.one_of(st.none(), st.integers(1, 8)),
    window=st.sampled_from(["none", "calls", "seconds"]),
    length=st.integers(1, 40),
    minimum=st.integers(1, 20),
    rate=rates,
    slow=st.one_of(st.none(), rates),
).filter(is_usable)
calls = st.lists(st.tuples(st.sampled_from([False, False, False, True]), st.booleans()), min_size=1, max_size=60)
histories = st.lists(
    st.tuples(st.sampled_from([0.0, 0.25, 1.0, 4.0, 30.0]), st.sampled_from([*Mode, None, None, None, None]), calls), max_size=12
)

Told = tuple[Breaker, tuple[Change, ...]]


def at_once(breaker: Breaker, by: BreakerPolicy, told: list[Call], now: float) -> Told:
    changes: tuple[Change, ...] = ()
    while told and breaker.state != State.OPEN and breaker.mode != Mode.FORCED_OPEN:
        breaker, more, done = count_until_change(breaker, by, told, now, 0.5)
        changes, told = changes + more, told[done:]
    return breaker, changes


def one_by_one(breaker: Breaker, by: BreakerPolicy, told: list[Call], now: float) -> Told:
    changes: tuple[Change, ...] = ()
    for call in told:
        if breaker.state != State.OPEN and breaker.mode != Mode.FORCED_OPEN:
            breaker, more = count_one(breaker, by, call, now, 0.5)
            changes += more
    return breaker, changes


@settings(max_examples=300)
@given(policies, histories)
@example(policy(None, "calls", 1, 1, 1.0, 1.0), [(0.0, None, [(False, False), (True, True)])])
@example(policy(3, "none", 1, 1, 1.0, None), [(0.0, None, [(True, False)] * 2), (0.0, None, [(True, False), (False, False)])])
def test_the_same_comes_out(by: BreakerPolicy, history: list[tuple[float, Mode | None, list[Call]]]) -> None:
    breaker, now = Breaker(), START
    for wait, mode, told in history:
        now += wait
        if mode is not None:
            breaker = rules.force(breaker, mode, "", "alice", now + 2.0, now)
        breaker, _ = rules.tick(breaker, by, now)
        expected = one_by_one(breaker, by, told, now)
        assert at_once(breaker, by, told, now) == expected
        breaker = expected[0]


def test_a_trial_in_flight_is_left_to_the_rules() -> None:
    by = BreakerPolicy(trial_timeout=5.0)
    opened = replace(Breaker(), state=State.HALF_OPEN, generation=2)
    asked, _ = rules.acquire(opened, by, START)
    closed, _ = rules.reset(asked, START + 1.0)
    told = [(False, False)] * 5
    assert closed.trials
    assert at_once(closed, by, told, START + 9.0) == one_by_one(closed, by, told, START + 9.0)
