"""The pages of the alerts: who may see and do what, and that no secret comes out."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from alerts import views
from alerts.delivery import Reply
from alerts.models import Destination, Notification, Rule
from alerts.services import dispatch, outcomes, routing
from alerts.services.test_message import LIMIT
from nodes.models import Incident
from tests.alerts import history
from tests.alerts.history import Receiver, at, fail, make_pool, open_incident

pytestmark = pytest.mark.django_db


@pytest.fixture
def incident() -> Incident:
    opened = open_incident(make_pool())
    history.slack()
    history.pagerduty()
    fail(opened)
    routing.route(at(0))
    return opened


@pytest.fixture
def receiver(monkeypatch: pytest.MonkeyPatch) -> Receiver:
    made = Receiver(lambda: Reply(200, {}, b"ok"))
    monkeypatch.setattr(views, "post", made)
    return made


def test_every_page_asks_for_a_login(client: Client) -> None:
    for name, args in (("notifications", []), ("notification", [1]), ("incident_notifications", [1]), ("destinations", [])):
        answer = client.get(reverse(f"alerts:{name}", args=args))
        assert answer.status_code == 302
        assert "login" in answer["Location"]


@pytest.mark.parametrize(("name", "args"), [("banner", []), ("incident_notifications", [1])])
def test_a_fragment_without_a_session_sends_the_whole_page_to_the_login(client: Client, name: str, args: list[int]) -> None:
    asking = {"HX-Request": "true", "HX-Current-URL": "http://testserver/incidents/"}
    answer = client.get(reverse(f"alerts:{name}", args=args), headers=asking)
    assert answer.status_code == 200
    assert answer["HX-Redirect"] == f"{reverse('account_login')}?next=%2Fincidents%2F"
    assert not answer.content
    assert "HX-Request" in answer["Vary"]


def test_the_list_shows_each_message_and_filters(incident: Incident, viewer: Client) -> None:
    chat = Destination.objects.get(kind="slack")
    Notification.objects.filter(destination=chat).update(status="delivered")
    assert viewer.get(reverse("alerts:notifications")).content.count(b"api: a failed") == 2
    assert viewer.get(reverse("alerts:notifications"), {"status": "delivered"}).content.count(b"api: a failed") == 1
    assert viewer.get(reverse("alerts:notifications"), {"destination": chat.pk}).content.count(b"api: a failed") == 1
    assert b"No notification fits" in viewer.get(reverse("alerts:notifications"), {"status": "dead"}).content
    assert viewer.get(reverse("alerts:notifications"), {"status": "nonsense", "destination": "x", "page": "999"}).status_code == 200


def test_a_notification_shows_its_attempts_and_its_message(incident: Incident, viewer: Client) -> None:
    (leased,) = (
        each for each in dispatch.claim(at(0), room=9, owner=history.new_id()) if each.endpoint and each.endpoint.kind == "slack"
    )
    down = Receiver(lambda: Reply(503, {}, b""))
    outcomes.record(leased, dispatch.send_leased(leased, down, at(0).timestamp()), began=at(0), duration=0.2, now=at(0))
    page = viewer.get(reverse("alerts:notification", args=[leased.notification])).content.decode()
    assert "answered 503" in page
    assert "https://runbooks.example/api" in page
    assert "slackcanary" not in page


def test_an_incident_lists_its_notifications(incident: Incident, viewer: Client) -> None:
    answer = viewer.get(reverse("alerts:incident_notifications", args=[incident.pk]))
    assert b"<b>trigger to ops</b>" in answer.content
    assert b"<html" not in answer.content
    assert "HX-Request" in answer["Vary"]


def test_the_list_takes_the_same_number_of_queries_however_long(incident: Incident, viewer: Client) -> None:
    viewer.get(reverse("alerts:notifications"))
    with CaptureQueriesContext(connection) as short:
        viewer.get(reverse("alerts:notifications"))
    first = Notification.objects.all()[0]
    for number in range(40):
        first.pk, first.message_id, first.sequence = None, history.new_id(), number + 10
        first.save(force_insert=True)
    with CaptureQueriesContext(connection) as long:
        viewer.get(reverse("alerts:notifications"))
    assert len(long) == len(short)


def test_destinations_are_shown_without_their_secrets(incident: Incident, viewer: Client) -> None:
    page = viewer.get(reverse("alerts:destinations")).content.decode()
    assert "hooks.slack.test" in page
    assert "slackcanary" not in page
    assert history.ROUTING_KEY not in page
    assert "Send a test" not in page


def test_destinations_stand_in_the_order_of_their_names(viewer: Client) -> None:
    for name in ("whale", "zebra", "ant", "mole"):
        history.slack(name)
    page = viewer.get(reverse("alerts:destinations")).content.decode()
    shown = [page.index(f">{name}</a>") for name in ("ant", "mole", "whale", "zebra")]
    assert shown == sorted(shown)


def test_a_console_without_an_enabled_destination_says_so(viewer: Client) -> None:
    page = viewer.get(reverse("alerts:destinations")).content.decode()
    assert "No rule brings critical events" in page
    assert "No rule brings warning events" in page


def test_an_operator_sends_a_test_and_sees_the_answer(incident: Incident, operator: Client, receiver: Receiver) -> None:
    chat = Destination.objects.get(kind="slack")
    answer = operator.post(reverse("alerts:test_send", args=[chat.pk]), follow=True)
    assert b"ops accepted the test message" in answer.content
    assert receiver.arrived[0]["text"].startswith("🔵 Test")
    sent = Notification.objects.get(action="test")
    assert (sent.status, sent.requested_by) == ("delivered", "operator-person")


def test_a_test_that_fails_says_why(incident: Incident, operator: Client, receiver: Receiver) -> None:
    receiver.answer = lambda: Reply(403, {}, b"invalid_token")
    chat = Destination.objects.get(kind="slack")
    answer = operator.post(reverse("alerts:test_send", args=[chat.pk]), follow=True)
    assert b"Slack says invalid_token" in answer.content


def test_a_test_of_the_pager_is_resolved_by_itself(incident: Incident, operator: Client, receiver: Receiver) -> None:
    receiver.answer = lambda: Reply(202, {}, b"")
    pager = Destination.objects.get(kind="pagerduty")
    operator.post(reverse("alerts:test_send", args=[pager.pk]))
    test, end = Notification.objects.filter(dedup_key__contains="/test/").order_by("pk")
    assert (test.action, end.action, end.status) == ("test", "resolve", "pending")
    dispatch.expire_superseded(test.created_at)
    end.refresh_from_db()
    assert end.status == "pending"


def test_tests_are_limited_for_each_user(incident: Incident, operator: Client, receiver: Receiver) -> None:
    chat = Destination.objects.get(kind="slack")
    for _ in range(LIMIT):
        operator.post(reverse("alerts:test_send", args=[chat.pk]))
    answer = operator.post(reverse("alerts:test_send", args=[chat.pk]), follow=True)
    assert b"Ten tests a minute" in answer.content
    assert len(receiver.arrived) == LIMIT


def test_a_viewer_sends_no_test(incident: Incident, viewer: Client, receiver: Receiver) -> None:
    chat = Destination.objects.get(kind="slack")
    assert viewer.post(reverse("alerts:test_send", args=[chat.pk])).status_code == 403
    assert receiver.asked == []


def test_a_test_is_sent_by_post_alone(incident: Incident, operator: Client, receiver: Receiver) -> None:
    chat = Destination.objects.get(kind="slack")
    assert operator.get(reverse("alerts:test_send", args=[chat.pk])).status_code == 405
    assert receiver.asked == []


@pytest.mark.parametrize("gone", [{"enabled": False}, {"removed_at": "2026-01-01T00:00:00Z"}])
def test_a_rule_whose_destinations_are_off_or_gone_notifies_nobody(viewer: Client, gone: dict[str, Any]) -> None:
    history.pagerduty()
    pager = Destination.objects.get(kind="pagerduty")
    rule = Rule.objects.create(name="only the pager", severities=["critical"], destination_kind="pagerduty")
    rule.destinations.add(pager)
    assert rule.notifies == pager.name
    Destination.objects.filter(pk=pager.pk).update(**gone)
    assert Rule.objects.get(pk=rule.pk).notifies == "nobody: what it names is off or gone"
    assert b"nobody: what it names is off or gone" in viewer.get(reverse("alerts:destinations")).content
