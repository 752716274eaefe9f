"""Failures, incidents, means, recoveries and the breaker's figures, on histories counted by hand."""

from __future__ import annotations

from datetime import datetime

from nodes.models import EventType, Node
from tests.reports.conftest import DAY, MIDNIGHT, History, at

HOUR = 3600.0  # s


def test_a_node_that_never_failed_has_counts_of_nothing_and_no_means(history: History) -> None:
    history.node()
    row = history.of_node()
    assert (row.failures, row.incidents, row.breaker_opens, row.rejected_trials, row.checks) == (0, 0, 0, 0, 0)
    means = (row.to_detect, row.to_fail_over, row.to_recover, row.between_failures, row.recovery_success, row.unknown, row.p50)
    assert means == (None,) * 7


def test_the_means_are_over_the_failures_of_the_range(history: History) -> None:
    node = history.node()
    history.failure(node, "02:00", "02:00:20", "02:10:20", moved="02:00:21")
    history.failure(node, "12:00", "12:00:40", "12:20:40", moved="12:00:43")
    row = history.of_node()
    assert (row.failures, row.incidents) == (2, 2)
    assert row.to_detect == (20 + 40) / 2
    assert row.to_fail_over == (1 + 3) / 2
    assert row.to_recover == (600 + 1200) / 2
    assert row.between_failures == (24 * HOUR - 620 - 1240) / 2


def test_a_share_that_did_not_move_or_was_none_makes_no_time_to_fail_over(history: History) -> None:
    node = history.node()
    history.failure(node, "02:00", "02:01", "02:10", moved=None)
    history.failure(node, "04:00", "04:01", "04:10", moved="04:02", had_share=False)
    assert history.of_node().to_fail_over is None


def test_a_failure_counts_where_it_was_marked(history: History) -> None:
    history.failure(history.node(), "11:59", "12:01", "12:31")
    before, after = history.of_node(at("00:00"), at("12:00")), history.of_node(at("12:00"), at("24:00"))
    assert (before.failures, before.to_detect, before.downtime) == (0, None, 60)
    assert (after.failures, after.to_detect, after.downtime) == (1, 120, 31 * 60)


def test_the_time_to_recover_counts_where_the_failure_ended(history: History) -> None:
    history.failure(history.node(), "11:00", "11:01", "12:31")
    before, after = history.of_node(at("00:00"), at("12:00")), history.of_node(at("12:00"), at("24:00"))
    assert (before.failures, before.to_recover) == (1, None)
    assert (after.failures, after.to_recover) == (0, 90 * 60)


def test_the_time_between_failures_leaves_out_what_is_excluded(history: History) -> None:
    node = history.node()
    history.becomes(node, "maintenance", at("00:00"))
    history.becomes(node, "enabled", at("10:00"))
    for hour in ("11", "13"):
        history.failure(node, f"{hour}:00", f"{hour}:01", f"{hour}:30")
    assert history.of_node().between_failures == (14 * HOUR - 2 * 1800) / 2


def test_failures_of_one_incident_are_one_incident(history: History) -> None:
    first, second = history.node("a"), history.node("b")
    incident = history.failure(first, "10:00", "10:01", "10:30")
    history.failure(second, "10:02", "10:03", "10:20", incident=incident)
    history.failure(second, "10:22", "10:23", "10:30", incident=incident)
    whole = history.of_pool()
    assert (whole.failures, whole.incidents) == (3, 1)
    assert [(history.of_node(name=name).failures, history.of_node(name=name).incidents) for name in "ab"] == [(1, 1), (2, 1)]


def test_an_incident_of_a_pool_counts_where_it_was_detected(history: History) -> None:
    history.failure(history.node(), "11:59", "12:01", "12:31")
    assert history.of_pool(at("00:00"), at("12:00")).incidents == 0
    assert history.of_pool(at("12:00"), at("24:00")).incidents == 1


def test_a_pool_means_over_all_failures_of_its_nodes(history: History) -> None:
    history.failure(history.node("a"), "02:00", "02:00:20", "02:10:20", moved="02:00:21")
    second = history.node("b")
    for hour in ("12", "14"):
        history.failure(second, f"{hour}:00", f"{hour}:00:50", f"{hour}:30:50", moved=f"{hour}:00:50")
    row = history.of_pool()
    assert row.to_detect == (20 + 50 + 50) / 3
    assert row.to_fail_over == 1 / 3
    assert row.to_recover == (600 + 1800 + 1800) / 3
    assert row.between_failures == (2 * 24 * HOUR - 620 - 2 * 1850) / 3


def test_the_history_of_another_pool_is_not_counted(history: History) -> None:
    other = History("Other", "other")
    other.failure(other.node(), "10:00", "10:01", "11:00")
    history.node()
    assert (history.of_pool().failures, history.of_pool().incidents, history.of_node().downtime) == (0, 0, 0)
    assert other.of_pool().failures == 1


def add_events(history: History, node: Node, kind: EventType, *times: str) -> None:
    for time in times:
        history.event(node, kind, at(time))


def test_recovery_success_is_completed_by_started(history: History) -> None:
    node = history.node()
    add_events(history, node, EventType.RECOVERY_STARTED, "10:00", "10:10", "10:20", "10:30")
    add_events(history, node, EventType.RECOVERY_FAILED, "10:01", "10:11", "10:21")
    add_events(history, node, EventType.RECOVERY_COMPLETED, "10:31")
    assert history.of_node().recovery_success == 0.25
    assert history.of_pool().recovery_success == 0.25
    assert history.of_node(at("11:00"), at("12:00")).recovery_success is None


def test_the_rule_warns_that_an_attempt_from_before_can_exceed_the_whole(history: History) -> None:
    node = history.node()
    add_events(history, node, EventType.RECOVERY_STARTED, "09:59", "10:10")
    add_events(history, node, EventType.RECOVERY_COMPLETED, "10:01", "10:11")
    assert history.of_node(at("10:00"), at("11:00")).recovery_success == 2.0


def test_openings_are_counted_and_reopenings_are_not(history: History) -> None:
    node = history.node()
    add_events(history, node, EventType.BREAKER_OPENED, "09:00", "10:00", "11:00")
    history.event(node, EventType.BREAKER_REOPENED, at("10:30"), reopened=1, first_opened_at=1.0)
    assert history.of_node().breaker_opens == 3
    assert history.of_node(at("09:30"), at("11:00")).breaker_opens == 1


def reopened(history: History, node: Node, opening: str, *tellings: tuple[int, datetime]) -> None:
    for number, when in tellings:
        history.event(node, EventType.BREAKER_REOPENED, when, reopened=number, first_opened_at=at(opening).timestamp())


def test_rejected_trials_are_the_highest_number_of_each_opening(history: History) -> None:
    node = history.node()
    reopened(history, node, "09:00", (1, at("09:01")), (11, at("09:30")), (21, at("10:00")))
    reopened(history, node, "15:00", (1, at("15:01")))
    assert history.of_node().rejected_trials == 22
    assert history.of_pool().rejected_trials == 22


def test_rejected_trials_from_before_the_range_are_not_counted_again(history: History) -> None:
    node = history.node()
    reopened(history, node, "23:00", (1, MIDNIGHT - DAY / 24), (11, at("01:00")))
    assert history.of_node().rejected_trials == 10
    assert history.of_node(at("02:00"), at("03:00")).rejected_trials == 0


def test_changes_of_shares_are_counted_by_kind_with_the_last_of_each(history: History) -> None:
    node, other = history.node("a"), history.node("b")
    history.change(node, "failover", "01:00")
    history.change(node, "failover", "02:00", status="failed")
    history.change(node, "failover", "03:00", status="refused")
    history.change(node, "recovery", "04:00")
    history.change(other, "rebalance", "05:00")
    history.change(None, "rebalance", "06:00")
    row, whole = history.of_node(), history.of_pool()
    assert (row.failovers, row.last_failover, row.rebalances, row.last_rebalance) == (2, at("02:00"), 0, None)
    assert (whole.failovers, whole.last_failover, whole.rebalances, whole.last_rebalance) == (2, at("02:00"), 2, at("06:00"))


def test_the_last_failure_and_recovery_and_who_is_out_now(history: History) -> None:
    node, other = history.node("a"), history.node("b")
    history.failure(node, "02:00", "02:01", "02:10", moved="02:01")
    together = history.failure(node, "04:00", "04:01", None, moved="04:02")
    history.failure(other, "05:00", "05:01", None, incident=together)
    row, whole = history.of_node(), history.of_pool()
    assert (row.last_failure, row.recoveries, row.last_recovery, row.moved_out) == (at("04:01"), 1, at("02:10"), 1)
    assert (whole.last_failure, whole.recoveries, whole.last_recovery, whole.moved_out) == (at("05:01"), 1, at("02:10"), 1)
