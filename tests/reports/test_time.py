"""Up, down, excluded, unmonitored: how the time of a node and of a pool is counted, on histories counted by hand."""

from __future__ import annotations

from datetime import timedelta

from nodes.models import Node
from tests.reports.conftest import DAY, MIDNIGHT, History, at

HOURS = 3600.0  # s
WHOLE_DAY = 24 * HOURS


def test_a_node_without_failures_was_up_all_the_time(history: History) -> None:
    history.node()
    row = history.of_node()
    assert (row.availability, row.downtime, row.counted, row.set_aside, row.unwatched) == (1, 0, WHOLE_DAY, 0, 0)


def test_downtime_runs_from_the_first_bad_check_until_able_again(history: History) -> None:
    history.failure(history.node(), "10:00", "10:01", "10:36")
    row = history.of_node()
    assert (row.downtime, row.availability) == (36 * 60, 0.975)


def test_failures_that_overlap_are_counted_once(history: History) -> None:
    node = history.node()
    history.failure(node, "10:00", "10:01", "11:00")
    history.failure(node, "10:30", "10:31", "12:00")
    assert history.of_node().downtime == 2 * HOURS


def test_a_range_that_begins_inside_an_outage_counts_the_rest_of_it(history: History) -> None:
    history.failure(history.node(), "10:00", "10:01", "12:00")
    row = history.of_node(at("11:00"), at("15:00"))
    assert (row.downtime, row.counted, row.availability) == (1 * HOURS, 4 * HOURS, 0.75)


def test_a_range_that_ends_inside_an_outage_counts_it_until_there(history: History) -> None:
    history.failure(history.node(), "10:00", "10:01", "12:00")
    row = history.of_node(at("07:00"), at("11:00"))
    assert (row.downtime, row.availability) == (1 * HOURS, 0.75)


def test_a_range_inside_an_outage_is_down_from_end_to_end(history: History) -> None:
    history.failure(history.node(), "10:00", "10:01", "12:00")
    assert history.of_node(at("10:30"), at("11:00")).availability == 0


def test_an_outage_that_ends_where_the_range_begins_is_not_in_it(history: History) -> None:
    history.failure(history.node(), "10:00", "10:01", "12:00")
    assert history.of_node(at("12:00"), at("13:00")).downtime == 0
    assert history.of_node(at("09:00"), at("10:00")).downtime == 0


def test_an_outage_that_goes_on_counts_until_now(history: History) -> None:
    history.failure(history.node(), "10:00", "10:01", None)
    history.now = at("12:00")
    row = history.of_node()
    assert (row.downtime, row.counted) == (2 * HOURS, 12 * HOURS)


def test_a_range_is_cut_to_the_present(history: History) -> None:
    history.node()
    history.now = at("06:00")
    assert history.of_node().counted == 6 * HOURS


def test_a_node_counts_from_its_creation(history: History) -> None:
    node = history.node(created=at("18:00"))
    history.failure(node, "18:00", "18:01", "19:30")
    row = history.of_node()
    assert (row.counted, row.downtime, row.availability) == (6 * HOURS, 1.5 * HOURS, 0.75)


def test_a_node_that_came_later_is_not_in_the_report(history: History) -> None:
    history.node(created=MIDNIGHT + DAY)
    assert history.rows() == []


def test_a_node_counts_until_its_removal_also_when_it_was_down(history: History) -> None:
    history.failure(history.node(removed=at("08:00")), "06:00", "06:01", None)
    row = history.of_node()
    assert (row.counted, row.downtime) == (8 * HOURS, 2 * HOURS)


def test_a_node_that_was_removed_before_is_not_in_the_report(history: History) -> None:
    history.node(removed=MIDNIGHT)
    assert history.rows() == []


# Excluded ------------------------------------------------------------------------------------------------------------------


def test_maintenance_is_excluded_and_nothing_in_it_is_down(history: History) -> None:
    node = history.node()
    history.becomes(node, "maintenance", at("10:00"))
    history.becomes(node, "enabled", at("14:00"))
    history.failure(node, "13:00", "13:01", "16:00")
    row = history.of_node()
    assert (row.set_aside, row.counted, row.downtime, row.availability) == (4 * HOURS, 20 * HOURS, 2 * HOURS, 0.9)


def test_disabled_time_is_excluded_and_draining_is_not(history: History) -> None:
    node = history.node()
    history.becomes(node, "draining", at("02:00"))
    history.becomes(node, "disabled", at("03:00"))
    history.becomes(node, "enabled", at("04:30"))
    row = history.of_node()
    assert (row.set_aside, row.counted) == (1.5 * HOURS, 22.5 * HOURS)


def test_maintenance_that_turns_into_disabled_is_one_time(history: History) -> None:
    node = history.node()
    history.becomes(node, "maintenance", at("02:00"))
    history.becomes(node, "disabled", at("03:00"))
    history.becomes(node, "enabled", at("05:00"))
    assert history.of_node().set_aside == 3 * HOURS


def test_maintenance_from_before_the_range_lasts_into_it(history: History) -> None:
    node = history.node()
    history.becomes(node, "maintenance", MIDNIGHT - DAY)
    history.becomes(node, "enabled", at("06:00"))
    assert history.of_node().set_aside == 6 * HOURS


def test_maintenance_that_ended_before_the_range_is_not_in_it(history: History) -> None:
    node = history.node()
    history.becomes(node, "maintenance", MIDNIGHT - 2 * DAY)
    history.becomes(node, "enabled", MIDNIGHT - DAY)
    assert history.of_node().set_aside == 0


def test_maintenance_that_goes_on_lasts_to_the_end(history: History) -> None:
    history.becomes(history.node(), "maintenance", at("18:00"))
    assert history.of_node().set_aside == 6 * HOURS


def test_a_range_that_is_all_maintenance_has_no_availability(history: History) -> None:
    history.becomes(history.node(), "maintenance", MIDNIGHT - DAY)
    row = history.of_node()
    assert (row.counted, row.availability, row.downtime) == (0, None, 0)


# Unmonitored ---------------------------------------------------------------------------------------------------------------


def watched(history: History, node: Node, *hours: tuple[int, int]) -> None:
    """Checks passed in every minute of these spans of hours; the roll-ups are done for the day."""
    for begin, end in hours:
        history.rolled("minute", node, MIDNIGHT + timedelta(hours=begin), (end - begin) * 60, latencies=(0.02,))
        history.rolled("hour", node, MIDNIGHT + timedelta(hours=begin), end - begin, latencies=(0.02,) * 60)
    history.done("minute", MIDNIGHT + DAY)
    history.done("hour", MIDNIGHT + DAY)


def test_time_in_which_nothing_was_seen_counts_neither_as_up_nor_as_down(history: History) -> None:
    node = history.node()
    watched(history, node, (0, 6), (10, 24))
    history.failure(node, "12:00", "12:01", "13:00")
    row = history.of_node()
    assert (row.unwatched, row.counted, row.downtime, row.availability) == (4 * HOURS, 20 * HOURS, 1 * HOURS, 0.95)


def test_checks_without_a_result_are_no_monitoring(history: History) -> None:
    node = history.node()
    watched(history, node, (0, 6), (10, 24))
    history.rolled("minute", node, at("06:00"), 4 * 60, unknowns=6)
    history.rolled("hour", node, at("06:00"), 4, unknowns=6 * 60)
    row = history.of_node()
    assert row.unwatched == 4 * HOURS
    assert row.unknown == 240 * 6 / (240 * 6 + 20 * 60)


def test_a_failure_that_lasts_through_silence_stays_downtime(history: History) -> None:
    node = history.node()
    watched(history, node, (0, 6), (10, 24))
    history.failure(node, "05:00", "05:01", "08:00")
    row = history.of_node()
    assert (row.downtime, row.unwatched, row.counted) == (3 * HOURS, 2 * HOURS, 22 * HOURS)


def test_silence_in_maintenance_is_excluded_alone(history: History) -> None:
    node = history.node()
    watched(history, node, (0, 6), (10, 24))
    history.becomes(node, "disabled", at("06:00"))
    history.becomes(node, "enabled", at("09:00"))
    row = history.of_node()
    assert (row.set_aside, row.unwatched, row.counted) == (3 * HOURS, 1 * HOURS, 20 * HOURS)


def test_a_node_that_is_asked_rarely_is_not_unmonitored_in_between(history: History) -> None:
    node = history.node()
    Node.objects.filter(pk=node.pk).update(interval=600, check_timeout=5)
    for minute in range(0, 1440, 10):
        history.rolled("minute", node, MIDNIGHT + timedelta(minutes=minute), latencies=(0.02,))
    history.done("minute", MIDNIGHT + DAY)
    assert history.of_node().unwatched == 0


def test_what_is_not_rolled_up_yet_is_no_silence(history: History) -> None:
    history.rolled("minute", history.node(), MIDNIGHT, 60, latencies=(0.02,))
    assert history.of_node().unwatched == 0
    history.done("minute", at("01:00"))
    assert history.of_node().unwatched == 0
    history.done("minute", at("02:00"))
    assert history.of_node().unwatched == 1 * HOURS


def test_the_time_before_a_node_existed_is_no_silence(history: History) -> None:
    node = history.node(created=at("06:00"))
    watched(history, node, (6, 24))
    row = history.of_node()
    assert (row.unwatched, row.counted) == (0, 18 * HOURS)


def test_a_longer_range_is_searched_for_silence_by_the_hour(history: History) -> None:
    node = history.node()
    watched(history, node, (0, 6), (10, 24))
    row = history.of_node(MIDNIGHT, MIDNIGHT + 2 * DAY)
    assert (row.unwatched, row.counted) == (4 * HOURS, 44 * HOURS)


def test_minutes_that_are_no_longer_kept_are_no_silence(history: History) -> None:
    node = history.node()
    history.rolled("hour", node, MIDNIGHT, 24, latencies=(0.02,) * 60)
    history.done("minute", MIDNIGHT + 60 * DAY)
    history.done("hour", MIDNIGHT + 60 * DAY)
    history.now = MIDNIGHT + 60 * DAY
    row = history.of_node()
    assert (row.unwatched, row.checks) == (0, 24 * 60)


# Pools ---------------------------------------------------------------------------------------------------------------------


def test_a_pool_is_down_while_all_its_nodes_are_down_together(history: History) -> None:
    history.failure(history.node("a"), "10:00", "10:01", "12:00")
    history.failure(history.node("b"), "11:00", "11:01", "14:00")
    row = history.of_pool()
    assert (row.downtime, row.counted, row.availability) == (1 * HOURS, WHOLE_DAY, 1 - 1 / 24)


def test_a_pool_with_one_node_up_is_up(history: History) -> None:
    history.node("b")
    history.failure(history.node("a"), "10:00", "10:01", "12:00")
    assert history.of_pool().availability == 1


def test_a_node_in_maintenance_does_not_hold_its_pool_up(history: History) -> None:
    history.becomes(history.node("b"), "maintenance", at("09:00"))
    history.failure(history.node("a"), "10:00", "10:01", "12:00")
    row = history.of_pool()
    assert (row.downtime, row.set_aside, row.counted) == (2 * HOURS, 0, WHOLE_DAY)


def test_a_pool_is_excluded_or_unmonitored_while_no_node_of_it_counts(history: History) -> None:
    first, second = history.node("a"), history.node("b")
    watched(history, first, (0, 6), (10, 24))
    history.rolled("minute", second, MIDNIGHT, 8 * 60, latencies=(0.02,))
    history.becomes(second, "maintenance", at("08:00"))
    row = history.of_pool()
    assert (row.counted, row.set_aside, row.unwatched) == (22 * HOURS, 2 * HOURS, 0)


def test_each_pool_is_followed_by_its_nodes_in_order(history: History) -> None:
    for name in ("c", "a", "b"):
        history.node(name)
    assert [row.node for row in history.rows()] == [None, "a", "b", "c"]


def test_an_empty_fleet_makes_an_empty_report(history: History) -> None:
    assert history.rows() == []


def test_a_range_without_length_has_nothing_to_count(history: History) -> None:
    history.failure(history.node(), "10:00", "10:01", "12:00")
    row = history.of_node(at("11:00"), at("11:00"))
    assert (row.availability, row.counted, row.downtime, row.failures, row.checks) == (None, 0, 0, 0, 0)


def test_a_range_of_more_than_400_days_is_cut_at_its_start(history: History) -> None:
    history.node(created=MIDNIGHT - 1000 * DAY)
    assert history.of_node(MIDNIGHT - 900 * DAY).counted == 400 * WHOLE_DAY
