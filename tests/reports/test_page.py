"""The page, CSV and JSON: one query, the same numbers, each with its rule; an unclear query is answered and kept."""

from __future__ import annotations

import csv
import html
import io
import json
import re
from dataclasses import asdict
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from nodes.models import EventType
from nodes.reports import GROUPS, RULES, group, report
from nodes.templatetags.report import figure
from tests.reports.conftest import MIDNIGHT, History, at

QUERY = {"start": "2025-06-02", "end": "2025-06-02"}


@pytest.fixture
def viewer(client: Client, db: None) -> Client:
    client.force_login(User.objects.create_user("vera"))
    return client


@pytest.fixture
def busy(history: History) -> History:
    """Two nodes, one of which failed, was in maintenance and answered."""
    node = history.node("a")
    history.node("b")
    history.failure(node, "10:00", "10:01", "10:36", moved="10:01:00.5")
    history.becomes(node, "maintenance", at("20:00"))
    history.event(node, EventType.RECOVERY_STARTED, at("10:30"))
    history.event(node, EventType.RECOVERY_COMPLETED, at("10:36"))
    history.rolled("minute", node, at("09:00"), latencies=(0.02, 0.03, 0.5), unknowns=1)
    return history


def ask(client: Client, name: str = "reports", **query: str) -> Any:
    return client.get(reverse(f"nodes:{name}"), query)


def cells(body: str) -> list[list[str]]:
    """The table of pools and nodes: a list of texts for each row."""
    rows = re.findall(r"<tr[ >].*?</tr>", body.partition('<tbody id="report-rows">')[2].partition("</tbody>")[0], re.DOTALL)
    return [[html.unescape(re.sub(r"<[^>]+>", "", cell)).strip() for cell in re.findall(r"<t[hd].*?</t[hd]>", row)] for row in rows]


def table(client: Client, **query: str) -> list[list[str]]:
    """All columns of that table in the order of the rules, from the groups that the page shows one at a time."""
    found: list[dict[str, str]] = []
    for name in GROUPS:
        for number, (who, *figures) in enumerate(cells(ask(client, show=name, **query).content.decode())):
            if number == len(found):
                found.append({"who": who})
            found[number] |= dict(zip((column.key for column in group(name)), figures, strict=True))
    return [[row["who"], *(row[column.key] for column in RULES)] for row in found]


def lines(answer: Any) -> list[dict[str, str]]:
    """The rows of the CSV, without the rules that follow."""
    return [row for row in csv.DictReader(io.StringIO(answer.content.decode())) if not row["start"].startswith("#")]


# The same numbers ----------------------------------------------------------------------------------------------------------


def test_json_holds_the_range_and_every_figure(viewer: Client, busy: History) -> None:
    answer = ask(viewer, "reports_json", **QUERY)
    document = json.loads(answer.content)
    expected = report(MIDNIGHT, MIDNIGHT + timedelta(days=1), now=timezone.now())
    assert answer["Content-Type"] == "application/json"
    assert (document["start"], document["end"]) == ("2025-06-02T00:00:00+00:00", "2025-06-03T00:00:00+00:00")
    assert document["rows"] == json.loads(json.dumps([asdict(row) for row in expected.rows], default=datetime.isoformat))
    assert document["rows"][1]["downtime"] == 36 * 60


def test_csv_holds_the_numbers_of_json(viewer: Client, busy: History) -> None:
    answer = ask(viewer, "reports_csv", **QUERY)
    assert answer["Content-Type"] == "text/csv; charset=utf-8"
    assert answer["Content-Disposition"] == 'attachment; filename="failover-report.csv"'
    document = json.loads(ask(viewer, "reports_json", **QUERY).content)
    span = {"start": document["start"], "end": document["end"]}
    assert lines(answer) == [
        {name: "" if value is None else str(value) for name, value in (span | row).items()} for row in document["rows"]
    ]


def test_the_page_shows_the_numbers_of_json(viewer: Client, busy: History) -> None:
    shown = table(viewer, **QUERY)
    rows = report(MIDNIGHT, MIDNIGHT + timedelta(days=1), now=timezone.now()).rows
    assert shown == [[row.node or row.pool, *(figure(row, column) for column in RULES)] for row in rows]


def test_the_page_reads_as_a_person_counts(viewer: Client, busy: History) -> None:
    shown = dict(zip(["who", *(column.title for column in RULES)], table(viewer, **QUERY)[1], strict=True))
    plain = {title: text.replace("\u00a0", " ") for title, text in shown.items()}
    assert plain["who"] == "a"
    assert plain["Availability"] == "97 %"
    assert (plain["Downtime"], plain["Measured time"], plain["Excluded"]) == ("36 min 0 s", "20 h 0 min", "4 h 0 min")
    assert (plain["Time to fail over"], plain["Failures"], plain["Recovery success"]) == ("0.5 s", "1", "100 %")
    assert (plain["Recoveries"], plain["Last failure"]) == ("1", "2025-06-02 10:01:00")
    assert (plain["Unknown checks"], plain["Checks"], plain["Rejected trials"]) == ("25 %", "4", "0")


def test_nothing_to_count_is_a_dash(viewer: Client, history: History) -> None:
    history.node()
    assert table(viewer, **QUERY)[1].count("–") == 13


def test_one_pool_can_be_asked_for_alone(viewer: Client, busy: History) -> None:
    other = History("Other", "other")
    other.node("x")
    assert {row[0] for row in cells(ask(viewer, **QUERY).content.decode())} == {"API", "Other", "a", "b", "x"}
    assert {row[0] for row in cells(ask(viewer, **QUERY, pool="other").content.decode())} == {"Other", "x"}
    assert [row["pool"] for row in lines(ask(viewer, "reports_csv", **QUERY, pool="other"))] == ["Other", "Other"]


def test_a_node_that_was_removed_is_still_in_its_history(viewer: Client, history: History) -> None:
    history.node(removed=at("12:00"))
    assert [row[0] for row in cells(ask(viewer, **QUERY).content.decode())] == ["API", "a"]


# How it is counted ---------------------------------------------------------------------------------------------------------


def test_every_column_leads_to_its_rule(viewer: Client, busy: History) -> None:
    bodies = {name: ask(viewer, show=name, **QUERY).content.decode() for name in GROUPS}
    assert sorted(key for keys in GROUPS.values() for key in keys) == sorted(column.key for column in RULES)
    for shown, column in ((name, column) for name in GROUPS for column in group(name)):
        body = bodies[shown]
        assert f'<a href="#rule-{column.key}">{column.title}</a>' in body
        assert f'<div id="rule-{column.key}"><dt>{column.title}</dt><dd>{html.escape(column.rule)}</dd>' in body


def test_the_rules_go_with_the_exports(viewer: Client, busy: History) -> None:
    rules = {column.key: column.rule for column in RULES}
    assert json.loads(ask(viewer, "reports_json", **QUERY).content)["rules"] == rules
    written = csv.reader(io.StringIO(ask(viewer, "reports_csv", **QUERY).content.decode()))
    assert {row[0].removeprefix("# "): row[1] for row in written if row[0].startswith("#")} == rules


def test_every_figure_of_the_exports_has_a_rule(busy: History) -> None:
    [first, *_] = busy.rows()
    assert {"pool", "node", *(column.key for column in RULES)} == asdict(first).keys()


# What is unclear -----------------------------------------------------------------------------------------------------------

UNCLEAR = [
    ({"start": "2025-06-09", "end": "2025-06-02"}, "The range ends before it begins."),
    ({"start": "2999-01-01"}, "The range ends before it begins."),
    ({"start": "2999-01-01", "end": "2999-01-02"}, "The range begins in the future."),
    ({"start": "yesterday"}, "“yesterday” is no date"),
    ({"start": "2025-02-30"}, "“2025-02-30” is no date"),
    ({"start": "2025-06-02T25:00"}, "“2025-06-02T25:00” is no date"),
    ({"end": "9999-12-31"}, "“9999-12-31” is no date"),
    ({"end": "0001-01-01"}, "“0001-01-01” is no date"),
    ({"start": "0001-01-01T00:00:00+14:00", "end": "2025-06-02"}, "is no date"),
    ({"range": "5y"}, "There is no range “5y”; there are 1d, 7d, 30d, 90d, 1y."),
    ({"pool": "nowhere"}, "There is no pool with the slug “nowhere”."),
]


@pytest.mark.parametrize(("query", "sentence"), UNCLEAR)
def test_the_page_says_what_is_unclear_and_shows_the_last_days(viewer: Client, query: dict[str, str], sentence: str) -> None:
    answer = ask(viewer, **query)
    assert answer.status_code == 200
    assert f"{sentence}" in answer.context["problem"]
    assert html.escape(answer.context["problem"]) + " The last seven days are shown instead." in answer.content.decode()
    assert answer.context["report"].end - answer.context["report"].start == timedelta(days=7)


@pytest.mark.parametrize(("query", "sentence"), UNCLEAR)
@pytest.mark.parametrize("name", ["reports_csv", "reports_json"])
def test_exports_refuse_what_is_unclear(viewer: Client, name: str, query: dict[str, str], sentence: str) -> None:
    answer = ask(viewer, name, **query)
    assert answer.status_code == 400
    assert sentence in answer.json()["error"]


def test_the_form_keeps_what_was_typed(viewer: Client, busy: History) -> None:
    body = ask(viewer, start="2025-06-09", end='"><b>', pool="api").content.decode()
    assert 'name="start" type="date" value="2025-06-09"' in body
    assert 'name="end" type="date" value="&quot;&gt;&lt;b&gt;"' in body
    assert '<option value="api" selected>API</option>' in body
    assert 'aria-current="true">7d' not in body  # dates of one's own are no range by name
    assert "reports.csv?start=2025-06-09&amp;end=%22%3E%3Cb%3E&amp;pool=api" in body


def test_an_empty_form_is_the_last_seven_days(viewer: Client) -> None:
    answer = ask(viewer, range="", start="", end="", pool="")
    assert (answer.context["problem"], answer.context["range"]) == ("", "7d")
    assert answer.context["report"].end - answer.context["report"].start == timedelta(days=7)
    assert "No node existed in this range." in answer.content.decode()


# Ranges --------------------------------------------------------------------------------------------------------------------


def asked(client: Client, **query: str) -> tuple[datetime, datetime]:
    document = json.loads(ask(client, "reports_json", **query).content)
    return datetime.fromisoformat(document["start"]), datetime.fromisoformat(document["end"])


@pytest.mark.parametrize(("name", "days"), [("1d", 1), ("7d", 7), ("30d", 30), ("90d", 90), ("1y", 365)])
def test_a_named_range_ends_now(viewer: Client, name: str, days: int) -> None:
    before = timezone.now()
    start, end = asked(viewer, range=name)
    assert before <= end <= timezone.now()
    assert end - start == timedelta(days=days)


def test_the_last_day_is_meant_with_all_its_hours(viewer: Client) -> None:
    assert asked(viewer, start="2025-06-02", end="2025-06-03") == (MIDNIGHT, MIDNIGHT + timedelta(days=2))


def test_times_of_day_and_zones_are_understood(viewer: Client) -> None:
    assert asked(viewer, start="2025-06-02T10:00", end="2025-06-02T14:30:00+02:00") == (at("10:00"), at("12:30"))


def test_an_end_alone_is_the_end_of_the_named_range(viewer: Client) -> None:
    assert asked(viewer, end="2025-06-02", range="1d") == (MIDNIGHT, MIDNIGHT + timedelta(days=1))


def test_an_end_in_the_future_is_cut_to_now(viewer: Client) -> None:
    _, end = asked(viewer, start="2025-06-02", end="2999-01-01")
    assert end <= timezone.now()


def test_a_range_that_is_cut_says_so(viewer: Client) -> None:
    sentence = "the first days of the range are left out"
    assert sentence in ask(viewer, start="2020-01-01", end="2024-01-01").content.decode()
    assert sentence not in ask(viewer, **QUERY).content.decode()


# Harmless and guarded ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["=1+1", "+1", "-1", "@SUM(A1)"])
def test_no_cell_of_the_csv_is_run_by_a_spreadsheet(viewer: Client, name: str) -> None:
    history = History(name, "odd")
    history.node(name)
    written = csv.reader(io.StringIO(ask(viewer, "reports_csv", **QUERY).content.decode(), newline=""))
    named = [cell for row in written for cell in row if name in cell]
    assert named == [f"'{name}"] * 3


def test_a_name_with_commas_and_quotes_stays_one_cell(viewer: Client) -> None:
    name = 'a "b", c d'
    History(name, "odd").node("x")
    written = csv.DictReader(io.StringIO(ask(viewer, "reports_csv", **QUERY).content.decode(), newline=""))
    assert [row["pool"] for row in written if row["node"] == "x"] == [name]


def test_a_name_is_shown_as_text_on_the_page(viewer: Client) -> None:
    History("<script>", "odd").node("<b>x")
    body = ask(viewer, **QUERY).content.decode()
    assert "&lt;b&gt;x" in body
    assert "<b>x" not in body


@pytest.mark.parametrize("name", ["reports", "reports_csv", "reports_json"])
def test_strangers_are_sent_to_the_login(client: Client, db: None, name: str) -> None:
    answer = ask(client, name)
    assert answer.status_code == 302
    assert answer["Location"].startswith(reverse("account_login"))


@pytest.mark.parametrize("name", ["reports", "reports_csv", "reports_json"])
def test_a_report_is_only_read(viewer: Client, name: str) -> None:
    assert viewer.post(reverse(f"nodes:{name}")).status_code == 405


def test_the_number_of_questions_does_not_grow_with_the_fleet(history: History, django_assert_max_num_queries: Any) -> None:
    for number in range(20):
        history.node(f"n-{number}")
    with django_assert_max_num_queries(12):
        assert len(history.rows()) == 21
