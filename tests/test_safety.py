"""What every page tells the browser to refuse, the admin included, and what every process answers."""

from __future__ import annotations

import pytest
from django.test import Client

pytestmark = pytest.mark.django_db

LOGIN, ADMIN = "/accounts/login/", "/admin/"


@pytest.mark.parametrize("path", [LOGIN, ADMIN, "/no-such-page/"])
def test_no_page_may_load_or_run_what_is_not_ours(admin_client: Client, path: str) -> None:
    policy = dict(part.strip().split(" ", 1) for part in admin_client.get(path)["Content-Security-Policy"].split(";"))

    assert policy["default-src"] == "'none'"
    assert policy["script-src"] == policy["style-src"] == policy["form-action"] == "'self'"
    assert policy["base-uri"] == policy["frame-ancestors"] == "'none'"
    assert policy["connect-src"] == "'self' ws://127.0.0.1:8000"


@pytest.mark.parametrize("path", [LOGIN, ADMIN])
def test_no_page_may_be_framed_or_guessed_at(admin_client: Client, path: str) -> None:
    headers = admin_client.get(path).headers

    assert headers["X-Frame-Options"] == "DENY"
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Referrer-Policy"] == "same-origin"


def test_a_session_ends_after_half_a_day_and_no_script_reads_it(client: Client, django_user_model: type) -> None:
    django_user_model.objects.create_user("ada", password="correct horse battery")
    client.post(LOGIN, {"username": "ada", "password": "correct horse battery"})
    cookie = client.cookies["failover-session-8000"]

    assert 12 * 3600 - 60 < cookie["max-age"] <= 12 * 3600  # from the log-in on
    assert cookie["httponly"]
    assert cookie["samesite"] == "Lax"


def test_an_unknown_host_is_refused(client: Client) -> None:
    assert client.get(LOGIN, headers={"host": "other.example"}).status_code == 400


def test_a_process_that_reaches_its_database_is_healthy(client: Client) -> None:
    answer = client.get("/healthz")

    assert answer.status_code == 200
    assert answer.json() == {"status": "ok"}


def test_figures_are_not_for_strangers(client: Client) -> None:
    assert client.get("/metrics").status_code == 401


def test_figures_are_for_users(admin_client: Client) -> None:
    answer = admin_client.get("/metrics")

    assert answer.status_code == 200
    assert b"failover_build_info" in answer.content
