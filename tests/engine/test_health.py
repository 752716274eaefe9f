"""What the checks of one node add up to."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nodes.engine import health as rules
from nodes.engine.enums import AdminState, Health, Verdict
from nodes.engine.health import Quorum, aggregate, effective_timeout, fast_interval, interval_in_force
from nodes.engine.types import HealthPolicy, HealthState, Observation, PolicyError

VERDICTS = {verdict.value[0]: verdict for verdict in Verdict}
ENABLED = AdminState.ENABLED
POLICY = HealthPolicy()


def seen(letter: str, at: float) -> Observation:
    return Observation(VERDICTS[letter], started_at=at, ended_at=at)


def after(letters: str, policy: HealthPolicy = POLICY, start: HealthState | None = None) -> HealthState:
    """The health after these verdicts, one a second from second 1."""
    health = start or HealthState()
    for second, letter in enumerate(letters, start=1):
        health = rules.observe(health, policy, seen(letter, float(second)), float(second))
    return health


def states(letters: str, policy: HealthPolicy = POLICY) -> list[Health]:
    return [after(letters[: count + 1], policy).status for count in range(len(letters))]


def test_three_fails_in_a_row_fail_a_node_and_two_passes_bring_it_back() -> None:
    well, failed, recovering = Health.HEALTHY, Health.FAILED, Health.RECOVERING
    assert states("pffpfffpfpp") == [well, well, well, well, well, well, failed, recovering, failed, recovering, well]


def test_the_first_check_of_a_new_node_decides_at_once() -> None:
    assert states("p") == [Health.HEALTHY]
    assert states("w") == [Health.DEGRADED]


def test_a_new_node_that_never_answers_fails_at_the_threshold() -> None:
    assert states("fff") == [Health.UNKNOWN, Health.UNKNOWN, Health.FAILED]


def test_a_warning_degrades_and_a_pass_heals_that() -> None:
    assert states("pwp") == [Health.HEALTHY, Health.DEGRADED, Health.HEALTHY]


def test_a_node_recovers_into_degraded_when_its_last_check_warns() -> None:
    assert states("fffpw")[-1] == Health.DEGRADED


@pytest.mark.parametrize(
    ("letters", "then"),
    [
        ("pw", Health.DEGRADED),
        ("ww", Health.DEGRADED),
        ("wf", Health.DEGRADED),
        ("wff", Health.DEGRADED),
        ("wfff", Health.FAILED),
        ("ffff", Health.FAILED),
        ("fffp", Health.RECOVERING),
        ("fffw", Health.RECOVERING),
        ("fffwf", Health.FAILED),
        ("fffwp", Health.HEALTHY),
        ("fffww", Health.DEGRADED),
    ],
)
def test_each_verdict_leads_to_its_state(letters: str, then: Health) -> None:
    assert states(letters)[-1] == then


def test_with_a_recovery_threshold_of_one_a_single_pass_is_enough() -> None:
    assert after("fffp", HealthPolicy(recovery_threshold=1)).status == Health.HEALTHY


def test_a_check_that_could_not_be_made_moves_nothing() -> None:
    before = after("pff")
    assert after("u", start=before) is before


def test_the_first_bad_check_is_remembered_until_a_good_one() -> None:
    assert after("pff").first_bad_at == 2.0
    assert after("pffp").first_bad_at is None


@given(st.text("pwfu", max_size=40), st.integers(1, 4), st.integers(1, 4))
def test_counts_never_pass_their_thresholds_while_the_node_is_not_failed(letters: str, fails: int, passes: int) -> None:
    health = after(letters, HealthPolicy(failure_threshold=fails, recovery_threshold=passes))
    assert health.status == Health.FAILED or health.fails < fails
    assert health.passes < passes
    assert (health.first_bad_at is None) == (health.fails == 0)


@given(st.text("pwfu", max_size=40))
def test_a_failed_node_comes_back_through_recovering_alone(letters: str) -> None:
    path = states(letters)
    for old, new in pairwise(path):
        assert old != Health.FAILED or new in (Health.FAILED, Health.RECOVERING)


def test_the_interval_in_force_is_fast_in_doubt_and_down_while_failed() -> None:
    policy = HealthPolicy(interval=10.0, down_interval=30.0)
    assert [interval_in_force(policy, after(letters)) for letters in ("p", "pf", "fff", "fffp")] == [10.0, 2.0, 30.0, 2.0]


def test_the_defaults_of_intervals_follow_the_interval() -> None:
    assert (fast_interval(HealthPolicy(interval=1.0)), effective_timeout(HealthPolicy(interval=1.0))) == (1.0, 0.5)
    assert (fast_interval(POLICY), effective_timeout(POLICY)) == (2.0, 5.0)


def test_a_node_is_stale_after_two_intervals_and_a_timeout_of_silence() -> None:
    health = after("p")
    assert not rules.stale(health, POLICY, ENABLED, 1.0 + 25.0)
    assert rules.stale(health, POLICY, ENABLED, 1.0 + 25.001)


def test_a_node_nobody_has_looked_at_yet_is_stale_from_when_it_began() -> None:
    assert rules.stale(HealthState(since=100.0), POLICY, ENABLED, 126.0)
    assert not rules.stale(HealthState(), POLICY, ENABLED, 1e9)


def test_no_node_is_stale_before_twelve_seconds() -> None:
    often = HealthPolicy(interval=1.0)
    assert not rules.stale(HealthState(since=100.0), often, ENABLED, 112.0)
    assert rules.stale(HealthState(since=100.0), often, ENABLED, 112.001)


def test_a_shorter_interval_makes_nobody_stale() -> None:
    health = HealthState(since=100.0, observed_at=100.0, due_interval=60.0)
    assert not rules.stale(health, POLICY, ENABLED, 100.0 + 125.0)
    assert rules.stale(health, POLICY, ENABLED, 100.0 + 125.001)


def test_a_disabled_node_does_not_become_stale() -> None:
    assert not rules.stale(HealthState(since=100.0), POLICY, AdminState.DISABLED, 1e9)
    assert rules.stale(HealthState(since=100.0, stale=True), POLICY, AdminState.DISABLED, 101.0)


def test_any_verdict_ends_staleness() -> None:
    assert not after("f", start=HealthState(stale=True)).stale
    assert after("u", start=HealthState(stale=True)).stale


@pytest.mark.parametrize(
    ("quorum", "parts", "whole"),
    [
        ("all", "pp", "p"),
        ("all", "pw", "w"),
        ("all", "pf", "f"),
        ("all", "pu", "u"),
        ("all", "fu", "f"),
        ("any", "pf", "w"),
        ("any", "pu", "p"),
        ("any", "ff", "f"),
        ("any", "fu", "u"),
        ("majority", "pf", "f"),
        ("majority", "ppf", "w"),
        ("majority", "ppu", "p"),
        ("majority", "pfu", "u"),
        ("majority", "wpp", "w"),
        ("all", "", "u"),
        ("any", "", "u"),
    ],
)
def test_a_composite_follows_its_quorum(quorum: Quorum, parts: str, whole: str) -> None:
    assert aggregate(quorum, [VERDICTS[part] for part in parts]) == VERDICTS[whole]


@given(st.sampled_from(["all", "any", "majority"]), st.text("pwf", max_size=6))
def test_an_unknown_part_never_turns_a_sure_answer_round(quorum: Quorum, parts: str) -> None:
    """Whatever the unknown part turns out to be, a verdict that was given without it stands."""
    open_answer = aggregate(quorum, [*(VERDICTS[part] for part in parts), Verdict.UNKNOWN])
    closed = {aggregate(quorum, [*(VERDICTS[part] for part in parts), last]) for last in (Verdict.PASS, Verdict.FAIL)}
    down = {verdict == Verdict.FAIL for verdict in closed}
    assert (open_answer == Verdict.UNKNOWN) == (len(down) == 2)
    assert open_answer == Verdict.UNKNOWN or down == {open_answer == Verdict.FAIL}


@pytest.mark.parametrize(
    ("policy", "word"),
    [
        (HealthPolicy(interval=0.0), "above 0"),
        (HealthPolicy(check_timeout=10.0), "below the interval"),
        (HealthPolicy(check_timeout=0.0), "time to answer"),
        (HealthPolicy(fast_interval=20.0), "fast interval"),
        (HealthPolicy(failure_threshold=0), "failure threshold"),
        (HealthPolicy(recovery_threshold=0), "recovery threshold"),
        (HealthPolicy(degraded_latency=0.0), "degraded latency"),
        (HealthPolicy(interval=float("nan")), "finite"),
    ],
)
def test_a_policy_that_cannot_work_is_refused_with_a_sentence(policy: HealthPolicy, word: str) -> None:
    with pytest.raises(PolicyError, match=word):
        rules.validate(policy)


def test_doubtful_policies_are_legal_and_warned_of() -> None:
    doubtful = HealthPolicy(failure_threshold=1, degraded_latency=6.0, check_timeout=5.0, down_interval=600.0)
    rules.validate(doubtful)
    assert len(rules.warnings(doubtful)) == 4
    assert rules.warnings(POLICY) == ()


def test_the_rules_have_an_entry_for_every_state_and_verdict() -> None:
    known = {(status, verdict) for status in Health for verdict in Verdict if verdict != Verdict.UNKNOWN}
    assert set(rules.RULES) == known
    assert len(rules.rule_table().splitlines()) == len(known)
