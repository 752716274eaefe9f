"""Single sign-on against a real provider: who comes in by it, as whom, and what is not believed."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import requests
from allauth.socialaccount.models import SocialAccount
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse

from nodes.models import Event, LoginFailure
from tests.accounts.conftest import PASSWORD, code_of, give_app
from tests.accounts.provider import CLIENT, SECRET, Provider, serving

pytestmark = pytest.mark.django_db


@pytest.fixture
def provider(settings: Any) -> Iterator[Provider]:
    with serving() as made:
        app = {
            "provider_id": "sso", "name": "Example ID", "client_id": CLIENT, "secret": SECRET,
            "settings": {"server_url": made.address, "oauth_pkce_enabled": True},
        }  # fmt: skip  # one app
        settings.SOCIALACCOUNT_PROVIDERS = {"openid_connect": {"APPS": [app]}}
        settings.OIDC_SERVER_URL, settings.OIDC_NAME, settings.OIDC_DEFAULT_ROLE = made.address, "Example ID", "viewer"
        yield made


def leave(client: Client, **given: str) -> str:
    """Where the button on our page leads at the provider."""
    page = client.post(f"{reverse('openid_connect_login')}?{given.pop('query', '')}", given).content.decode()
    found = re.search(r'content="0;url=([^"]+)"', page)
    assert found is not None, page
    return html.unescape(found[1])


def come(client: Client, **given: str) -> Any:
    """The whole way: our button, the provider, and back."""
    back = requests.get(leave(client, **given), allow_redirects=False, timeout=5).headers["Location"]
    assert back.startswith("http://127.0.0.1:8000/accounts/oidc/callback/?")
    return client.get(back.removeprefix("http://127.0.0.1:8000"))


def is_in(client: Client) -> bool:
    return client.get("/accounts/").status_code == 200


def test_the_log_in_offers_it_by_its_name(client: Client, provider: Provider) -> None:
    assert "Log in by Example ID" in client.get(reverse("account_login")).content.decode()


def test_a_new_person_becomes_a_user_with_the_role_that_is_set(client: Client, provider: Provider) -> None:
    assert come(client, next="/events/")["Location"] == "/events/"
    nina = User.objects.get(username="nina")
    assert [group.name for group in nina.groups.all()] == ["viewer"]
    assert not nina.has_usable_password()
    assert "nina came by Example ID and was made a user with the role viewer, from 127.0.0.1" in set(
        Event.objects.values_list("message", flat=True)
    )


def test_the_same_person_comes_back_as_the_same_user(provider: Provider) -> None:
    for _ in range(2):
        client = Client()
        come(client)
        assert is_in(client)
    assert User.objects.count() == 1


def test_a_name_that_is_taken_is_not_taken_over(client: Client, provider: Provider, vera: User) -> None:
    provider.person.update(preferred_username="vera", email="vera@example.test")
    vera.email = "vera@example.test"
    vera.save()
    come(client)
    assert SocialAccount.objects.get().user != vera
    assert User.objects.count() == 2


def test_by_default_nobody_new_comes_in(client: Client, provider: Provider, settings: Any) -> None:
    settings.OIDC_DEFAULT_ROLE = "nobody"
    answer = come(client)
    assert "The console does not know you yet" in answer.content.decode()
    assert not is_in(client)
    assert not User.objects.exists()


def test_a_user_connects_it_and_comes_by_it_from_then_on(client: Client, provider: Provider, vera: User, settings: Any) -> None:
    settings.OIDC_DEFAULT_ROLE = "nobody"
    client.force_login(vera)
    asked = come(client, query="process=connect")["Location"]
    assert asked.startswith(reverse("account_reauthenticate"))  # or an open screen is a way in for whoever passes by
    assert not SocialAccount.objects.exists()
    assert client.post(asked, {"password": PASSWORD}, follow=True).redirect_chain[-1][0] == reverse("account")
    assert "Connected since" in client.get("/accounts/").content.decode()
    other = Client()
    come(other)
    assert "vera" in other.get("/accounts/").content.decode()


def test_it_is_disconnected_where_a_password_is_left(client: Client, provider: Provider, vera: User) -> None:
    client.force_login(vera)
    asked = come(client, query="process=connect")["Location"]
    client.post(asked, {"password": PASSWORD})
    client.post(reverse("socialaccount_connections"), {"account": SocialAccount.objects.get().pk})
    assert not SocialAccount.objects.exists()


def test_the_only_way_in_stays(client: Client, provider: Provider) -> None:
    come(client)
    page = client.post(reverse("socialaccount_connections"), {"account": SocialAccount.objects.get().pk}, follow=True)
    assert "It is the only way in: set a password first." in page.content.decode()
    assert SocialAccount.objects.exists()


def test_a_second_factor_of_ours_is_asked_for_all_the_same(provider: Provider) -> None:
    come(Client())
    secret = give_app(User.objects.get())
    client = Client()
    assert come(client)["Location"] == reverse("mfa_authenticate")
    client.post(reverse("mfa_authenticate"), {"code": code_of(secret)})
    assert is_in(client)


def test_who_came_by_it_sets_up_a_second_factor_without_a_password(client: Client, provider: Provider) -> None:
    come(client)
    assert "Set up an authenticator app" in client.get(reverse("mfa_activate_totp")).content.decode()


@pytest.mark.parametrize(
    "wrong",
    [
        {"foreign_key": True},
        {"claims": {"iss": "https://elsewhere.example"}},
        {"claims": {"aud": "another"}},
        {"claims": {"exp": 1}},
    ],
    ids=["signature", "issuer", "audience", "expired"],
)
def test_a_token_that_is_wrong_is_not_believed_and_is_told(client: Client, provider: Provider, wrong: dict[str, Any]) -> None:
    for name, value in wrong.items():
        setattr(provider, name, value)
    come(client)
    assert not is_in(client)
    assert not User.objects.exists()
    assert Event.objects.get(type="login_failed").message.endswith("single sign-on was refused")


@pytest.mark.parametrize(
    "query", ["", "code=x", "code=x&state=y", "error=access_denied", "error=x&state=%00", "code=%ff&state[]=1"]
)
def test_an_answer_that_nobody_asked_for_logs_in_nobody(client: Client, provider: Provider, query: str) -> None:
    assert client.get(f"{reverse('openid_connect_callback')}?{query}").status_code in (200, 302, 400, 401)
    assert not is_in(client)


def test_an_answer_to_another_browser_logs_in_nobody(client: Client, provider: Provider) -> None:
    back = requests.get(leave(client), allow_redirects=False, timeout=5).headers["Location"]
    other = Client()
    other.get(back.removeprefix("http://127.0.0.1:8000"))
    assert not is_in(other)


def test_it_asks_with_a_proof_that_no_other_can_redeem_its_code(client: Client, provider: Provider) -> None:
    asked = parse_qs(urlsplit(leave(client)).query)
    assert asked["code_challenge_method"] == ["S256"]
    assert asked["redirect_uri"] == ["http://127.0.0.1:8000/accounts/oidc/callback/"]


def test_a_provider_that_answers_something_else_is_said_to_be_away(client: Client, provider: Provider) -> None:
    provider.broken = True
    answer = client.post(reverse("openid_connect_login"))
    assert (answer.status_code, "Single sign-on does not answer" in answer.content.decode()) == (503, True)


def test_without_a_provider_there_is_no_such_page(client: Client, db: None) -> None:
    assert client.post(reverse("openid_connect_login")).status_code == 404
    assert client.get(reverse("openid_connect_callback")).status_code == 404
    assert "Log in by" not in client.get(reverse("account_login")).content.decode()


def test_it_is_begun_by_a_form_alone(client: Client, provider: Provider) -> None:
    assert client.get(reverse("openid_connect_login"))["Location"] == reverse("account")
    assert Client(enforce_csrf_checks=True).post(reverse("openid_connect_login")).status_code == 403


def test_the_providers_trouble_is_nobodys_failed_log_in(
    client: Client, provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    well = provider.answer
    monkeypatch.setattr(provider, "answer", lambda path, given: (500, {}) if path == "/token" else well(path, given))
    assert {come(client).status_code for _ in range(15)} == {503}
    assert not LoginFailure.objects.exists()


def test_what_the_provider_answers_is_throttled_and_no_failure_of_ours(
    client: Client, provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    well, odd = provider.answer, {"access_token": "x", "id_token": "a.b.c", "expires_in": "soon"}
    monkeypatch.setattr(provider, "answer", lambda path, given: (200, odd) if path == "/token" else well(path, given))
    assert [come(client).status_code for _ in range(14)] == [400] * 11 + [429] * 3
