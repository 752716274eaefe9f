"""A log-in is fixed by nobody, leads nowhere else, is kept by no cache, and says nothing about who exists."""

from __future__ import annotations

import pytest
from django.contrib.auth.hashers import PBKDF2PasswordHasher
from django.contrib.auth.models import User
from django.test import Client, override_settings
from django.urls import reverse

from failover_console.accounts import hashing
from tests.accounts.conftest import PASSWORD, log_in

pytestmark = pytest.mark.django_db
LOGIN = "/accounts/login/"
ELSEWHERE = (
    "//elsewhere.example/", "https://elsewhere.example/", "http://localhost/", "http://127.0.0.1/", r"\\elsewhere.example",
    "javascript:alert(1)", "https:elsewhere.example", "/\\elsewhere.example", "///elsewhere.example",
)  # fmt: skip  # a table


def test_the_session_of_before_the_log_in_is_nobodys_after_it(client: Client, vera: User) -> None:
    client.get(LOGIN)
    session = client.session
    session["planted"] = True
    session.save()
    client.cookies["failover-session-8000"] = before = session.session_key
    log_in(client, "vera")
    assert client.session.session_key != before
    assert Client(headers={"cookie": f"failover-session-8000={before}"}).get("/").status_code == 302


def test_a_session_is_random_and_in_its_cookie_alone(vera: User) -> None:
    keys = []
    for client in (Client(), Client(), Client()):
        answer = log_in(client, "vera")
        keys.append(str(client.session.session_key))
        assert keys[-1] not in answer["Location"] + client.get("/").content.decode()
    assert len(set("".join(keys))) > 20  # of 36 letters
    assert [len(each) for each in {*keys}] == [32] * 3


@pytest.mark.parametrize("place", ELSEWHERE)
def test_it_leads_to_no_other_place(client: Client, vera: User, place: str) -> None:
    assert log_in(client, "vera", next=place)["Location"] == reverse("nodes:dashboard")


def test_it_leads_to_this_console(client: Client, vera: User) -> None:
    assert log_in(client, "vera", next="/events/?page=2")["Location"] == "/events/?page=2"


@pytest.mark.parametrize("name", ["vera", "nobody"])
def test_a_wrong_password_and_an_unknown_name_get_the_same_answer(client: Client, vera: User, name: str) -> None:
    answer = log_in(client, name, "wrong")
    assert answer.status_code == 200
    assert "No user has this name with this password." in answer.content.decode()


@pytest.mark.parametrize("name", ["vera", "nobody", "off"])
def test_each_wrong_password_costs_one_hash(
    client: Client, vera: User, hashed: str, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    User.objects.create(username="off", password=hashed, is_active=False)
    hashes: list[str] = []
    encode = PBKDF2PasswordHasher.encode
    monkeypatch.setattr(PBKDF2PasswordHasher, "encode", lambda *given: hashes.append(given[1]) or encode(*given))
    log_in(client, name, "wrong")
    assert len(hashes) == 1


def test_a_disabled_user_is_answered_like_a_wrong_password(client: Client, hashed: str) -> None:
    User.objects.create(username="off", password=hashed, is_active=False)
    assert "No user has this name with this password." in log_in(client, "off").content.decode()


def test_a_post_without_our_token_is_refused(vera: User) -> None:
    assert log_in(Client(enforce_csrf_checks=True), "vera").status_code == 403


@pytest.mark.parametrize("name", ["account_login", "account", "account_change_password", "mfa_authenticate"])
def test_no_cache_keeps_a_page_of_the_account(client: Client, vera: User, name: str) -> None:
    client.force_login(vera)
    assert "no-store" in client.get(reverse(name))["Cache-Control"]
    assert "no-store" in Client().get(reverse(name))["Cache-Control"]


@pytest.mark.parametrize("path", ["/admin/login/", "/admin/password_change/"])
def test_the_admin_has_no_door_of_its_own(client: Client, vera: User, path: str) -> None:
    vera.is_staff = True
    vera.save()
    client.force_login(vera)
    assert client.get(path)["Location"].startswith("/accounts/")
    assert client.post(path, {"username": "vera", "password": PASSWORD})["Location"].startswith("/accounts/")


def test_logging_out_asks_and_then_ends_the_session(client: Client, vera: User) -> None:
    client.force_login(vera)
    assert "Log out vera?" in client.get(reverse("account_logout")).content.decode()
    assert client.post(reverse("account_logout"))["Location"] == LOGIN
    assert client.get("/").status_code == 302


def test_more_hashes_than_have_turns_are_refused_and_count_as_no_failure(client: Client, vera: User) -> None:
    places = [hashing.turn() for _ in range(hashing.AT_ONCE)]
    for place in places:
        place.__enter__()
    waiting = [hashing._places.acquire(blocking=False) for _ in range(hashing.WAITING)]
    try:
        answers = [log_in(client, "vera") for _ in range(6)]
    finally:
        for _ in waiting:
            hashing._places.release()
        for place in places:
            place.__exit__(None, None, None)
    assert {(answer.status_code, answer["Retry-After"]) for answer in answers} == {(503, "5")}
    assert "Many people are logging in" in answers[0].content.decode()
    assert log_in(client, "vera").status_code == 302


def test_any_other_page_that_hashes_says_that_it_is_busy(client: Client, vera: User) -> None:
    vera.is_superuser = vera.is_staff = True
    vera.save()
    client.force_login(vera)
    held = [hashing._places.acquire(blocking=False) for _ in range(hashing.AT_ONCE + hashing.WAITING)]
    try:
        form = {"password1": "amber-harbour-77", "password2": "amber-harbour-77", "usable_password": "true"}
        answer = client.post(reverse("admin:auth_user_password_change", args=[vera.pk]), form)
    finally:
        for _ in held:
            hashing._places.release()
    assert (answer.status_code, answer["Retry-After"]) == (503, "5")


@override_settings(PASSWORD_HASHERS=["django.contrib.auth.hashers.PBKDF2PasswordHasher"])
def test_passwords_are_stored_as_django_stores_them(vera: User) -> None:
    assert vera.check_password(PASSWORD)
    algorithm, rounds, salt, _ = vera.password.split("$")
    assert (algorithm, int(rounds) >= 600_000, len(salt) >= 16) == ("pbkdf2_sha256", True, True)


def change(client: Client, password: str) -> str:
    """What the page of the password says."""
    form = {"oldpassword": PASSWORD, "password1": password, "password2": password}
    return client.post("/accounts/password/", form, follow=True).content.decode()


def test_a_long_password_is_whole_and_of_any_letters(client: Client, vera: User) -> None:
    long = "wiese ßø日本 " * 10 + "ende"
    client.force_login(vera)
    change(client, long)
    assert log_in(Client(), "vera", long[:-1]).status_code == 200
    assert log_in(Client(), "vera", long).status_code == 302


def test_a_common_password_is_refused(client: Client, vera: User) -> None:
    client.force_login(vera)
    assert "too common" in change(client, "qwertyuiop123")
    vera.refresh_from_db()
    assert vera.check_password(PASSWORD)
