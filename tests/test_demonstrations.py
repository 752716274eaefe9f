"""The four demonstrations of the reference implementation, as `manage.py demonstrate` prints them."""

from __future__ import annotations

from io import StringIO

from django.core.management import call_command

from nodes.management.commands.demonstrate import breaker_recovers, breaker_trips, event_log, node_fails_and_recovers


def test_the_breaker_trips_and_rejects() -> None:
    lines = list(breaker_trips())
    assert lines[-1] == "7 asked, 3 succeeded, 3 failed, 1 rejected"
    assert lines[-2] == "call rejected, try again in 30 s, breaker open"


def test_the_breaker_recovers() -> None:
    assert list(breaker_recovers())[-1] == "closed → open → half_open → closed"


def test_a_node_of_three_fails_its_checks_and_recovers() -> None:
    assert list(node_fails_and_recovers()) == [
        "api-2 healthy: api-1=3334 api-2=3333 api-3=3333",
        "api-2 healthy (1/2): api-1=3334 api-2=3333 api-3=3333",
        "api-2 failed (2/2): api-1=5001 api-2=0 api-3=4999",
        "api-2 recovering (1/2): api-1=5001 api-2=0 api-3=4999",
        "api-2 healthy (2/2): api-1=3334 api-2=3333 api-3=3333",
        "failovers 1, recoveries 1",
    ]


def test_the_event_log_tells_it_in_its_order() -> None:
    about_node = [line.split(":")[0] for line in event_log() if "api-2" in line]
    assert about_node == [
        "rebalanced",
        "health_check_failed",
        "health_check_failed",
        "node_marked_failed",
        "failover_started",
        "recovery_started",
        "failover_completed",
        "recovery_completed",
    ]


def test_the_command_prints_all_four() -> None:
    printed = StringIO()
    call_command("demonstrate", stdout=printed)
    text = printed.getvalue()
    for number, demonstration in enumerate((breaker_trips, breaker_recovers, node_fails_and_recovers, event_log), start=1):
        assert f"{number}. {demonstration.__doc__}" in text
        assert all(line in text for line in demonstration())
