"""Every page, read by people of each role."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from nodes import operations
from nodes.engine.enums import Verdict
from nodes.models import Event, Failover, Incident, Lease, Node, NodeState, Pool
from tests.pages import fleet

LIVE = {"HX-Request": "true", "HX-Target": "live"}
PAGES = ("nodes:dashboard", "nodes:events", "nodes:incidents")


def addresses() -> list[str]:
    return [
        *(reverse(name) for name in PAGES),
        *(each.get_absolute_url() for model in (Pool, Node, Incident, Failover) for each in model._default_manager.all()),
    ]


@pytest.mark.usefixtures("api")
def test_a_viewer_reads_every_page_and_sees_no_button(viewer: Client) -> None:
    for address in addresses():
        response = viewer.get(address)
        assert response.status_code == 200, address
        assert b'name="action"' not in response.content, address
        assert b"Acknowledge</button>" not in response.content, address


@pytest.mark.usefixtures("api")
def test_every_answer_varies_by_what_asked_for_it(viewer: Client) -> None:
    for address in addresses():
        for headers in ({}, LIVE):
            vary = viewer.get(address, headers=headers)["Vary"]
            assert "HX-Request" in vary, address
            assert "HX-Target" in vary, address


@pytest.mark.usefixtures("api")
def test_a_live_part_is_the_page_without_its_frame(viewer: Client) -> None:
    for address in addresses():
        part = viewer.get(address, headers=LIVE).content
        assert b"<html" not in part, address
        assert b'id="live"' in part, address
        assert b"<main" not in part, address


def test_a_stranger_is_sent_to_the_login(api: Pool) -> None:
    for address in addresses():
        response = Client().get(address)
        assert response.status_code == 302, address
        assert response["Location"].startswith(reverse("account_login")), address


@pytest.mark.django_db
def test_a_live_part_without_a_session_sends_the_whole_page_to_the_login() -> None:
    response = Client().get(reverse("nodes:dashboard"), headers={**LIVE, "HX-Current-URL": "http://testserver/"})
    assert response.status_code == 200
    assert response["HX-Redirect"].startswith(reverse("account_login"))
    assert not response.content


@pytest.mark.usefixtures("api")
def test_pages_are_only_read(operator: Client) -> None:
    assert {operator.post(address).status_code for address in addresses()} == {405}


@pytest.mark.django_db
def test_what_does_not_exist_is_not_found(viewer: Client) -> None:
    for name, key in (("pool", "none"), ("node", 404), ("incident", 404), ("failover", 404)):
        response = viewer.get(reverse(f"nodes:{name}", args=[key]))
        assert response.status_code == 404
        assert b"There is nothing here" in response.content


def test_the_dashboard_says_the_worst_first(viewer: Client, api: Pool, now: datetime) -> None:
    fleet.rounds(fleet.pool("Quiet", "quiet", ["q-1"], now), now, 2)
    text = viewer.get(reverse("nodes:dashboard")).content.decode()
    assert "Public API</a> is served by api-1, api-3 and api-4: api-2 refuses connections</h1>" in text
    assert "<title>▲ Public API degraded · Dashboard" in text
    assert "favicon-less_reserve.svg" in text
    quiet = Pool.objects.get(slug="quiet")
    assert text.index(f'id="pool-{api.pk}"') < text.index(f'id="pool-{quiet.pk}"')
    assert "33.33\u00a0%" in text


@pytest.mark.django_db
def test_an_empty_console_says_what_comes_first(operator: Client) -> None:
    assert b"No pool yet" in operator.get(reverse("nodes:dashboard")).content


def test_the_dashboard_is_never_green_while_checks_are_overdue(viewer: Client, now: datetime) -> None:
    fleet.rounds(fleet.pool("Quiet", "quiet", ["q-1"], now), now - timedelta(seconds=6), 2)
    NodeState.objects.update(due_at=now - timedelta(seconds=60))
    text = viewer.get(reverse("nodes:dashboard")).content.decode()
    assert "1 check is overdue; nobody is notified, no alert runner lives." in text
    assert 'class="verdict less_reserve"' in text


def test_the_dashboard_is_never_green_while_nobody_is_notified(viewer: Client, now: datetime) -> None:
    fleet.rounds(fleet.pool("Quiet", "quiet", ["q-1"], now), now, 2)
    fleet.runners(now)
    assert viewer.get(reverse("nodes:dashboard")).context["headline"].tone == "ok"
    Lease.objects.filter(kind="alerts").delete()
    shown = viewer.get(reverse("nodes:dashboard")).context["headline"]
    assert (shown.tone, shown.third.as_text(0.0)) == ("warn", "Nobody is notified, no alert runner lives.")


def headline(client: Client) -> str:
    """What it says first."""
    return str(client.get(reverse("nodes:dashboard")).context["headline"].first.as_text(0.0))


def test_a_pool_is_healthy_degraded_or_down_by_its_eligible_nodes(viewer: Client, now: datetime) -> None:
    quiet = fleet.pool("Quiet", "quiet", ["q-1", "q-2"], now)
    assert headline(viewer) == "Quiet is not in service yet: no node has passed a check"
    then = fleet.rounds(quiet, now - timedelta(seconds=9), 2, every=1.0)
    assert headline(viewer) == "Quiet is served"
    then = fleet.rounds(quiet, then, 1, {"q-1": (Verdict.WARN, "slow")}, every=1.0)
    assert headline(viewer) == "Quiet is served"
    then = fleet.rounds(quiet, then, 3, {"q-1": (Verdict.FAIL, "timed out")}, every=1.0)
    assert headline(viewer) == "Quiet is served by q-2: q-1 gives no answer"
    both = dict.fromkeys(("q-1", "q-2"), (Verdict.FAIL, "timed out"))
    fleet.rounds(quiet, then, 3, both, every=1.0)
    assert headline(viewer) == "Quiet is down: both nodes give no answer"
    NodeState.objects.update(admin_state="disabled", share=0)
    assert headline(viewer) == "Quiet is not in service"


def test_a_failover_that_a_pause_blocks_is_pending_on_dashboard_and_pool(viewer: Client, now: datetime) -> None:
    quiet = fleet.pool("Quiet", "quiet", ["q-1", "q-2"], now)
    then = fleet.rounds(quiet, now - timedelta(seconds=9), 2, every=1.0)
    operations.pause(quiet.pk, actor="alice", reason="change freeze", until=None)
    fleet.rounds(quiet, then, 3, {"q-1": (Verdict.FAIL, "timed out")}, every=1.0)
    assert headline(viewer) == "Quiet still sends 50\u00a0% to q-1: q-1 gives no answer"
    dashboard = viewer.get(reverse("nodes:dashboard")).content.decode()
    assert "failover pending</span>" in dashboard
    assert ">q-1 gives no answer.</" in dashboard
    text = viewer.get(quiet.get_absolute_url()).content.decode()
    assert "failover pending</span>" in text
    assert "failover pending; 3 failures in a row: timed out" in text
    assert "<b>pause</b> blocked: " in viewer.get(Failover.objects.get(status="refused").get_absolute_url()).content.decode()


def queries(client: Client) -> int:
    with CaptureQueriesContext(connection) as captured:
        assert client.get(reverse("nodes:dashboard")).status_code == 200
    return len(captured)


def test_the_dashboard_asks_as_much_for_many_nodes_as_for_few(operator: Client, api: Pool, now: datetime) -> None:
    def kept() -> int:
        """With the figures of the last minute at hand."""
        queries(operator)
        return queries(operator)

    few = kept()
    fleet.pool("Many", "many", [f"many-{number}" for number in range(60)], now)
    assert kept() == few <= 8


def test_a_large_pool_shows_its_worst_nodes_and_counts_the_others(viewer: Client, now: datetime) -> None:
    many = fleet.pool("Many", "many", [f"many-{number:02}" for number in range(30)], now)
    fleet.rounds(many, now - timedelta(seconds=30), 3)
    fleet.rounds(many, now - timedelta(seconds=15), 3, {"many-25": (Verdict.FAIL, "timed out")})
    text = viewer.get(reverse("nodes:dashboard")).content.decode()
    assert "<b>many-25</b></a>" in text
    assert 'aria-label="1 failed, 29 healthy"' in text
    assert "+18" in text


def test_text_of_a_node_is_never_markup(operator: Client, now: datetime) -> None:
    evil = "<script>alert(1)</script>\" onload='x"
    pool = fleet.pool("Public API", "public-api", ["api-1", "api-2"], now)
    fleet.rounds(pool, now - timedelta(seconds=60), 2)
    fleet.rounds(pool, now - timedelta(seconds=50), 3, {"api-2": (Verdict.FAIL, evil)})
    Node.objects.filter(name="api-1").update(zone=evil, tags=[evil])
    for address in addresses():
        text = operator.get(address).content.decode()
        assert "<script>alert" not in text, address
        assert "onload='x" not in text, address


def test_a_decision_record_shows_who_was_considered_and_which_guards_were_asked(viewer: Client, api: Pool) -> None:
    text = viewer.get(Failover.objects.get(kind="failover").get_absolute_url()).content.decode()
    assert "api-2 failed 3 checks in a row" in text
    assert "eligible, receives" in text
    assert "<b>no candidate</b> passed" in text
    assert "shares moved, epoch 5" in text


def test_events_are_filtered_by_the_address(viewer: Client, api: Pool, failed: Node) -> None:
    events = reverse("nodes:events")
    assert "api-2 failed 3 checks in a row" in viewer.get(events, {"severity": "critical", "pool": "public-api"}).content.decode()
    assert "No event matches" in viewer.get(events, {"severity": "critical", "text": "timed out"}).content.decode()
    assert "No event matches" in viewer.get(events, {"until": "2001-01-01T00:00"}).content.decode()
    only = viewer.get(events, {"node": failed.pk}).content.decode()
    assert "api-1 is eligible" not in only
    assert "end of the range" in viewer.get(events, {"since": "2001-01-02T00:00", "until": "2001-01-01T00:00"}).content.decode()


def test_paging_shows_every_event_once_even_with_equal_times(viewer: Client, api: Pool, now: datetime) -> None:
    Event.objects.bulk_create(
        Event(at=now, type="rebalanced", severity="info", actor="engine", pool=api, message=f"number {n:03}") for n in range(120)
    )
    address, query, seen = reverse("nodes:events"), "type=rebalanced&text=number", []
    while query:
        listed = viewer.get(f"{address}?{query}").context["listed"]
        seen += [line.message for line in listed.events]
        query = listed.older
    assert seen == [f"number {n:03}" for n in reversed(range(120))]


@pytest.mark.parametrize(
    "cursor", ["before=1", "before=x&before_at=y", "before=1&before_at=2026-01-01T00:00:00", "before=1&before_at=99999"]
)
@pytest.mark.usefixtures("api")
def test_a_cursor_that_is_none_shows_the_first_page(viewer: Client, cursor: str) -> None:
    response = viewer.get(f"{reverse('nodes:events')}?{cursor}")
    assert response.context["live"]


def test_a_removed_node_keeps_its_page(operator: Client, healthy: Node, now: datetime) -> None:
    Node.objects.filter(pk=healthy.pk).update(removed_at=now)
    text = operator.get(healthy.get_absolute_url()).content.decode()
    assert "This node was removed" in text
    assert 'name="action"' not in text


def test_a_removed_pool_says_so_and_leads_to_its_history(viewer: Client, api: Pool, now: datetime) -> None:
    Pool.objects.filter(pk=api.pk).update(removed_at=now)
    text = viewer.get(api.get_absolute_url()).content.decode()
    assert "This pool is no longer monitored" in text
    history = f"{reverse('nodes:events')}?pool={api.slug}"
    assert history in text
    assert "api-2 failed a check" in viewer.get(history).content.decode()
    assert viewer.get(reverse("nodes:pool", args=["never-there"])).status_code == 404


def test_events_of_a_type_that_this_version_does_not_know_are_shown(viewer: Client, api: Pool, failed: Node) -> None:
    Event.objects.filter(type="failover_started").update(type="quantum_flux")
    incident = Incident.objects.get()
    for address in (reverse("nodes:dashboard"), reverse("nodes:events"), incident.get_absolute_url(), failed.get_absolute_url()):
        answer = viewer.get(address)
        assert answer.status_code == 200, address
    assert "quantum flux" in viewer.get(reverse("nodes:events")).content.decode()
