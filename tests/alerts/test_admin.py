"""Editing destinations and rules: secrets go in and never come out, edits are events, what cannot work is refused."""

from __future__ import annotations

from typing import Any

import pytest
from cryptography.fernet import Fernet
from django.test import Client
from django.urls import reverse
from pytest_django import Settings

from alerts.models import Destination, Notification, Rule
from alerts.services import destinations, dispatch, routing
from nodes.ledger.clock import database_now
from nodes.models import Event
from tests.alerts import history
from tests.alerts.history import at, fail, make_pool, open_incident

pytestmark = pytest.mark.django_db

ADD = "admin:alerts_destination_add"
CHANGE = "admin:alerts_destination_change"


def filled(**given: Any) -> dict[str, Any]:
    return {
        "name": "ops",
        "kind": "slack",
        "enabled": "on",
        "new_address": "",
        "new_key": "",
        "base_url": "https://events.pagerduty.com",
        **given,
    }


def test_a_slack_destination_is_made_and_works_by_the_first_rules(admin: Client) -> None:
    admin.post(reverse(ADD), filled(new_address=history.SLACK_URL))
    made = Destination.objects.get()
    assert made.address == history.SLACK_URL
    fail(open_incident(make_pool()))
    routing.route(at(0))
    assert Notification.objects.get().destination == made


def test_a_secret_is_never_shown_again_but_for_its_end(admin: Client) -> None:
    admin.post(reverse(ADD), filled(new_address=history.SLACK_URL))
    page = admin.get(reverse(CHANGE, args=[Destination.objects.get().pk])).content.decode()
    assert "hooks.slack.test …6789" in page
    assert "slackcanary" not in page
    assert "gAAAA" not in page  # the ciphertext neither
    listed = admin.get(reverse("admin:alerts_destination_changelist")).content.decode()
    assert "slackcanary" not in listed


def test_an_empty_secret_keeps_the_stored_one(admin: Client) -> None:
    made = history.pagerduty()
    admin.post(reverse(CHANGE, args=[made.pk]), filled(name="night shift", kind="pagerduty"))
    made.refresh_from_db()
    assert (made.name, made.key) == ("night shift", history.ROUTING_KEY)


def test_an_edit_is_an_event_that_names_no_secret(admin: Client) -> None:
    made = history.pagerduty()
    admin.post(reverse(CHANGE, args=[made.pk]), filled(name="pager", kind="pagerduty", new_key="N" * 32))
    event = Event.objects.get(type="config_changed")
    assert event.detail["after"] == {"Key": "changed"}
    assert "N" * 32 not in str(event.detail) + event.message


def rule_form(**given: Any) -> dict[str, Any]:
    return {
        "name": "night",
        "enabled": "on",
        "order": 1,
        "wait": 0,
        "severities": ["critical"],
        "tag": "",
        "destination_kind": "",
        **given,
    }


def test_an_edit_of_a_rule_names_its_destinations_before_and_after(admin: Client) -> None:
    first, second = history.pagerduty(), history.slack("ops")
    rule = Rule.objects.create(name="night", order=1, severities=["critical"])
    rule.destinations.add(first)
    for _ in range(2):  # the second time nothing changes
        answer = admin.post(reverse("admin:alerts_rule_change", args=[rule.pk]), rule_form(destinations=[first.pk, second.pk]))
        assert answer.status_code == 302
    detail = Event.objects.get(type="config_changed").detail
    assert detail["before"] == {"Destinations": first.name}
    assert detail["after"] == {"Destinations": f"{second.name}, {first.name}"}  # by name


def test_each_deletion_of_a_rule_is_an_event(admin: Client) -> None:
    Rule.objects.all().delete()
    rules = [Rule.objects.create(name=name, severities=["critical"]).pk for name in ("one", "two", "three")]
    admin.post(reverse("admin:alerts_rule_delete", args=[rules[0]]), {"post": "yes"})
    admin.post(reverse("admin:alerts_rule_changelist"), {"action": "delete_selected", "_selected_action": rules[1:], "post": "yes"})
    assert not Rule.objects.exists()
    assert Event.objects.filter(type="config_changed", message__contains=" deleted rule ").count() == 3


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"kind": "slack"}, "The URL is needed"),
        ({"kind": "slack", "new_address": "ftp://x.example/"}, "begins with https://"),
        ({"kind": "slack", "new_address": "https://user:pass@x.example/"}, "no user name"),
        ({"kind": "slack", "new_address": "https://x.example\\@169.254.169.254/"}, "begins with https://"),
        ({"kind": "pagerduty"}, "The routing key is needed"),
        ({"kind": "pagerduty", "new_key": "short"}, "32 letters and digits"),
        ({"kind": "webhook", "new_address": "https://x.example/", "new_key": "whsec_short"}, "24 to 64 bytes"),
    ],
)
def test_a_destination_that_cannot_work_is_refused_with_a_sentence(admin: Client, given: dict[str, str], said: str) -> None:
    answer = admin.post(reverse(ADD), filled(**given))
    assert said in answer.content.decode()
    assert not Destination.objects.exists()
    for secret in (given.get("new_key"), given.get("new_address")):
        assert not secret or f'value="{secret}"' not in answer.content.decode()


def test_a_name_is_used_once(admin: Client) -> None:
    history.slack("ops")
    answer = admin.post(reverse(ADD), filled(new_address=history.SLACK_URL))
    assert b"Another destination has this name" in answer.content


def test_a_webhook_without_a_secret_gets_one_that_is_shown_once(admin: Client) -> None:
    answer = admin.post(reverse(ADD), filled(kind="webhook", new_address="https://x.example/hook"), follow=True)
    secret = Destination.objects.get().key
    assert secret.startswith("whsec_")
    assert secret in answer.content.decode()
    assert secret not in admin.get(reverse(CHANGE, args=[Destination.objects.get().pk])).content.decode()


def test_enabling_a_destination_again_clears_the_reason_and_sends_what_waits(admin: Client) -> None:
    made = history.pagerduty()
    fail(open_incident(make_pool()))
    routing.route(at(0))
    Notification.objects.update(due_at="2100-01-01T00:00Z")
    Destination.objects.update(enabled=False, disabled_reason="answered 410")
    admin.post(reverse(CHANGE, args=[made.pk]), filled(name="pager", kind="pagerduty"))
    made.refresh_from_db()
    assert (made.enabled, made.disabled_reason) == (True, "")
    assert Notification.objects.get().due_at.year < 2100


def test_a_lost_encryption_key_can_be_repaired_in_the_admin(admin: Client, settings: Settings) -> None:
    made = history.pagerduty()
    settings.ENCRYPTION_KEYS = (Fernet.generate_key().decode(),)
    assert b"cannot be decrypted" in admin.get(reverse(CHANGE, args=[made.pk])).content
    rule = Rule.objects.create(name="named", severities=["critical"])
    rule.destinations.add(made)
    for page in (
        reverse("admin:alerts_rule_change", args=[rule.pk]),
        reverse("alerts:destinations"),
        reverse("alerts:notifications"),
    ):
        assert admin.get(page).status_code == 200
    answer = admin.post(reverse(CHANGE, args=[made.pk]), filled(name="pager", kind="pagerduty", new_key="N" * 32))
    assert answer.status_code == 302
    assert Destination.objects.values_list("key", flat=True).get(pk=made.pk) == "N" * 32


REMOVE = "admin:alerts_destination_delete"


def test_removing_the_only_destination_of_critical_events_asks_for_a_tick(admin: Client) -> None:
    made = history.slack()
    assert b"notifies no other enabled destination" in admin.get(reverse(REMOVE, args=[made.pk])).content
    admin.post(reverse(REMOVE, args=[made.pk]))
    made.refresh_from_db()
    assert made.leaving_at is None
    admin.post(reverse(REMOVE, args=[made.pk]), {"although_only": "on"})
    made.refresh_from_db()
    assert made.leaving_at is not None


def test_removing_a_destination_forgets_its_secrets_and_keeps_its_history(admin: Client) -> None:
    made, _ = history.slack(), history.slack("other")
    fail(open_incident(make_pool()))
    routing.route(at(0))
    admin.post(reverse(REMOVE, args=[made.pk]))
    dispatch.expire_superseded(at(1))
    destinations.finish_leaving(database_now())
    made.refresh_from_db()
    assert made.removed_at is not None
    assert made.address == ""
    assert set(Notification.objects.filter(destination=made).values_list("status", flat=True)) == {"superseded"}
    admin.get(reverse("alerts:destinations"))  # with the message of the removal
    assert "ops" not in admin.get(reverse("alerts:destinations")).content.decode()


def test_a_rule_that_notifies_no_destination_is_refused(admin: Client) -> None:
    rule = {"name": "silent", "enabled": "on", "order": 5, "severities": ["critical"], "tag": "", "destination_kind": "", "wait": 0}
    answer = admin.post(reverse("admin:alerts_rule_add"), rule)
    assert b"A rule notifies at least one destination" in answer.content
    admin.post(reverse("admin:alerts_rule_add"), {**rule, "destination_kind": "webhook", "event_types": ["failover_failed"]})
    assert Rule.objects.get(name="silent").event_types == ["failover_failed"]


def test_an_operator_reads_and_does_not_edit(operator: Client) -> None:
    made = history.slack()
    assert operator.get(reverse(CHANGE, args=[made.pk])).status_code == 200
    assert operator.post(reverse(CHANGE, args=[made.pk]), filled(name="mine")).status_code == 403
    assert operator.get(reverse(ADD)).status_code == 403


def test_notifications_are_read_only_for_everybody(admin: Client) -> None:
    history.slack()
    fail(open_incident(make_pool()))
    routing.route(at(0))
    number = Notification.objects.get().pk
    page = reverse("admin:alerts_notification_change", args=[number])
    assert admin.get(reverse("admin:alerts_notification_changelist")).status_code == 200
    assert "slackcanary" not in admin.get(page).content.decode()
    assert admin.post(page, {"status": "delivered"}).status_code == 403
    assert admin.get(reverse("admin:alerts_notification_add")).status_code == 403


def test_a_destination_keeps_its_kind(admin: Client) -> None:
    made = history.pagerduty()
    admin.post(reverse(CHANGE, args=[made.pk]), filled(name="pager", kind="webhook", new_address="https://x.example/hook"))
    made.refresh_from_db()
    assert (made.kind, made.key) == ("pagerduty", history.ROUTING_KEY)
