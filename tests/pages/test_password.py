"""Logging in leads where one wanted to go, and a new password says that it holds."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse

pytestmark = pytest.mark.django_db
OLD, NEW = "violet-lantern-42", "amber-harbour-77"


@pytest.fixture
def vera() -> User:
    return User.objects.create_user("vera", password=OLD)


def test_the_log_in_leads_on_to_what_was_asked_for(client: Client, vera: User) -> None:
    asked = reverse("nodes:events")
    form = client.get(asked, follow=True)
    assert f'name="next" value="{asked}"' in form.content.decode()
    assert client.post(reverse("account_login"), {"username": "vera", "password": OLD, "next": asked})["Location"] == asked


def test_a_wrong_password_is_said_and_keeps_the_way(client: Client, vera: User) -> None:
    body = client.post(reverse("account_login"), {"username": "vera", "password": "no", "next": "/events/"}).content.decode()
    assert 'role="alert"' in body
    assert 'value="vera"' in body
    assert 'name="next" value="/events/"' in body


def test_a_changed_password_is_confirmed_and_holds(client: Client, vera: User) -> None:
    client.force_login(vera)
    answer = client.post(reverse("account_change_password"), {"oldpassword": OLD, "password1": NEW, "password2": NEW}, follow=True)
    assert answer.redirect_chain == [(reverse("account"), 302)]
    assert "Your password is changed" in answer.content.decode()
    assert Client().login(username="vera", password=NEW)


def test_a_password_that_is_refused_says_why_at_its_field(client: Client, vera: User) -> None:
    client.force_login(vera)
    body = client.post(
        reverse("account_change_password"), {"oldpassword": OLD, "password1": "x", "password2": "x"}
    ).content.decode()
    assert "The password was not changed" in body
    assert "at least 12 characters" in body
