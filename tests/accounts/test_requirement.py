"""Where a second factor is required, whoever has none reaches their own account and nothing else."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.exceptions import ImproperlyConfigured
from django.test import Client
from django.urls import reverse

from failover_console import environment
from failover_console.accounts.requirement import live_second_factor
from tests.accounts.conftest import PASSWORD, code_of, give_app, kinds, log_in
from tests.accounts.test_second_factors import proved, set_up

pytestmark = pytest.mark.django_db
PAGES = ("/", "/events/", "/incidents/", "/alerts/", "/reports/", "/admin/", "/goto/", "/styleguide/")


@pytest.fixture(autouse=True)
def required(settings: Any) -> None:
    settings.SECOND_FACTOR_REQUIRED = "operators"


@pytest.mark.parametrize("place", PAGES)
def test_an_operator_without_one_is_led_to_their_account(client: Client, oscar: User, place: str) -> None:
    client.force_login(oscar)
    assert client.get(place)["Location"] == reverse("account")
    assert client.post(place)["Location"] == reverse("account")


def test_the_page_says_why_and_shows_nothing_of_the_fleet(client: Client, oscar: User) -> None:
    client.force_login(oscar)
    body = client.get(reverse("account")).content.decode()
    assert "Set up a second factor first." in body
    assert "ws-connect" not in body
    assert 'class="foot"' not in body
    assert reverse("nodes:events") not in body


def test_a_fragment_sends_the_whole_page_there(client: Client, oscar: User) -> None:
    client.force_login(oscar)
    assert client.get("/", headers={"hx-request": "true"})["HX-Redirect"] == reverse("account")


@pytest.mark.parametrize("place", ["/api/v1/pools/x/shares", "/metrics"])
def test_a_program_with_the_session_gets_a_sentence(client: Client, oscar: User, place: str) -> None:
    client.force_login(oscar)
    answer = client.get(place)
    assert (answer.status_code, answer.json()["error"]) == (
        403, "your role needs a second factor: set one up on the page of your account",
    )  # fmt: skip  # one value


def test_once_it_is_set_up_everything_opens(client: Client, oscar: User) -> None:
    set_up(proved(client, oscar))
    assert client.get("/").status_code == 200


def test_who_has_one_logs_in_by_it(client: Client, oscar: User) -> None:
    secret = give_app(oscar)
    log_in(client, "oscar")
    client.post(reverse("mfa_authenticate"), {"code": code_of(secret)})
    assert client.get("/").status_code == 200


def test_the_last_one_cannot_be_removed(client: Client, oscar: User) -> None:
    set_up(proved(client, oscar))
    page = client.post(reverse("mfa_deactivate_totp"), follow=True).content.decode()
    assert "Your role needs a second factor: add another one before you remove this." in page
    assert "totp" in kinds(oscar)


@pytest.mark.parametrize(("wanted", "status"), [("nobody", 200), ("operators", 200), ("everyone", 302)])
def test_of_viewers_it_is_required_with_everyone(client: Client, vera: User, settings: Any, wanted: str, status: int) -> None:
    settings.SECOND_FACTOR_REQUIRED = wanted
    client.force_login(vera)
    assert client.get("/").status_code == status


def test_a_superuser_is_no_exception(client: Client, vera: User) -> None:
    vera.is_superuser = True
    vera.save()
    client.force_login(vera)
    assert client.get("/")["Location"] == reverse("account")


def test_it_costs_no_question_where_nobody_needs_one(
    client: Client, vera: User, settings: Any, django_assert_num_queries: object
) -> None:
    settings.SECOND_FACTOR_REQUIRED = "nobody"
    client.force_login(vera)
    with django_assert_num_queries(0):  # type: ignore[operator]  # pytest-django names no type
        client.post("/preferences/")


@pytest.mark.parametrize("opens", [False, True])
async def test_the_live_socket_stays_closed_as_pages_do(opens: bool, settings: Any) -> None:
    sent: list[dict[str, object]] = []

    async def socket(_scope: object, _receive: object, send: object) -> None:
        await send({"type": "websocket.accept"})  # type: ignore[operator]  # as ASGI calls it

    async def receive() -> dict[str, object]:
        return {"type": "websocket.connect"}

    async def send(message: dict[str, object]) -> None:
        sent.append(message)

    settings.SECOND_FACTOR_REQUIRED = "nobody" if opens else "everyone"

    class Somebody:
        is_authenticated, is_staff, pk = True, False, 0

    await live_second_factor(socket)({"user": Somebody()}, receive, send)
    assert [each["type"] for each in sent] == ["websocket.accept" if opens else "websocket.close"]


def test_a_word_that_is_none_of_the_three_stops_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECOND_FACTOR_REQUIRED", "some")
    with pytest.raises(ImproperlyConfigured, match="one of nobody, operators, everyone"):
        environment.choice("SECOND_FACTOR_REQUIRED", ("nobody", "operators", "everyone"))


def test_the_password_may_be_changed_before(client: Client, oscar: User) -> None:
    client.force_login(oscar)
    form = {"oldpassword": PASSWORD, "password1": "amber-harbour-77", "password2": "amber-harbour-77"}
    assert client.post(reverse("account_change_password"), form)["Location"] == reverse("account")
