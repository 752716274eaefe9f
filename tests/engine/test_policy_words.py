"""The policy in words: the seconds it promises are those that the engine then takes."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from nodes.engine import health as healths
from nodes.engine.enums import Failback, Strategy, Verdict
from nodes.engine.policy_words import out_after_refusing, out_after_silent, sentences
from nodes.engine.pool_step import step
from nodes.engine.types import BreakerPolicy, Fleet, HealthPolicy, Observation, Pool, PoolPolicy
from tests.engine.pooling import START, make_pool

intervals = st.sampled_from([1.0, 2.0, 4.0, 5.0, 10.0, 30.0])
health_policies = st.builds(
    HealthPolicy,
    interval=intervals,
    fast_interval=st.none() | st.sampled_from([0.5, 1.0, 3.0]),
    check_timeout=st.none() | st.sampled_from([0.25, 0.9, 3.0]),
    failure_threshold=st.integers(1, 5),
    recovery_threshold=st.just(1),
)
breaker_policies = st.builds(BreakerPolicy, failure_threshold=st.none() | st.integers(1, 6), failure_rate=st.none())


def seconds_until_out(policy: HealthPolicy, breaker: BreakerPolicy, *, answers_after: float) -> float:
    """Drive the engine: the last good check starts, the node dies, each further check fails after so long."""
    pool = make_pool(2, health=policy, breaker=breaker)
    pool = _checked(pool, START, START, {1: Verdict.PASS, 2: Verdict.PASS})
    started = START
    while pool.members[0].share:
        member = pool.members[0]
        interval = healths.interval_in_force(policy, member.health)
        started += max(interval, answers_after if member.health.fails else 0.0)
        pool = _checked(pool, started, started + answers_after, {1: Verdict.FAIL, 2: Verdict.PASS})
    return started + answers_after - START


def _checked(pool: Pool, started: float, ended: float, verdicts: dict[int, Verdict]) -> Pool:
    seen = {node: Observation(verdict, "", 0.01, started, ended) for node, verdict in verdicts.items()}
    return step(pool, Fleet(), ended, observations=seen).pool


@settings(max_examples=60)
@given(health_policies, breaker_policies)
def test_a_node_is_out_when_the_words_say(policy: HealthPolicy, breaker: BreakerPolicy) -> None:
    fast, timeout = healths.fast_interval(policy), healths.effective_timeout(policy)
    assume(fast <= policy.interval and timeout < policy.interval)
    assert seconds_until_out(policy, breaker, answers_after=0.0) == pytest.approx(out_after_refusing(policy, breaker))
    assert seconds_until_out(policy, breaker, answers_after=timeout) == pytest.approx(out_after_silent(policy, breaker))


def said(*args: object) -> str:
    return "\n".join("".join(each) for each in sentences(*args)).replace("\N{NO-BREAK SPACE}", " ")  # type: ignore[arg-type]


def test_the_words_of_the_usual_policy() -> None:
    assert said(HealthPolicy(), BreakerPolicy(), PoolPolicy()).splitlines() == [
        "A node is asked every 10 s; it fails after 3 bad checks, asked each 2 s once in doubt.",
        "A refusing node is out after about 14 s, a silent one after about 25 s.",
        "The breaker opens after 5 failures in a row, tries again after 30 s and closes after 2 good trials.",
        "Traffic returns by itself after 2 good checks, at once.",
        "Shares are brought back to the weights every 5 min if they are off them.",
        "A node that fails again within 10 min of its recovery is flapping.",
    ]


def test_what_is_set_is_said() -> None:
    policy = PoolPolicy(0.5, 34, 90.0, Failback.MANUAL, auto_rebalance=False, flapping_within=0.0, slow_start=60.0)
    text = said(HealthPolicy(interval=2.0, failure_threshold=1), BreakerPolicy(None, failure_rate=0.5, window_calls=20), policy)
    for part in (
        "fails after 1 bad check.",
        "out after at the latest 2 s",
        "No more than 34 % of the nodes",
        "fewer than 50 % of the nodes",
        "the next one waits 90 s",
        "by hand only",
        "in ten steps over 1 min",
    ):
        assert part in text
    assert "flapping" not in text
    tiers = "when a person says so"
    assert tiers in said(HealthPolicy(), BreakerPolicy(), policy, Strategy.ACTIVE_PASSIVE)
    by_itself = replace(policy, failback=Failback.AUTOMATIC)
    assert "by itself after 1 min" in said(HealthPolicy(), BreakerPolicy(), by_itself, Strategy.ACTIVE_PASSIVE)


def test_every_second_text_is_set_off() -> None:
    for sentence in sentences(HealthPolicy(), BreakerPolicy(), PoolPolicy(0.5, 34, 90.0)):
        assert len(sentence) % 2 == 1 or not sentence[-1].endswith("."), sentence
        assert all(not text.startswith(" ") for text in sentence[1::2])
