"""The page of events: filters, the search by its index, one event, files, and what comes in while somebody looks."""

from __future__ import annotations

import csv
import io
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlencode

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone
from hypothesis import given, settings
from hypothesis import strategies as st

from nodes import operations, screens
from nodes.engine.enums import EventType
from nodes.forms.filters import EventFilter
from nodes.hub import Topic
from nodes.models import Event, Node, Pool
from nodes.screens.event_kinds import TYPES, kind_of
from nodes.screens.event_search import EVERYTHING, EventSearch
from nodes.views import events as views

EVENTS = "/events/"


def messages(client: Client, **asked: object) -> list[str]:
    return [line.message for line in client.get(EVENTS, asked).context["listed"].events]


def plans(search: EventSearch, *without: str) -> str:
    """How PostgreSQL finds what a search asks for, when it may not do what is cheap for few rows alone."""
    with CaptureQueriesContext(connection) as captured:
        search.newest(50)
    with connection.cursor() as cursor:
        cursor.execute("; ".join(f"SET LOCAL enable_{each} = off" for each in ("seqscan", *without)))
        found = []
        for query in captured.captured_queries:
            cursor.execute(f"EXPLAIN {query['sql']}")
            found += [row[0] for row in cursor.fetchall()]
        cursor.execute("; ".join(f"SET LOCAL enable_{each} = on" for each in ("seqscan", *without)))
    return "\n".join(found)


def test_every_type_of_event_is_of_one_kind() -> None:
    assert sorted(kind for types in TYPES.values() for kind in types) == sorted(EventType)
    assert kind_of("quantum_flux") is None


def test_each_filter_alone(viewer: Client, api: Pool, failed: Node, now: datetime) -> None:
    operations.pause(api.pk, actor="mara", reason="change freeze", until=None)
    assert messages(viewer, severity="critical") == ["api-2 failed 3 checks in a row: connection refused"]
    assert messages(viewer, by="people") == ["mara paused the automation of Public API: change freeze"]
    assert not any("mara" in each for each in messages(viewer, by="automation"))
    assert all("check" in each or "degraded" in each for each in messages(viewer, kind="check"))
    assert any("checks in a row" in each for each in messages(viewer, kind="check"))
    assert {each.partition(" ")[0] for each in messages(viewer, node=failed.pk, kind="check")} == {"api-2"}
    assert messages(viewer, pool="public-api", since="2999-01-01T00:00") == []


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("refused", True), ("REFUSED connection", True), ("conn refu", True), ("api-2 refused", True), ("api-3 refused", False),
        ("fused", False), ("checks row", True), ("' ' refused", True), ("refused\\", True), ("!!! refused", True),
    ],
)  # fmt: skip  # a table
def test_words_are_found_in_any_order_from_their_beginning_on(viewer: Client, api: Pool, text: str, found: bool) -> None:
    assert ("api-2 failed 3 checks in a row: connection refused" in messages(viewer, text=text)) is found


@pytest.mark.parametrize("text", ["&", "|", "!", "(", "a & b", "':*", "\\'", ":*", "<->", "'"])
def test_operators_are_no_operators(viewer: Client, api: Pool, text: str) -> None:
    assert viewer.get(EVENTS, {"text": text}).status_code == 200


@pytest.mark.django_db
def test_the_search_reads_the_index_of_words() -> None:
    assert "event_words" in plans(EventSearch(text="refused"), "indexscan")


@pytest.mark.django_db
def test_what_people_did_and_what_is_grave_have_indexes_of_their_own() -> None:
    assert "event_by_person" in plans(EventSearch(by="people"), "sort")
    assert "event_grave" in plans(EventSearch(severity="critical"), "sort")


def test_an_event_has_an_address_with_what_belongs_to_it(viewer: Client, api: Pool, failed: Node) -> None:
    event = Event.objects.get(type="node_marked_failed")
    address = reverse("nodes:event", args=[event.pk])
    assert f'<a class="at" href="{address}">' in viewer.get(EVENTS).content.decode()
    page = viewer.get(address).content.decode()
    assert "<dt>share</dt><dd>2500</dd>" in page
    assert "25\u00a0% of Public API moved" in page or "25 % of Public API moved" in page  # the same change
    assert f'href="{failed.get_absolute_url()}"' in page
    assert viewer.get(reverse("nodes:event", args=[10**9])).status_code == 404


def test_files_hold_what_the_page_shows(viewer: Client, api: Pool) -> None:
    query = urlencode({"pool": "public-api", "kind": "check"})
    shown = viewer.get(f"{EVENTS}?{query}").context["listed"].events
    rows = list(csv.DictReader(io.StringIO(viewer.get(f"/events.csv?{query}").content.decode())))
    stored = viewer.get(f"/events.json?{query}").json()
    assert [int(row["id"]) for row in rows] == [each["id"] for each in stored["events"]] == [line.id for line in shown]
    assert [row["message"] for row in rows] == [line.message for line in shown]
    assert stored["cut"] is False
    assert viewer.get("/events.csv?severity=shrill").status_code == viewer.get("/events.json?until=never").status_code == 400


def test_no_cell_of_a_file_is_a_formula(viewer: Client, api: Pool) -> None:
    Event.objects.filter(type="node_marked_failed").update(message="=HYPERLINK(1)", actor="@mara")
    text = viewer.get("/events.csv?severity=critical").content.decode()
    assert '"\'=HYPERLINK(1)"' in text
    assert '"\'@mara"' in text


def test_a_file_says_when_it_is_cut(viewer: Client, api: Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(views, "EXPORTED", 3)
    assert "the newest 3 only" in viewer.get("/events.csv").content.decode().splitlines()[-1]
    stored = viewer.get("/events.json").json()
    assert (stored["cut"], len(stored["events"])) == (True, 3)


def test_many_events_take_as_few_queries(viewer: Client, api: Pool, now: datetime, django_assert_max_num_queries: Any) -> None:
    viewer.get(EVENTS)
    with django_assert_max_num_queries(8) as few:
        viewer.get(EVENTS, {"pool": "public-api", "text": "api"})
    Event.objects.bulk_create(
        Event(at=now - timedelta(seconds=n), type="rebalanced", severity="info", actor="engine", pool=api, message=f"api {n}")
        for n in range(300)
    )
    with django_assert_max_num_queries(len(few)):
        viewer.get(EVENTS, {"pool": "public-api", "text": "api"})


WORDS = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=12).map(lambda text: "".join(text.split()))


@given(
    text=WORDS, pool=st.sampled_from(["", "a-b"]), by=st.sampled_from(["", "people", "automation"]), node=st.none() | st.integers(1)
)
@settings(deadline=None)
def test_a_search_is_known_by_its_key(text: str, pool: str, by: str, node: int | None) -> None:
    search = EventSearch(text=text, pool=pool, by=by, node=node if node and node < 10**18 else None, since=None)
    assert EventSearch.of(search.key) == search


@pytest.mark.parametrize(
    "key",
    [
        "",
        "severity",
        "nosuch=1",
        "kind=quantum",
        "by=ghosts",
        "node=x",
        "since=never",
        "since=2026-01-01T00:00:00",
        "since=2026-01-01T00%3A00%3A00%2B23%3A00",  # PostgreSQL knows no such offset
        "since=0001-01-01T00%3A00%3A00%2B00%3A00",
        f"text={'a' * 101}",
        "text=%00",
        "x" * 700,
    ],
)
def test_what_is_no_key_is_no_live_page(key: str) -> None:
    assert EventSearch.of(key) is None


def test_the_page_is_live_under_the_key_that_it_names(viewer: Client, api: Pool, now: datetime) -> None:
    asked = {"pool": "public-api", "text": "refused connection", "since": "2026-01-01T00:00"}
    key = viewer.get(EVENTS, asked).context["key"]
    topic = Topic.asked({"events": [key]})
    assert topic is not None
    screen = topic.read(now)
    assert screen is not None
    assert screen.context["listed"] == viewer.get(EVENTS, asked).context["listed"]
    assert 'ws-connect="/ws/live/?events=pool%3Dpublic-api' in viewer.get(EVENTS, asked).content.decode()
    form = EventFilter(asked)
    assert form.is_valid()
    assert form.search().key == key
    assert viewer.get(f"{EVENTS}?{key}").context["key"] == key


def test_an_event_that_commits_late_takes_its_place(api: Pool, now: datetime) -> None:
    """A lower number, or an earlier instant, than one that is shown."""
    first = screens.events(EVERYTHING, now)
    late = Event.objects.create(
        at=now - timedelta(seconds=20), type="rebalanced", severity="info", actor="engine", pool=api, message="late"
    )
    second = screens.events(EVERYTHING, now)
    assert first is not None
    assert second is not None
    shown = second.context["listed"].events
    assert late.pk in [line.id for line in shown[1:]]
    assert [line for line in shown if line.id != late.pk] == list(first.context["listed"].events)


def test_of_many_words_the_longest_are_looked_for(db: None) -> None:
    message = "aa bb cc dddd eeeee ffffff ggggggg hhhhhhhh iiiiiiiii"
    Event.objects.create(type="config_changed", severity="info", actor="ann", message=message, at=timezone.now())
    assert len(EventSearch(text=message).newest(5)) == 1
    assert len(EventSearch(text=f"x y {message}").newest(5)) == 1, "short words are left out where there are enough"
    assert len(EventSearch(text=f"{message} nowhere").newest(5)) == 0


def test_an_offset_that_postgresql_does_not_know_is_an_instant_all_the_same(viewer: Client, api: Pool) -> None:
    answer = viewer.get(reverse("nodes:events"), {"since": "2026-01-01T00:00:00+23:00"})
    assert answer.status_code == 200
