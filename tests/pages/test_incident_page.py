"""The page of an incident: what users felt, the stops, what repeats is folded, notes, the post-mortem, and its size."""

from __future__ import annotations

import gzip
import re
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from nodes import operations, screens
from nodes.engine.enums import Verdict
from nodes.models import Event, Failover, Failure, Incident, Node, NodeState, Pool
from nodes.screens.incident import incident_view
from tests.pages import fleet
from tests.pages.conftest import REFUSED
from tests.pressing import FRAGMENT

MANY = 120


@pytest.fixture
def incident(api: Pool) -> Incident:
    return Incident.objects.get()


@pytest.fixture
def long(incident: Incident) -> Incident:
    """With many more decisions and events than a page shows; the newest is number 119."""
    one, said = Failover.objects.filter(incident=incident).first(), Event.objects.filter(incident=incident).first()
    assert one is not None
    assert said is not None
    for number in range(MANY):
        one.pk, one.epoch, one.at, one.reason = None, None, incident.opened_at + timedelta(hours=number + 1), f"decision {number};"
        one.save(force_insert=True)
        said.pk, said.at, said.message = None, one.at, f"event {number};"
        said.save(force_insert=True)
    return incident


def page_of(client: Client, incident: Incident) -> str:
    text: str = client.get(incident.get_absolute_url()).content.decode()
    return text


def ended(api: Pool, now: datetime) -> Incident:
    fleet.rounds(api, now + timedelta(seconds=4), 12)
    return Incident.objects.get()


def test_it_says_for_how_long_users_were_hit_and_where_their_traffic_went(
    viewer: Client, incident: Incident, now: datetime
) -> None:
    failure = Failure.objects.get()
    assert failure.moved_at is not None
    seconds = (failure.moved_at - failure.first_bad_at).total_seconds()
    page = page_of(viewer, incident)
    assert f"Users were hit for {seconds:.0f}\u00a0s." in page
    assert "25\u00a0% of Public API went to api-1, api-3 and api-4. api-2 is out." in page
    assert "open, served" in page
    assert "<p>25\u00a0% of the traffic</p>" in page


def test_a_share_that_cannot_move_hits_users_until_it_does(viewer: Client, now: datetime) -> None:
    only = fleet.pool("Alone", "alone", ["a-1"], now)
    then = fleet.rounds(only, now - timedelta(seconds=60), 3)
    fleet.rounds(only, then, 4, {"a-1": (Verdict.FAIL, "timed out")})
    shown = incident_view(Incident.objects.get().pk, now)
    assert shown is not None
    assert shown.head.state == "open, users are hit"
    assert shown.head.hue == "bad"
    assert (shown.harm.impact.now, shown.harm.impact.share) == (True, 10_000)
    assert shown.harm.impact.seconds == pytest.approx((now - shown.story.failures[0].first_bad_at).total_seconds())


def test_a_node_without_a_share_hits_nobody(viewer: Client, incident: Incident) -> None:
    Failure.objects.update(had_share=False, moved_at=None)
    assert "No user was hit" in page_of(viewer, incident)


def test_the_eight_stops_come_in_the_order_they_were_reached(viewer: Client, incident: Incident, api: Pool, now: datetime) -> None:
    words = [stop.word for stop in incident_view(incident.pk, now).stops]  # type: ignore[union-attr]
    assert words == [
        "First bad check", "Marked failed", "Decided", "Shares moved", "Notified", "Acknowledged", "Recovery begins", "Recovered",
    ]  # fmt: skip  # one line
    page = page_of(viewer, incident)
    assert page.count('<li class="stop todo') == 4
    assert "6 of 6 guards passed" in page
    assert "25\u00a0% to 3 nodes, epoch 5" in page
    ended(api, now)
    page = page_of(viewer, incident)
    assert page.count('<li class="stop todo') == 2
    assert "nobody did" in page
    gaps = [stop.gap for stop in incident_view(incident.pk, now).stops if stop.gap is not None]  # type: ignore[union-attr]
    assert gaps[0] == pytest.approx(10, abs=0.1)
    assert all(gap >= 0 for gap in gaps)


def test_a_closed_incident_is_calm(viewer: Client, incident: Incident, api: Pool, now: datetime) -> None:
    ended(api, now)
    page = page_of(viewer, incident)
    head = page[page.index('id="status"') : page.index('<div class="page incident">')]
    assert '<span class="state ok">' in head
    assert "Resolved after" in head
    assert "bad" not in re.findall(r'class="([^"]*)"', head)


def test_what_repeats_is_folded_and_can_be_opened(viewer: Client, long: Incident) -> None:
    page = page_of(viewer, long)
    assert f"<b>× {MANY + 1}</b>, show {MANY + 1}" in page  # those of the fixture, and the one that they are copies of
    assert page.index("event 119;") < page.index("event 118;") < page.index("event 70;")
    assert "event 59;" not in page
    assert "and 61 more like these" in page


def test_it_shows_the_newest_decisions_and_leads_to_the_others(viewer: Client, long: Incident) -> None:
    page = page_of(viewer, long)
    assert page.index("decision 119;") < page.index("decision 118;") < page.index("decision 117;")
    assert "decision 116;" not in page
    assert "api-2 failed 3 checks in a row</dd>" in page  # of the first
    assert (
        f'4 of 121 decisions: the first failover and the newest; <a href="{reverse("nodes:incident_decisions", args=[long.pk])}">'
        in page
    )


@pytest.mark.parametrize(("name", "what"), [("decisions", "decision"), ("events", "event")])
def test_the_older_ones_are_paged(viewer: Client, long: Incident, name: str, what: str) -> None:
    address = reverse(f"nodes:incident_{name}", args=[long.pk])
    second = viewer.get(address, {"page": "2"}).content.decode()
    assert f"{what} 69;" in second
    assert f"{what} 70;" not in second
    assert "51 to 100 of 12" in second
    assert 'rel="prev"' in second
    assert 'rel="next"' in second


@pytest.mark.parametrize("page", ["0", "-3", "99999999999999999999", "x", "%00", ""])
def test_a_page_that_there_is_not_is_the_nearest(viewer: Client, incident: Incident, page: str) -> None:
    assert viewer.get(reverse("nodes:incident_events", args=[incident.pk]), {"page": page}).status_code == 200


def test_an_incident_that_there_is_not(viewer: Client, api: Pool) -> None:
    for name in ("incident_decisions", "incident_events", "post_mortem", "post_mortem_file", "incident_shares"):
        assert viewer.get(reverse(f"nodes:{name}", args=[1_000_000])).status_code == 404


def test_a_thousand_decisions_fit_in_a_hundred_kilobytes_and_few_queries(
    operator: Client, incident: Incident, django_assert_max_num_queries: Any
) -> None:
    address = incident.get_absolute_url()
    operator.get(address)
    with django_assert_max_num_queries(8) as few:
        operator.get(address)
    decision = Failover.objects.get(incident=incident)
    event = Event.objects.filter(incident=incident, failover=decision).first()
    failure = Failure.objects.get()
    assert event is not None
    for number in range(1000):
        at = incident.opened_at + timedelta(minutes=number)
        decision.pk, decision.epoch, decision.at = None, 1000 + number, at
        decision.save(force_insert=True)
        event.pk, event.at, event.failover_id, event.message = None, at, decision.pk, f"{number} % moved"
        event.type = ("failover_started", "recovery_completed", "breaker_opened")[number * number % 7 % 3]
        event.save(force_insert=True)
        failure.pk, failure.first_bad_at, failure.marked_at, failure.moved_at = None, at, at, at
        failure.save(force_insert=True)
    with django_assert_max_num_queries(len(few)):
        page = operator.get(address).content
    assert len(gzip.compress(page)) < 100_000


def test_notes_are_added_after_it_is_acknowledged(operator: Client, incident: Incident, api: Pool, now: datetime) -> None:
    address = reverse("nodes:incident_note", args=[incident.pk])
    early = operator.post(address, {"note": "too early"}, headers=FRAGMENT)
    assert (early.status_code, "Acknowledge the incident first" in early.content.decode()) == (409, True)
    assert "Add a note…" not in page_of(operator, incident)
    operations.acknowledge(incident.pk, actor="mara", note="looking at the node")
    assert operator.post(address, {"note": "<b>restarted</b> it"}, headers=FRAGMENT).status_code == 200
    page = page_of(operator, incident)
    assert "operator noted: &lt;b&gt;restarted&lt;/b&gt; it" in page
    assert "Add a note…" in page
    ended(api, now)
    assert operator.post(address, {"note": "a week later"}).status_code == 302
    assert Event.objects.filter(incident=incident, type="note_added").count() == 2


@pytest.mark.parametrize("note", ["", " ", "x" * 301])
def test_a_note_that_is_none_is_refused(operator: Client, incident: Incident, note: str) -> None:
    operations.acknowledge(incident.pk, actor="mara", note="")
    assert operator.post(reverse("nodes:incident_note", args=[incident.pk]), {"note": note}, headers=FRAGMENT).status_code == 409
    assert not Event.objects.filter(type="note_added").exists()


def test_a_viewer_adds_no_note(viewer: Client, incident: Incident) -> None:
    operations.acknowledge(incident.pk, actor="mara", note="")
    assert viewer.post(reverse("nodes:incident_note", args=[incident.pk]), {"note": "x"}).status_code == 403
    assert "Add a note…" not in page_of(viewer, incident)


def test_a_note_moves_the_pool_so_that_open_pages_read_it(operator: Client, incident: Incident, api: Pool) -> None:
    operations.acknowledge(incident.pk, actor="mara", note="")
    before = api.state.version
    operations.add_note(incident.pk, actor="mara", note="restarted")
    api.state.refresh_from_db()
    assert api.state.version > before


def test_incidents_of_the_same_node_before_are_named_with_their_end(viewer: Client, api: Pool, now: datetime) -> None:
    first = ended(api, now)
    then = fleet.rounds(api, now + timedelta(hours=1), 2)
    fleet.rounds(api, then, 4, REFUSED)
    second = Incident.objects.exclude(pk=first.pk).get()
    shown = incident_view(second.pk, now + timedelta(hours=2))
    assert shown is not None
    (like,) = shown.similar
    assert (like.id, like.alike, like.ended) == (first.pk, "same node", "recovered by itself")
    assert f'<a href="{first.get_absolute_url()}">{first.pk}</a>' in page_of(viewer, second)
    assert incident_view(first.pk, now).similar == ()  # type: ignore[union-attr]


def test_where_the_traffic_went_is_a_chart_with_a_table_and_a_file(viewer: Client, incident: Incident) -> None:
    page = page_of(viewer, incident)
    assert 'aria-label="Shares of Public API' in page
    assert "25\u00a0% moved off api-2" in page
    svg = viewer.get(reverse("nodes:incident_shares", args=[incident.pk]))
    assert svg["Content-Type"] == "image/svg+xml"
    assert b"api-2" in svg.content


def test_the_post_mortem_is_text_whatever_the_names_hold(operator: Client, incident: Incident) -> None:
    evil = "<script>alert(1)</script> [x](javascript:y) *b* `c` | d http://evil.example\n# e"
    Node.objects.filter(name="api-2").update(name=evil[:60])
    Pool.objects.update(name=evil[:60])
    Incident.objects.update(summary=evil)
    operations.acknowledge(incident.pk, actor="mara", note=evil)
    page = operator.get(reverse("nodes:post_mortem", args=[incident.pk])).content.decode()
    assert "<script>alert" not in page
    answer = operator.get(reverse("nodes:post_mortem_file", args=[incident.pk]))
    text = answer.content.decode()
    assert answer["Content-Type"].startswith("text/markdown")
    assert (
        "\\<script\\>alert(1)\\</script\\> \\[x\\](javascript:y) \\*b\\* \\`c\\` \\| d http\\://evil.example # e"
        in text.replace("\\#", "#")
    )
    assert re.search(r"(?<!\\)<", text) is None
    assert "\n# e" not in text
    assert "## What went well?" in text


def test_a_live_incident_has_its_fragments(api: Pool, incident: Incident, now: datetime) -> None:
    screen = screens.incident(incident.pk, now)
    assert screen is not None
    assert list(screen.fragments) == ["status", "acknowledgement", "impact", "stops", "band", "decisions", "events"]
    NodeState.objects.update(breaker_state="open", breaker_opened_at=now, breaker_wait=30.0)
    later = screens.incident(incident.pk, now)
    assert later is not None
    changed = [name for name, each in later.fragments.items() if each.subject != screen.fragments[name].subject]
    assert changed == ["stops"]
