"""What decides where a destination's messages go, and its keys: a key never follows to another server by itself."""

from __future__ import annotations

import pytest
from cryptography.fernet import Fernet
from django.contrib.auth.models import Group, User
from django.test import Client
from django.urls import reverse
from pytest_django import Settings

from alerts.models import Destination

pytestmark = pytest.mark.django_db

ROUTING, SIGNING, OTHER = "R" * 32, f"whsec_{'A' * 43}=", f"whsec_{'B' * 42}A="  # the same in every test process
PAGERDUTY = "https://events.pagerduty.com"
HOOK = "https://hook.example/in"
# kind, field, what is posted, the key that is to be entered again
ELSEWHERE = [
    ("pagerduty", "base_url", "https://evil.example", "N" * 32),
    ("pagerduty", "base_url", "http://events.pagerduty.com", "N" * 32),
    ("pagerduty", "base_url", "https://events.pagerduty.com:8443", "N" * 32),
    ("pagerduty", "base_url", "https://events.pagerduty.com/relay", "N" * 32),
    ("webhook", "new_address", "https://evil.example/in", OTHER),
    ("webhook", "new_address", "http://hook.example/in", OTHER),
    ("webhook", "new_address", "https://hook.example:8443/in", OTHER),
]
SAME_PLACE = [
    ("pagerduty", "base_url", PAGERDUTY),
    ("pagerduty", "base_url", f"{PAGERDUTY}/"),
    ("pagerduty", "name", "other"),
    ("webhook", "new_address", "https://hook.example/another?path"),
    ("webhook", "new_address", "https://hook.example:443/in"),
    ("webhook", "name", "other"),
]


@pytest.fixture
def admin() -> Client:
    person = User.objects.create_user("ada", password="-")
    person.groups.add(Group.objects.get(name="admin"))
    client = Client()
    client.force_login(person)
    return client


def destination(kind: str) -> Destination:
    given = {"key": ROUTING} if kind == "pagerduty" else {"address": HOOK, "key": SIGNING}
    return Destination.objects.create(name="ops", kind=kind, **given)


def change(admin: Client, made: Destination, **given: str) -> str:
    form = {"name": "ops", "kind": made.kind, "enabled": "on", "base_url": PAGERDUTY, "new_address": "", "new_key": "", **given}
    return admin.post(reverse("admin:alerts_destination_change", args=[made.pk]), form, follow=True).content.decode()


@pytest.mark.parametrize(("kind", "field", "value", "key"), ELSEWHERE)
def test_a_key_is_asked_for_again_when_it_would_go_elsewhere(admin: Client, kind: str, field: str, value: str, key: str) -> None:
    made = destination(kind)
    before = Destination.objects.filter(pk=made.pk).values("base_url", "address", "key").get()

    assert "was entered for another address: enter it again." in change(admin, made, **{field: value})
    assert Destination.objects.filter(pk=made.pk).values("base_url", "address", "key").get() == before
    assert "was entered for another address" not in change(admin, made, **{field: value, "new_key": key})
    assert Destination.objects.values_list("key", flat=True).get(pk=made.pk) == key


@pytest.mark.parametrize(("kind", "field", "value"), SAME_PLACE)
def test_a_key_stays_while_it_goes_where_it_went(admin: Client, kind: str, field: str, value: str) -> None:
    made = destination(kind)

    assert "was entered for another address" not in change(admin, made, **{field: value})
    assert Destination.objects.values_list("key", flat=True).get(pk=made.pk) == (ROUTING if kind == "pagerduty" else SIGNING)


def test_an_address_that_cannot_be_read_any_more_counts_as_another(admin: Client, settings: Settings) -> None:
    made = destination("webhook")
    settings.ENCRYPTION_KEYS = (Fernet.generate_key().decode(),)

    assert "was entered for another address" in change(admin, made, new_address=HOOK)
