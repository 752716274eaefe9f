"""Where one is logged in: listed, ended one by one or all others, and by a new password."""

from __future__ import annotations

from datetime import timedelta

import pytest
from allauth.usersessions.models import UserSession
from django.contrib.auth.models import User
from django.contrib.sessions.models import Session
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from failover_console.accounts import sessions
from failover_console.accounts.tasks import forget_sessions
from nodes.models import Event
from tests.accounts.conftest import PASSWORD, log_in

pytestmark = pytest.mark.django_db
FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
PHONE = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605.1.15 Version/18.0 Mobile/15E148 Safari/604.1"


@pytest.fixture
def here(vera: User) -> Client:
    client = Client(headers={"user-agent": FIREFOX})
    log_in(client, "vera", address="192.0.2.1")
    return client


@pytest.fixture
def there(vera: User) -> Client:
    client = Client(headers={"user-agent": PHONE})
    log_in(client, "vera", address="192.0.2.2")
    return client


def is_in(client: Client) -> bool:
    return client.get(reverse("account")).status_code == 200


def test_the_page_lists_each_with_browser_and_address(here: Client, there: Client) -> None:
    body = here.get(reverse("account"), REMOTE_ADDR="192.0.2.1").content.decode()
    for text in ("Firefox on Linux", "this one", "192.0.2.1", "Safari on iPhone", "192.0.2.2", "End all others"):
        assert text in body


def test_one_is_ended_by_its_button(here: Client, there: Client) -> None:
    other = UserSession.objects.get(ip="192.0.2.2")
    here.post(reverse("account_end_sessions"), {"session": other.pk})
    assert (is_in(here), is_in(there)) == (True, False)
    assert Event.objects.get(type="account_changed").message == "vera ended 1 of their sessions, from 127.0.0.1"


def test_all_others_are_ended(here: Client, there: Client) -> None:
    here.post(reverse("account_end_sessions"), {"session": "others"})
    assert (is_in(here), is_in(there)) == (True, False)
    assert UserSession.objects.count() == 1


def test_nobody_ends_a_session_of_another(here: Client, oscar: User) -> None:
    stranger = Client()
    log_in(stranger, "oscar")
    stranger.post(reverse("account_end_sessions"), {"session": UserSession.objects.get(user__username="vera").pk})
    stranger.post(reverse("account_end_sessions"), {"session": "others"})
    assert is_in(here)


@pytest.mark.parametrize("which", ["", "x", "-1", "9" * 30, "٣"])
def test_what_is_no_session_ends_none(here: Client, there: Client, which: str) -> None:
    assert here.post(reverse("account_end_sessions"), {"session": which}).status_code == 302
    assert is_in(there)


def test_a_new_password_ends_the_others(here: Client, there: Client) -> None:
    form = {"oldpassword": PASSWORD, "password1": "amber-harbour-77", "password2": "amber-harbour-77"}
    here.post(reverse("account_change_password"), form)
    assert (is_in(here), is_in(there)) == (True, False)
    assert Event.objects.get(type="account_changed").message == "vera changed the password, from 127.0.0.1"


def test_the_present_password_is_no_new_one(here: Client, there: Client) -> None:
    form = {"oldpassword": PASSWORD, "password1": PASSWORD, "password2": PASSWORD}
    answer = here.post(reverse("account_change_password"), form)
    assert "This is your present password: take another one." in answer.content.decode()
    assert there.get("/accounts/").status_code == 200
    assert not Event.objects.filter(type="account_changed").exists()


def test_no_field_of_a_password_says_its_label_twice(here: Client) -> None:
    assert "placeholder" not in here.get(reverse("account_change_password")).content.decode()


@pytest.mark.parametrize("name", ["account_end_sessions", "openid_connect_login", "socialaccount_connections"])
def test_the_address_of_a_button_leads_to_the_account(here: Client, name: str) -> None:
    assert here.get(reverse(name))["Location"] == "/accounts/"
    assert here.put(reverse(name)).status_code == 405


@pytest.mark.parametrize("name", ["account_end_sessions", "socialaccount_connections"])
def test_a_button_of_a_session_that_has_ended_leads_to_the_log_in_and_the_account(vera: User, name: str) -> None:
    client = Client()
    door = client.post(reverse(name), {"session": "1"})["Location"]
    assert door.startswith("/accounts/login/")
    onward = client.post(door, {"username": "vera", "password": PASSWORD, "next": reverse(name)}, follow=True)
    assert onward.redirect_chain[-1] == ("/accounts/", 302)
    assert onward.status_code == 200


def test_another_address_is_seen_at_once(here: Client) -> None:
    here.get("/", REMOTE_ADDR="198.51.100.9")
    assert UserSession.objects.get().ip == "198.51.100.9"


def test_a_session_of_before_is_listed_from_its_second_minute_on(vera: User, monkeypatch: pytest.MonkeyPatch) -> None:
    client = Client()
    client.force_login(vera)
    client.get("/")
    assert not UserSession.objects.exists()
    monkeypatch.setattr(sessions, "EVERY", 0.0)
    client.get("/")
    assert UserSession.objects.get().user == vera


@pytest.mark.parametrize(
    ("agent", "words"),
    [
        (FIREFOX, "Firefox on Linux"),
        (PHONE, "Safari on iPhone"),
        ("Mozilla/5.0 (Windows NT 10.0) Chrome/140.0 Safari/537.36 Edg/140.0", "Edge on Windows"),
        ("curl/8.5.0", "curl"),
        ("", "Another program"),
    ],
)
def test_a_browser_is_named_as_people_name_it(agent: str, words: str) -> None:
    assert sessions.in_words(agent) == words


def test_a_session_ends_half_a_day_after_the_log_in_however_much_it_is_used(here: Client) -> None:
    kept = Session.objects.get(pk=here.session.session_key)
    here.post(reverse("account_end_sessions"), {"session": "others"})  # leaves a message, so the session is written
    assert here.session["_messages"]
    after = Session.objects.get(pk=here.session.session_key)
    assert (after.session_data != kept.session_data, after.expire_date) == (True, kept.expire_date)
    assert timedelta(hours=11, minutes=55) < kept.expire_date - timezone.now() <= timedelta(hours=12)


def test_what_has_ended_is_forgotten_with_its_address(here: Client, there: Client) -> None:
    ended = there.session.session_key
    Session.objects.filter(pk=ended).update(expire_date=timezone.now())
    assert (forget_sessions(), forget_sessions()) == (1, 0)
    assert not Session.objects.filter(pk=ended).exists()
    assert [each.ip for each in UserSession.objects.all()] == ["192.0.2.1"]
    assert (is_in(here), is_in(there)) == (True, False)
