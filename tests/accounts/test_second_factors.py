"""Authenticator apps and recovery codes: set up, asked for, used once, kept secret, reset."""

from __future__ import annotations

import base64
import re
from io import StringIO
from typing import Any
from urllib.parse import unquote

import pytest
from allauth.mfa.models import Authenticator
from cryptography.fernet import Fernet
from django.contrib.auth.models import User
from django.core.cache import cache
from django.core.management import CommandError, call_command
from django.test import Client
from django.urls import reverse

from nodes.models import Event
from tests.accounts.conftest import PASSWORD, code_of, give_app, give_codes, kinds, log_in

pytestmark = pytest.mark.django_db
CHECK = "/accounts/second-factor/check/"


def proved(client: Client, user: User) -> Client:
    client.force_login(user)
    client.post(reverse("account_reauthenticate"), {"password": PASSWORD})
    return client


def set_up(client: Client) -> tuple[str, str]:
    """The secret of the page that sets up an app, and what it answers to the code of it."""
    body = client.get(reverse("mfa_activate_totp")).content.decode()
    secret = re.search(r'<p class="mono">([A-Z2-7]{32})</p>', body)
    assert secret is not None
    answer = client.post(reverse("mfa_activate_totp"), {"code": code_of(secret[1])}, follow=True)
    return secret[1], answer.content.decode()


def test_setting_up_asks_for_the_password_first(client: Client, vera: User) -> None:
    client.force_login(vera)
    assert client.get(reverse("mfa_activate_totp"))["Location"].startswith(reverse("account_reauthenticate"))


def test_an_app_is_set_up_by_its_picture_and_first_code(
    client: Client, vera: User, django_capture_on_commit_callbacks: Any
) -> None:
    body = proved(client, vera).get(reverse("mfa_activate_totp")).content.decode()
    picture = re.search(r'src="data:image/svg\+xml;base64,([^"]+)"', body)
    assert picture is not None
    assert b"<svg" in base64.b64decode(picture[1])
    with django_capture_on_commit_callbacks(execute=True):
        _, page = set_up(client)
    assert "They are shown this once" in page
    assert kinds(vera) == {"totp", "recovery_codes"}
    assert "vera set up an authenticator app, from 127.0.0.1" in Event.objects.values_list("message", flat=True)


def test_a_wrong_first_code_sets_up_nothing_and_keeps_the_picture(client: Client, vera: User) -> None:
    proved(client, vera)
    before = client.get(reverse("mfa_activate_totp")).content.decode()
    secret = re.search(r'<p class="mono">(\w+)</p>', before)
    assert secret is not None
    after = client.post(reverse("mfa_activate_totp"), {"code": code_of(secret[1], periods=7)}).content.decode()
    assert "This code does not fit" in after
    assert secret[1] in after
    assert kinds(vera) == set()


def test_the_recovery_codes_are_shown_once_and_as_a_file(client: Client, vera: User) -> None:
    _, page = set_up(proved(client, vera))
    shown = re.findall(r"<li>(\d{8})</li>", page)
    file = re.search(r'href="data:text/plain;charset=utf-8,([^"]+)" download="recovery-codes.txt"', page)
    assert file is not None
    assert unquote(file[1]).split() == shown
    assert len(shown) == 10
    again = client.get(reverse("mfa_view_recovery_codes")).content.decode()
    assert "10 of 10 are unused" in again
    assert not any(code in again for code in shown)


def test_no_secret_is_stored_as_it_is(client: Client, vera: User) -> None:
    secret, page = set_up(proved(client, vera))
    stored = "".join(str(each.data) for each in Authenticator.objects.all())
    assert secret not in stored
    assert not any(code in stored for code in re.findall(r"<li>(\d{8})</li>", page))


def test_the_password_alone_opens_nothing_then(client: Client, vera: User) -> None:
    give_app(vera)
    assert log_in(client, "vera")["Location"] == CHECK
    for place in ("/", "/accounts/", "/admin/", "/api/v1/pools/x/shares"):
        assert client.get(place).status_code in (302, 401), place
    assert "second-factor/check" in client.get("/accounts/login/")["Location"]


def test_the_code_completes_the_log_in_and_leads_on(client: Client, vera: User) -> None:
    secret = give_app(vera)
    log_in(client, "vera", next="/events/")
    assert "Six digits of your app" in client.get(CHECK).content.decode()
    assert client.post(CHECK, {"code": code_of(secret)})["Location"] == "/events/"
    assert client.get("/accounts/").status_code == 200


@pytest.mark.parametrize("periods", [-1, 0, 1])
def test_a_clock_may_be_half_a_minute_off(client: Client, vera: User, periods: int) -> None:
    secret = give_app(vera)
    log_in(client, "vera")
    assert client.post(CHECK, {"code": f" {code_of(secret, periods=periods)} "}).status_code == 302


def test_a_code_is_good_once(vera: User) -> None:
    code = code_of(give_app(vera))
    first, second = Client(), Client()
    for client in (first, second):
        log_in(client, "vera")
    assert first.post(CHECK, {"code": code}).status_code == 302
    cache.clear()  # as another process has its own
    answer = second.post(CHECK, {"code": code})
    assert "This code is wrong, or was used already." in answer.content.decode()


def test_a_wrong_code_is_a_failed_log_in(client: Client, vera: User) -> None:
    give_app(vera)
    log_in(client, "vera", address="192.0.2.1")
    client.post(CHECK, {"code": "000000"}, REMOTE_ADDR="192.0.2.5")
    assert Event.objects.get(type="login_failed").message == "Log-in as vera from 192.0.2.5 failed: wrong code"


def test_a_recovery_code_logs_in_once_and_is_told(vera: User) -> None:
    give_app(vera)
    code = give_codes(vera)[0]
    for status in (302, 200):
        client = Client()
        log_in(client, "vera")
        assert client.post(CHECK, {"code": code}).status_code == status
    assert Event.objects.filter(message__startswith="vera used a recovery code").count() == 1


@pytest.mark.parametrize("code", ["", "0", "x" * 5000, "٣٣٣٣٣٣", "000 000", "\0", "-00001"])
def test_what_is_no_code_is_refused(client: Client, vera: User, code: str) -> None:
    give_app(vera)
    log_in(client, "vera")
    assert client.post(CHECK, {"code": code}).status_code in (200, 400)
    assert client.get("/accounts/")["Location"].startswith("/accounts/login/")


@pytest.mark.parametrize(
    "credential", ["", "null", "[]", "{}", '{"id": 1}', '{"response": {"userHandle": "AAAA"}}', "x", '"\\ud800"']
)
@pytest.mark.parametrize("name", ["mfa_login_webauthn", "mfa_authenticate", "mfa_reauthenticate_webauthn", "mfa_add_webauthn"])
def test_what_is_no_passkey_is_refused(client: Client, vera: User, name: str, credential: str) -> None:
    give_app(vera)
    if name in ("mfa_login_webauthn", "mfa_authenticate"):
        log_in(client, "vera")
    else:
        proved(client, vera)
    assert client.post(reverse(name), {"credential": credential, "name": "x"}).status_code in (200, 302)
    assert kinds(vera) == {"totp"}


@pytest.fixture
def passkey(vera: User) -> Authenticator:
    return Authenticator.objects.create(user=vera, type="webauthn", data={"name": "stick", "credential": {}})


def rename(client: Client, passkey: Authenticator, name: str) -> str:
    answer = client.post(reverse("mfa_edit_webauthn", args=[passkey.pk]), {"name": name})
    passkey.refresh_from_db()
    return answer.content.decode()


def test_a_renamed_passkey_is_told_once(client: Client, vera: User, passkey: Authenticator) -> None:
    proved(client, vera)
    for _ in range(2):
        rename(client, passkey, "key ring")
    assert passkey.wrap().name == "key ring"
    assert list(Event.objects.values_list("message", flat=True)) == ["vera renamed a passkey, from 127.0.0.1"]


BAD_NAMES = pytest.mark.parametrize(("name", "said"), [("stick\u202eyek", "U+202E"), ("x" * 61, "at most 60 characters")])


@BAD_NAMES
def test_a_passkey_gets_no_name_that_is_long_or_cannot_be_seen(
    client: Client, vera: User, passkey: Authenticator, name: str, said: str
) -> None:
    assert said in rename(proved(client, vera), passkey, name)
    assert passkey.wrap().name == "stick"


@BAD_NAMES
def test_a_passkey_is_not_added_by_such_a_name(client: Client, vera: User, name: str, said: str) -> None:
    answer = proved(client, vera).post(reverse("mfa_add_webauthn"), {"name": name, "credential": "{}"})
    assert answer.content.decode().count(said) == 1


def test_who_lost_the_second_factor_is_told_what_helps(client: Client, vera: User) -> None:
    give_app(vera)
    log_in(client, "vera")
    body = client.get(CHECK).content.decode()
    assert "manage.py reset_second_factor" in body
    assert "asks an admin" not in body


def test_without_its_app_the_recovery_codes_are_gone(client: Client, vera: User) -> None:
    set_up(proved(client, vera))
    client.post(reverse("mfa_deactivate_totp"))
    assert kinds(vera) == set()
    assert "vera removed the authenticator app" in str(list(Event.objects.values_list("message", flat=True)))


def test_the_command_removes_all_of_them_ends_the_sessions_and_is_told(client: Client, vera: User) -> None:
    log_in(client, "vera")
    give_app(vera)
    give_codes(vera)
    said = StringIO()
    call_command("reset_second_factor", "vera", stdout=said)
    assert said.getvalue() == "vera: 2 second factors removed, 1 sessions ended.\n"
    assert client.get("/accounts/").status_code == 302
    told = Event.objects.get(type="account_changed")
    assert (told.actor, told.message) == (
        "manage.py", "The second factors of vera were removed on the server (reset_second_factor)",
    )  # fmt: skip  # one value
    assert log_in(Client(), "vera")["Location"] == "/"


def test_the_command_knows_its_people(db: None) -> None:
    with pytest.raises(CommandError, match="Nobody has the user name nina"):
        call_command("reset_second_factor", "nina")


def test_the_admin_shows_no_secret_of_it(client: Client, vera: User) -> None:
    vera.is_superuser = vera.is_staff = True
    vera.save()
    client.force_login(vera)
    assert not re.findall(r"/admin/(mfa|usersessions|socialaccount|account)/", client.get("/admin/").content.decode())
    assert client.get("/admin/mfa/authenticator/").status_code == 404


@pytest.mark.parametrize("place", [CHECK, "/accounts/"])
def test_a_lost_key_is_said_and_is_no_failure_of_the_person(client: Client, vera: User, settings: Any, place: str) -> None:
    give_app(vera)
    give_codes(vera)
    if place == CHECK:
        log_in(client, "vera")
    else:
        client.force_login(vera)
    settings.ENCRYPTION_KEYS = (Fernet.generate_key().decode(),)
    answer = client.post(place, {"code": "123456"}) if place == CHECK else client.get(place)
    assert answer.status_code == 503
    assert "Your second factor cannot be read" in answer.content.decode()
    assert not Event.objects.filter(type="login_failed").exists()
