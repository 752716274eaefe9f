"""A message that was given up is resent, when that makes sense."""

from __future__ import annotations

import pytest
from django.contrib.messages import get_messages
from django.test import Client
from django.urls import reverse

from alerts.models import Destination, Notification
from alerts.services import dispatch, outcomes, routing
from alerts.services.resend import NotResentError, resend
from nodes.models import Incident
from tests.alerts import history
from tests.alerts.history import Receiver, at, fail, make_pool, open_incident, recover

pytestmark = pytest.mark.django_db


@pytest.fixture
def incident() -> Incident:
    opened = open_incident(make_pool())
    history.pagerduty()
    fail(opened)
    routing.route(at(0))
    return opened


@pytest.fixture
def dead(incident: Incident) -> Notification:
    """Given up two days after it was written."""
    assert dispatch.expire_superseded(at(2 * 86400)) == 1
    return Notification.objects.get(status="dead")


def test_a_message_given_up_goes_out_under_the_same_key(dead: Notification) -> None:
    resend(dead.pk, actor="ada", now=at(2 * 86400 + 60))

    assert dispatch.expire_superseded(at(2 * 86400 + 61)) == 0
    (leased,) = dispatch.claim(at(2 * 86400 + 61), room=9, owner=history.new_id())
    receiver = Receiver()
    outcomes.record(leased, dispatch.send_leased(leased, receiver, 0.0), began=at(0), duration=0.1, now=at(2 * 86400 + 62))
    sent = Notification.objects.get(pk=dead.pk)
    assert (sent.status, sent.requested_by) == ("delivered", "ada")
    assert [each["dedup_key"] for each in receiver.arrived] == [dead.dedup_key]


def test_what_was_not_given_up_is_not_resent(incident: Incident) -> None:
    with pytest.raises(NotResentError, match="it is waiting"):
        resend(Notification.objects.get().pk, actor="ada", now=at(1))


def test_no_trigger_is_sent_for_an_incident_that_is_over(incident: Incident, dead: Notification) -> None:
    recover(incident)

    with pytest.raises(NotResentError, match="incident is over"):
        resend(dead.pk, actor="ada", now=at(2 * 86400))


@pytest.mark.parametrize(
    ("changes", "says"), [({"enabled": False}, "is disabled"), ({"removed_at": at(0), "enabled": False}, "was removed")]
)
def test_a_destination_that_takes_nothing_is_named(dead: Notification, changes: dict[str, object], says: str) -> None:
    Destination.objects.update(**changes)

    with pytest.raises(NotResentError, match=says):
        resend(dead.pk, actor="ada", now=at(2 * 86400))
    assert Notification.objects.get(pk=dead.pk).status == "dead"


def test_an_operator_has_the_button_and_a_viewer_has_not(dead: Notification, operator: Client, viewer: Client) -> None:
    page, act = reverse("alerts:notification", args=[dead.pk]), reverse("alerts:resend", args=[dead.pk])

    assert b"Send again" not in viewer.get(page).content
    assert viewer.post(act).status_code == 403
    assert b"Send again" in operator.get(page).content
    answer = operator.post(act)
    assert [str(each) for each in get_messages(answer.wsgi_request)] == ["It is on its way again."]
    assert Notification.objects.get(pk=dead.pk).status == "pending"
