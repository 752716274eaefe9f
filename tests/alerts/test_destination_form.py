"""The form of a destination as a person meets it: what was typed is never lost in silence, what nothing looks at is refused."""

from __future__ import annotations

import re
from html import unescape

import pytest
from django.test import Client
from django.urls import reverse

from alerts import views
from alerts.models import PAGERDUTY_URL, Destination, Notification
from nodes.models import Event
from tests.alerts import history
from tests.alerts.history import Receiver

pytestmark = pytest.mark.django_db

OLD, NEW = "https://old.example/hook", "https://new.example/hook"
SECRET = "whsec_" + "B" * 42 + "A="
AGAIN = "What was typed here was not kept: enter it again, or open this page anew."
NO_KEY = "A Slack webhook has no key, its URL is the secret: leave this empty."
NO_ADDRESS = "PagerDuty is reached at the PagerDuty address: leave this empty."
NOT_PAGERDUTY = "Only PagerDuty looks at this: leave it empty."


def page_of(made: Destination | None) -> str:
    return reverse("admin:alerts_destination_change", args=[made.pk]) if made else reverse("admin:alerts_destination_add")


class Form:
    """The form in a browser: it sends what is typed and what the page before carried unseen."""

    def __init__(self, client: Client, made: Destination | None = None, kind: str = "webhook") -> None:
        self.client, self.place, self.unseen = client, page_of(made), {}
        self.shown = {"name": "ops", "kind": made.kind if made else kind, "enabled": "on", "base_url": PAGERDUTY_URL}

    def save(self, **typed: str) -> dict[str, list[str]]:
        """Its errors by field; none once it is saved.  Secrets are empty unless they are typed, as the page brings them."""
        sent = {**self.shown, "new_address": "", "new_key": "", **self.unseen, **typed}
        answer = self.client.post(self.place, sent)
        self.page = unescape(answer.content.decode())
        self.unseen = dict(re.findall(r'type="hidden" name="(typed_\w+)" value="(\w+)"', self.page))
        return dict(answer.context["adminform"].form.errors) if answer.status_code == 200 else {}


def webhook() -> Destination:
    return Destination.objects.create(name="ops", kind="webhook", address=OLD, key=history.SIGNING_SECRET)


def stored(made: Destination) -> tuple[str, str]:
    return Destination.objects.values_list("address", "key").get(pk=made.pk)


def test_a_new_address_is_asked_for_again_with_the_key(admin: Client) -> None:
    made = webhook()
    form = Form(admin, made)
    errors = form.save(new_address=NEW)
    assert errors["new_address"] == [AGAIN]
    assert "entered for another address" in errors["new_key"][0]
    assert NEW not in form.page
    assert stored(made) == (OLD, history.SIGNING_SECRET)


def test_the_key_alone_does_not_save_the_old_address_with_it(admin: Client) -> None:
    made = webhook()
    form = Form(admin, made)
    form.save(new_address=NEW)
    for _ in range(2):  # the second refusal remembers the first one
        assert form.save(new_key=SECRET)["new_address"] == [AGAIN]
        assert stored(made) == (OLD, history.SIGNING_SECRET)
    assert form.save(new_address=NEW, new_key=SECRET) == {}
    assert stored(made) == (NEW, SECRET)


def test_no_error_elsewhere_loses_a_secret_in_silence(admin: Client) -> None:
    history.slack("taken")
    made = webhook()
    form = Form(admin, made)
    errors = form.save(name="taken", new_address=NEW, new_key=SECRET)
    assert (errors["new_address"], errors["new_key"]) == ([AGAIN], [AGAIN])
    assert set(form.save()) == {"new_address", "new_key"}


def test_what_is_to_be_entered_again_is_not_said_to_be_kept_when_empty(admin: Client) -> None:
    made = webhook()
    form = Form(admin, made)
    form.save(new_address=NEW)
    assert form.page.count("leave empty to keep it") == 1  # the key's
    assert admin.get(form.place).content.decode().count("leave empty to keep it") == 2


def test_a_key_typed_for_a_new_webhook_gives_no_way_to_a_made_one(admin: Client) -> None:
    form = Form(admin)
    form.save(new_address="not one", new_key=SECRET)
    assert form.save(new_address=NEW)["new_key"] == [AGAIN]
    assert not Destination.objects.exists()


def test_a_page_opened_anew_keeps_the_address_while_the_key_changes(admin: Client) -> None:
    made = webhook()
    Form(admin, made).save(new_address=NEW)
    assert Form(admin, made).save(new_key=SECRET) == {}
    assert stored(made) == (OLD, SECRET)


@pytest.mark.parametrize(
    ("kind", "typed", "refused"),
    [
        ("slack", {"new_address": OLD, "new_key": SECRET}, {"new_address": [AGAIN], "new_key": [NO_KEY]}),
        ("slack", {"new_address": OLD, "base_url": NEW}, {"new_address": [AGAIN], "base_url": [NOT_PAGERDUTY]}),
        ("webhook", {"new_address": OLD, "base_url": NEW}, {"new_address": [AGAIN], "base_url": [NOT_PAGERDUTY]}),
        ("pagerduty", {"new_address": OLD, "new_key": "N" * 32}, {"new_address": [NO_ADDRESS], "new_key": [AGAIN]}),
    ],
)
def test_what_nothing_looks_at_is_refused(admin: Client, kind: str, typed: dict[str, str], refused: dict[str, list[str]]) -> None:
    assert Form(admin, kind=kind).save(**typed) == refused
    assert not Destination.objects.exists()


def test_a_key_that_slack_has_not_is_not_asked_for_again(admin: Client) -> None:
    form = Form(admin, kind="slack")
    form.save(new_address=OLD, new_key=SECRET)
    assert form.save(new_address=OLD) == {}
    assert Destination.objects.get().key == ""


def test_a_key_that_an_older_version_stored_for_slack_keeps_nobody_from_a_new_address(admin: Client) -> None:
    made = Destination.objects.create(name="ops", kind="slack", address=OLD, key=SECRET)
    assert Form(admin, made).save(new_address=NEW) == {}
    assert stored(made)[0] == NEW


@pytest.mark.parametrize("kind", ["slack", "webhook"])
def test_no_pagerduty_address_is_needed_elsewhere(admin: Client, kind: str) -> None:
    form = Form(admin, kind=kind)
    assert b'<label class="required" for="id_base_url"' not in admin.get(form.place).content
    assert form.save(new_address=OLD, base_url="") == {}
    made = Destination.objects.get()
    assert made.base_url == PAGERDUTY_URL
    Form(admin, made).save(base_url="")
    assert not Event.objects.filter(type="config_changed", message__contains=" edited ").exists()


def test_an_emptied_pagerduty_address_is_its_own_and_asks_for_the_key(admin: Client) -> None:
    made = Destination.objects.create(name="ops", kind="pagerduty", key="O" * 32, base_url="https://relay.example")
    form = Form(admin, made)
    assert "entered for another address" in form.save(base_url="")["new_key"][0]
    assert form.save(base_url="", new_key="N" * 32) == {}
    made.refresh_from_db()
    assert (made.base_url, made.key) == (PAGERDUTY_URL, "N" * 32)


@pytest.mark.parametrize(
    ("kind", "field", "typed"),
    [("slack", "new_address", "hooks.slack.com/x"), ("pagerduty", "new_key", "N" * 2001)],
)
def test_what_was_typed_wrongly_is_not_also_said_to_be_missing(admin: Client, kind: str, field: str, typed: str) -> None:
    assert len(Form(admin, kind=kind).save(**{field: typed})[field]) == 1


def read(client: Client, made: Destination) -> dict[str, str]:
    """The rows of a page that is only read."""
    page = client.get(page_of(made)).content.decode()
    return dict(re.findall(r'<label[^>]*>([^<]+):</label>\s*<div class="readonly">([^<]*)</div>', page))


def test_who_only_reads_sees_whether_a_secret_is_stored(operator: Client) -> None:
    shown = read(operator, webhook())
    assert (shown["Address"], shown["Key"]) == ("stored, hidden", "stored, hidden")
    shown = read(operator, Destination.objects.create(name="room", kind="slack", address=OLD))
    assert (shown["Address"], shown["Key"]) == ("stored, hidden", "none")
    assert not [label for label in shown if label.startswith("New")]


def test_a_removed_destination_is_read_by_an_admin_too(admin: Client) -> None:
    gone = Destination.objects.create(name="gone", kind="slack", removed_at=history.NOON)
    assert read(admin, gone)["Address"] == "none"
    assert b"Send a test" not in admin.get(page_of(gone)).content


def test_a_test_is_sent_from_its_own_page(operator: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    receiver = Receiver()
    monkeypatch.setattr(views, "post", receiver)
    history.slack("other")
    made = history.slack()
    page = operator.get(page_of(made)).content.decode()
    pressed = re.search(r'<form method="post" action="([^"]+)">(.*?)<button type="submit">Send a test</button></form>', page)
    assert pressed is not None
    assert "csrfmiddlewaretoken" in pressed[2]
    answer = operator.post(pressed[1], follow=True)
    assert b"ops accepted the test message" in answer.content
    assert Notification.objects.get(action="test").destination == made


def test_its_own_page_leads_to_its_row(operator: Client) -> None:
    made = history.slack()
    assert f'href="/alerts/destinations/#destination-{made.pk}"' in operator.get(page_of(made)).content.decode()
    assert f'<tr id="destination-{made.pk}">' in operator.get("/alerts/destinations/").content.decode()
