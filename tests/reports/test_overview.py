"""What stands over the table: a sentence that is true, figures of all pools, the days, who failed most."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse

from nodes import reports
from nodes.reports import Report
from tests.reports.conftest import DAY, MIDNIGHT, History, at


@pytest.fixture
def viewer(client: Client, db: None) -> Client:
    client.force_login(User.objects.create_user("vera"))
    return client


def over(history: History, days: int = 1, back: int = 0) -> Report:
    start = MIDNIGHT - back * DAY
    return reports.report(start, start + days * DAY, now=history.now)


def page(client: Client, **query: str) -> str:
    return str(client.get(reverse("nodes:reports"), {"start": "2025-06-02", "end": "2025-06-02", **query}).content.decode())


def test_a_day_without_a_failure_is_said_to_be_available(viewer: Client, history: History) -> None:
    history.node()
    assert "The pool was available all of the measured time." in page(viewer)


def test_the_sentence_names_the_worst_pool_and_counts_the_others(viewer: Client, history: History) -> None:
    history.failure(history.node(), "10:00", "10:01", "10:36")
    other = History("Other", "other")
    other.node("x")
    body = page(viewer)
    assert "API was available 97.5\N{NO-BREAK SPACE}% of the time" in body
    assert "down 36 min 0 s" in body
    assert "1 of 2 pools were never down." in body


def test_means_weigh_each_failure_alike(history: History) -> None:
    node = history.node()
    history.failure(node, "10:00", "10:01", "10:05")
    history.failure(node, "11:00", "11:01", "11:05")
    other = History("Other", "other")
    other.failure(other.node("x"), "12:00", "12:04", "12:10")
    found = reports.summary(over(history))
    assert found.to_detect == pytest.approx((60 + 60 + 240) / 3)
    assert found.to_recover == pytest.approx((240 + 240 + 360) / 3)
    assert (found.failures, found.pools, found.available) == (3, 2, 0)
    assert found.availability == pytest.approx(1 - (300 + 300 + 600) / (2 * 86_400))


def test_each_day_is_counted_as_the_table_counts_it(history: History) -> None:
    node = history.node()
    history.failure(node, at("23:00"), at("23:01"), MIDNIGHT + DAY + timedelta(hours=2))
    history.becomes(node, "maintenance", at("12:00"))
    history.becomes(node, "enabled", at("18:00"))
    found = reports.calendar(over(history, days=2))
    assert found.days == (date(2025, 6, 2), date(2025, 6, 3))
    [api] = found.pools
    single = [reports.report(MIDNIGHT + n * DAY, MIDNIGHT + (n + 1) * DAY, now=history.now).pools[0] for n in (0, 1)]
    assert list(api.cells) == pytest.approx([row.availability for row in single])
    assert api.cells[0] == pytest.approx(1 - 1 / 18)  # an hour down, of the 18 that are not in maintenance


def test_days_before_a_node_was_there_are_not_measured(history: History) -> None:
    history.node(created=MIDNIGHT)
    assert reports.calendar(over(history, days=3, back=2)).pools[0].cells == (None, None, 1.0)


def test_the_worst_pool_comes_first(history: History) -> None:
    history.node()
    other = History("Other", "other")
    other.failure(other.node("x"), "12:00", "12:04", "12:10")
    assert [each.pool for each in reports.calendar(over(history)).pools] == ["Other", "API"]


def test_a_long_range_has_weeks(history: History) -> None:
    history.node(created=MIDNIGHT - 200 * DAY)
    found = reports.calendar(over(history, days=200, back=199))
    assert (found.length, len(found.days)) == (7, 29)
    assert found.pools[0].cells[0] is not None


def test_the_page_draws_the_days_with_their_table(viewer: Client, history: History) -> None:
    history.failure(history.node(), "10:00", "10:01", "10:36")
    body = page(viewer, start="2025-05-30")
    assert "Availability, a day a cell" in body
    assert 'class="chart heat"' in body
    assert '<th scope="col" class="num">2025-06-02</th>' in body


def test_who_failed_most_is_named_with_the_most_frequent_cause(viewer: Client, history: History) -> None:
    first, second = history.node("a"), history.node("b")
    for clock in ("10", "11", "12"):
        history.failure(first, f"{clock}:00", f"{clock}:01", f"{clock}:02")
    history.failure(second, "13:00", "13:01", "13:02")
    found = reports.offenders(over(history))
    assert [(each.row.node, each.row.failures, each.part, each.cause) for each in found] == [
        ("a", 3, 1.0, "health"),
        ("b", 1, pytest.approx(1 / 3), "health"),
    ]
    assert "Top offenders" in page(viewer)


def test_the_page_asks_as_much_for_many_nodes_as_for_few(
    viewer: Client, history: History, django_assert_max_num_queries: Any
) -> None:
    for number in range(3):
        history.failure(history.node(f"n-{number}"), "10:00", "10:01", "10:36")
    with django_assert_max_num_queries(20) as few:
        page(viewer)
    for number in range(3, 30):
        history.failure(history.node(f"n-{number}"), "10:00", "10:01", "10:36")
    with django_assert_max_num_queries(len(few)):
        page(viewer)
