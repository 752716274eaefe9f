"""Failed log-ins in the history: each is told, a flood in few lines, a series once with an end."""

from __future__ import annotations

import logging

import pytest
from django.contrib.auth.models import User

from failover_console.accounts import refusals
from nodes.ledger import logins
from nodes.ledger.lasting import lasting
from nodes.models import Event, LoginFailure
from nodes.operations import ledger
from nodes.tasks import watch_logins
from tests.accounts.conftest import Later, guess

pytestmark = pytest.mark.django_db


def told(*types: str) -> list[str]:
    return list(Event.objects.filter(type__in=types).order_by("pk").values_list("message", flat=True))


def fail(account: str, address: str, times: int = 1) -> None:
    for _ in range(times):
        with ledger() as cursor:
            logins.note(cursor, logins.Failure(account, address, "wrong password"))


def test_a_failure_is_an_event_and_a_line_with_the_address(vera: User, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "failover_console.accounts"):
        guess("vera", address="192.0.2.7")
    said = "Log-in as vera from 192.0.2.7 failed: wrong password"
    assert told("login_failed") == [said]
    assert said in caplog.text


def test_an_unknown_name_is_told_without_it(vera: User) -> None:
    guess("secret-typed-here", address="192.0.2.7")
    assert told("login_failed") == ["Log-in by a name that nobody has from 192.0.2.7 failed: wrong password"]


def test_more_in_the_same_minute_are_counted_by_one_further_event(later: Later) -> None:
    fail("vera", "192.0.2.7", 5)
    assert len(told("login_failed")) == 1
    later(121)
    watch_logins()
    watch_logins()
    assert told("login_failed")[1:] == ["Log-in as vera from 192.0.2.7 failed: 4 times more in the same minute"]


def test_a_flood_writes_few_events_and_loses_no_count(later: Later) -> None:
    for number in range(200):
        fail("", f"192.0.2.{number}" if number < 100 else f"198.51.100.{number}", 2)
    assert len(told("login_failed")) <= logins.EVENTS_A_MINUTE
    later(121)
    watch_logins()
    assert len(told("login_failed")) <= logins.EVENTS_A_MINUTE + 1
    assert sum(each.detail["count"] for each in Event.objects.filter(type="login_failed")) == 400


@pytest.mark.parametrize("spread", ["account", "address"])
def test_a_series_is_told_once_and_ends_when_it_is_over(later: Later, spread: str) -> None:
    for number in range(15):
        if spread == "account":
            fail("vera", f"192.0.2.{number}")
        else:
            fail("", "192.0.2.1")
    begun = Event.objects.get(type="login_failures")
    assert (begun.severity, begun.actor) == ("warning", "engine")
    assert begun.message.startswith("10 log-ins " + ("of vera" if spread == "account" else "from 192.0.2.1"))
    with ledger() as cursor:
        assert "fleet/login_failures" in lasting(cursor)
    watch_logins()
    assert told("login_failures_ended") == []
    later(700)
    watch_logins()
    watch_logins()
    assert len(told("login_failures_ended")) == 1
    with ledger() as cursor:
        assert "fleet/login_failures" not in lasting(cursor)


def test_nine_failures_are_no_series(vera: User) -> None:
    fail("vera", "192.0.2.1", 9)
    assert told("login_failures") == []


def test_a_series_reaches_the_alerts(vera: User) -> None:
    fail("vera", "192.0.2.1", 10)
    assert Event.objects.filter(type="login_failures", outbox__isnull=False).count() == 1


def test_old_counts_are_removed(later: Later) -> None:
    fail("vera", "192.0.2.1")
    later(4000)
    watch_logins()
    assert not LoginFailure.objects.exists()


def test_a_flood_of_refusals_writes_a_line_a_second_and_counts_them(
    vera: User, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    guess("vera", 4)
    caplog.clear()
    monkeypatch.setattr(refusals, "EVERY", 600.0)
    monkeypatch.setattr(refusals, "_said_at", -refusals.EVERY)
    monkeypatch.setattr(refusals, "_unsaid", 0)
    with caplog.at_level(logging.INFO):
        guess("vera", 20)
        monkeypatch.setattr(refusals, "_said_at", -refusals.EVERY)
        guess("vera")
    assert [each.getMessage() for each in caplog.records] == [
        "Log-ins refused: 1, the last with 429 from 192.0.2.1", "Log-ins refused: 20, the last with 429 from 192.0.2.1",
    ]  # fmt: skip  # two lines
