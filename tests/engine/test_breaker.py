"""What single rows of the breaker's rules promise."""

from __future__ import annotations

from dataclasses import replace

import pytest

from nodes.engine import breaker as rules
from nodes.engine.backoff import open_wait
from nodes.engine.breaker import NoRuleError, Permit, PolicyError, Refusal, Rejection, Shift
from nodes.engine.enums import Mode, Origin, Outcome, State
from nodes.engine.transitions import Cause, Signal, apply
from nodes.engine.types import Breaker, BreakerPolicy, Run, Window
from tests.engine.driving import Driver


def test_half_open_admits_no_more_than_its_trials_and_closes_when_they_succeed() -> None:
    driver = Driver(BreakerPolicy(max_requests=3, success_threshold=3))
    driver.half_open()
    answers = [driver.ask() for _ in range(10)]
    permits = [each for each in answers if isinstance(each, Permit)]
    assert len(permits) == 3
    assert {each.cause for each in answers if isinstance(each, Refusal)} == {Rejection.TOO_MANY_REQUESTS}
    for permit in permits:
        driver.report(permit, Outcome.SUCCESS)
    assert driver.breaker.state == State.CLOSED


def test_a_failure_admitted_while_closed_does_not_reopen_a_half_open_breaker() -> None:
    driver = Driver()
    old = driver.permit()
    driver.half_open()
    driver.report(old, Outcome.FAILURE)
    assert driver.breaker.state == State.HALF_OPEN
    assert driver.breaker.stats.late == 1


def test_default_settings_heal_by_two_trials_one_after_the_other() -> None:
    driver = Driver()
    driver.half_open()
    driver.call(Outcome.SUCCESS)
    driver.call(Outcome.SUCCESS)
    assert driver.breaker.state == State.CLOSED


def test_a_forced_state_outlives_every_wait() -> None:
    driver = Driver()
    driver.breaker = rules.force(driver.breaker, Mode.FORCED_OPEN, "maintenance", "alice", None, 0.0)
    driver.wait(1e9)
    assert driver.ask() == Refusal(Rejection.OPEN, None)


def test_a_forced_state_ends_at_its_expiry() -> None:
    driver = Driver()
    driver.breaker = rules.force(driver.breaker, Mode.FORCED_OPEN, "maintenance", "alice", 60.0, 0.0)
    driver.wait(20.0)
    assert driver.ask() == Refusal(Rejection.OPEN, 40.0)
    driver.wait(40.0)
    assert isinstance(driver.ask(), Permit)
    assert [change.shift for change in driver.changes] == [Shift.MODE_ENDED]


def test_a_mode_cannot_end_in_the_past() -> None:
    with pytest.raises(PolicyError, match="ahead"):
        rules.force(Breaker(), Mode.FORCED_OPEN, "", "alice", 5.0, 5.0)


def test_an_open_breaker_says_when_to_come_back() -> None:
    driver = Driver()
    driver.open()
    driver.wait(10.0)
    assert driver.ask() == Refusal(Rejection.OPEN, 20.0)


def test_a_full_half_open_breaker_says_when_the_earliest_lease_ends() -> None:
    driver = Driver(BreakerPolicy(trial_timeout=8.0))
    driver.half_open()
    driver.permit()
    driver.wait(3.0)
    assert driver.ask() == Refusal(Rejection.TOO_MANY_REQUESTS, 5.0)


def test_a_lapsed_trial_opens_at_the_instant_of_its_lapse() -> None:
    driver = Driver(BreakerPolicy(trial_timeout=10.0))
    driver.half_open()
    driver.permit()
    lapse = driver.now + 10.0
    driver.wait(15.0)
    assert (driver.breaker.state, driver.breaker.opened_at) == (State.OPEN, lapse)


def test_the_report_of_a_lapsed_trial_is_dropped_outside_the_sum() -> None:
    driver = Driver(BreakerPolicy(trial_timeout=10.0))
    driver.half_open()
    permit = driver.permit()
    driver.wait(15.0)
    before = driver.breaker.stats
    driver.report(permit, Outcome.SUCCESS)
    assert driver.breaker.stats == replace(before, late_lapsed=1)
    assert driver.breaker.stats.in_flight == 0


def test_a_trial_overtaken_by_a_failure_is_late_and_later_lapses_without_a_second_failure() -> None:
    driver = Driver(BreakerPolicy(max_requests=2, trial_timeout=10.0, timeout=1.0))
    driver.half_open()
    first, second = driver.permit(), driver.permit()
    driver.report(first, Outcome.FAILURE)
    generation = driver.breaker.generation
    driver.report(second, Outcome.FAILURE)
    assert (driver.breaker.generation, driver.breaker.stats.late) == (generation, 1)


def test_an_ignored_trial_gives_its_place_back() -> None:
    driver = Driver()
    driver.half_open()
    driver.call(Outcome.IGNORED)
    assert isinstance(driver.ask(), Permit)


def test_waiting_breakers_are_held_until_they_may_try() -> None:
    driver = Driver()
    driver.open()
    held, _ = rules.tick(driver.breaker, driver.policy, 1000.0, held=True)
    assert held.state == State.OPEN
    assert rules.tick(held, driver.policy, 1000.0)[0].state == State.HALF_OPEN


def test_asking_for_the_state_changes_nothing() -> None:
    driver = Driver()
    driver.open()
    before = driver.breaker
    assert rules.tick(before, driver.policy, 30.0)[0].state == State.HALF_OPEN
    assert driver.breaker is before


def test_a_wait_is_capped_and_never_overflows() -> None:
    policy = BreakerPolicy(timeout=10.0, timeout_multiplier=2.0, max_timeout=60.0)
    assert [open_wait(policy, n) for n in (0, 1, 2, 3, 10_000)] == [10.0, 20.0, 40.0, 60.0, 60.0]


def test_the_default_cap_is_never_below_the_timeout() -> None:
    assert open_wait(BreakerPolicy(timeout=600.0, timeout_multiplier=2.0), 5) == 600.0


def test_jitter_adds_its_part_of_the_wait() -> None:
    policy = BreakerPolicy(timeout=10.0, jitter=0.5)
    assert [open_wait(policy, 0, chance) for chance in (0.0, 0.5, 1.0)] == [10.0, 12.5, 15.0]


def test_a_shorter_timeout_shortens_the_wait_under_way_and_a_longer_one_does_not_lengthen_it() -> None:
    driver = Driver()
    driver.open()
    policies = [BreakerPolicy(timeout=timeout) for timeout in (10.0, 30.0, 90.0)]
    assert [rules.deadline(driver.breaker, policy) for policy in policies] == [10.0, 30.0, 30.0]
    assert [rules.next_deadline(driver.breaker, policy) for policy in policies] == [10.0, 30.0, 30.0]


def test_a_longer_timeout_counts_from_the_next_opening() -> None:
    driver = Driver()
    driver.half_open()
    driver.policy = BreakerPolicy(timeout=90.0)
    driver.call(Outcome.FAILURE)
    assert rules.deadline(driver.breaker, driver.policy) == driver.now + 90.0


def test_a_wait_that_had_grown_is_shortened_to_what_it_would_have_grown_to() -> None:
    driver = Driver(BreakerPolicy(timeout_multiplier=3.0))
    driver.half_open()
    driver.call(Outcome.FAILURE)
    shorter = BreakerPolicy(timeout=10.0, timeout_multiplier=2.0)
    assert rules.deadline(driver.breaker, shorter) == driver.now + 20.0


def test_an_edit_keeps_the_run_of_failures_and_judges_it_at_the_next_result() -> None:
    driver = Driver(BreakerPolicy(failure_threshold=9))
    for _ in range(4):
        driver.call(Outcome.FAILURE)
    driver.policy = BreakerPolicy(failure_threshold=3)
    driver.wait(60.0)
    assert (driver.breaker.state, driver.breaker.failures) == (State.CLOSED, 4)
    driver.call(Outcome.FAILURE)
    assert driver.breaker.opened_why == "5 failures in a row"


def test_a_shorter_policy_counts_even_when_nobody_told_the_breaker() -> None:
    driver = Driver()
    driver.open()
    assert rules.tick(driver.breaker, BreakerPolicy(timeout=10.0), 10.0)[0].state == State.HALF_OPEN


def test_a_clock_that_was_set_back_does_not_lengthen_the_wait() -> None:
    driver = Driver(now=1_000_000.0)
    driver.open()
    back, _ = rules.tick(driver.breaker, driver.policy, 100.0)
    assert rules.next_deadline(back, driver.policy) == 130.0


def test_reset_closes_and_forgets_counts_but_not_statistics() -> None:
    driver = Driver()
    driver.half_open()
    closed, changes = rules.reset(driver.breaker, driver.now)
    assert (closed.state, closed.failures, closed.opened_at) == (State.CLOSED, 0, None)
    assert (closed.stats.opened, closed.stats.failed) == (1, 5)
    assert [change.shift for change in changes] == [Shift.CLOSED]


def test_reset_of_a_closed_breaker_forgets_its_counts() -> None:
    driver = Driver(BreakerPolicy(failure_threshold=3, failure_rate=0.9, window_calls=20))
    driver.call(Outcome.FAILURE)
    reported, _ = rules.report(driver.breaker, driver.policy, driver.permit(), Outcome.FAILURE, 0.0, origin=Origin.CALLS)
    closed, changes = rules.reset(reported, driver.now)
    assert (closed.failures, closed.window, closed.reported, changes) == (0, Window(), Run(), ())


SLOW = BreakerPolicy(slow_call_rate=0.5, slow_call_duration=5.0, window_calls=20, timeout=10.0, timeout_multiplier=2.0)


def test_a_callee_that_is_always_slow_waits_longer_each_time() -> None:
    driver = Driver(SLOW)
    driver.half_open()
    waits = []
    for _ in range(4):
        driver.report(driver.permit(), Outcome.SUCCESS, 6.0)
        waits.append(driver.breaker.wait)
        driver.wait(driver.breaker.wait)
    assert waits == [20.0, 40.0, 80.0, 160.0]
    assert driver.breaker.stats.successful == 4


def test_a_slow_trial_of_another_origin_says_how_long_it_took() -> None:
    driver = Driver(SLOW)
    driver.half_open()
    checked = replace(driver.breaker, opened_by=Origin.CHECKS)
    asked, permit = rules.acquire(checked, SLOW, driver.now)
    assert isinstance(permit, Permit)
    reopened, changes = rules.report(asked, SLOW, permit, Outcome.SUCCESS, driver.now, origin=Origin.CALLS, duration=6.0)
    assert (reopened.opened_by, reopened.opened_why) == (Origin.CALLS, "a trial by calls took over 5 s")
    assert [each.trial for each in changes] == ["took over 5 s"]


def test_the_mean_time_open_is_measured_from_first_open_to_closed() -> None:
    driver = Driver()
    driver.half_open()
    driver.call(Outcome.FAILURE)
    driver.wait(30.0)
    driver.call(Outcome.SUCCESS)
    driver.call(Outcome.SUCCESS)
    assert driver.breaker.stats.mean_open == 60.0
    assert driver.breaker.stats.opened == 2


def test_who_keeps_a_breaker_open_is_known() -> None:
    driver = Driver(BreakerPolicy(failure_threshold=1))
    opened, _ = rules.report(driver.breaker, driver.policy, driver.permit(), Outcome.FAILURE, 0.0, origin=Origin.CHECKS)
    assert [each.opened_by for each in (Breaker(), opened)] == [None, Origin.CHECKS]


def test_what_the_table_does_not_hold_is_an_error_that_names_both() -> None:
    with pytest.raises(NoRuleError, match="open knows no success"):
        apply(Breaker(state=State.OPEN), Signal.SUCCESS, Cause(BreakerPolicy(), 0.0))


def test_the_rules_print_as_a_table_with_a_line_for_each() -> None:
    lines = rules.rule_table().splitlines()
    assert len(lines) == len(rules.RULES)
    words = "the run of failures ends; it opens when a rate reaches its limit, for a success counts as well"
    assert lines[0].split(maxsplit=2) == ["closed", "success", words]


@pytest.mark.parametrize(
    ("policy", "word"),
    [
        (BreakerPolicy(failure_threshold=0), "failure threshold"),
        (BreakerPolicy(success_threshold=0), "success threshold"),
        (BreakerPolicy(max_requests=0), "1 trial"),
        (BreakerPolicy(timeout=-1.0), "negative"),
        (BreakerPolicy(timeout=float("inf")), "finite"),
        (BreakerPolicy(timeout_multiplier=0.5), "multiplier"),
        (BreakerPolicy(max_timeout=10.0), "longest wait"),
        (BreakerPolicy(jitter=1.5), "jitter"),
        (BreakerPolicy(trial_timeout=0.0), "trial"),
    ],
)
def test_a_policy_that_cannot_work_is_refused_with_a_sentence(policy: BreakerPolicy, word: str) -> None:
    with pytest.raises(PolicyError, match=word):
        rules.validate(policy)


def test_a_long_timeout_is_legal_and_lifts_its_own_cap() -> None:
    policy = BreakerPolicy(timeout=600.0)
    rules.validate(policy)
    assert rules.open_wait(policy, 0, 1.0) == 600.0


def test_doubtful_policies_are_legal_and_warned_of() -> None:
    doubtful = BreakerPolicy(timeout=0.0, failure_threshold=1, max_timeout=600.0, max_requests=100)
    rules.validate(doubtful)
    assert len(rules.warnings(doubtful)) == 4
    assert rules.warnings(BreakerPolicy()) == ()


def test_a_window_that_is_edited_keeps_what_it_holds() -> None:
    driver = Driver(BreakerPolicy(failure_threshold=None, failure_rate=0.5, window_seconds=10.0, minimum_calls=6), now=1_000.0)
    for _ in range(5):
        driver.call(Outcome.FAILURE)
        driver.wait(1.0)
    driver.policy = BreakerPolicy(failure_threshold=None, failure_rate=0.5, window_seconds=60.0, minimum_calls=6)
    driver.wait(20.0)
    driver.call(Outcome.FAILURE)
    assert driver.breaker.opened_why == "6 of 6 calls in the window failed, the limit is 50%"


def test_an_edited_count_window_looks_at_its_last_calls() -> None:
    driver = Driver(BreakerPolicy(failure_threshold=None, failure_rate=0.9, window_calls=20, minimum_calls=4))
    for outcome in (*[Outcome.SUCCESS] * 10, *[Outcome.FAILURE] * 3):
        driver.call(outcome)
    driver.policy = BreakerPolicy(failure_threshold=None, failure_rate=0.9, window_calls=4, minimum_calls=4)
    driver.call(Outcome.FAILURE)
    assert driver.breaker.state == State.OPEN
