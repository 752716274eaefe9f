"""Two people who take one name: the second is told so by the form, also when both asked at the same moment."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from django.db import connection, connections
from django.test import Client

from nodes.ledger.connections import connect
from nodes.models import BreakerPolicy, Node
from tests.admin.conftest import Fleet, errors, node_form, page
from tests.product import eventually

TAKEN = "Another node of API has this name"


def test_a_name_that_is_taken_is_refused_when_a_node_is_added(admin: Client, fleet: Fleet) -> None:
    answer = admin.post(page("node", "add"), node_form(None, pool=fleet.pool, name="alpha", address="a.example"))
    assert TAKEN in errors(answer)


def test_a_name_that_is_taken_is_refused_when_a_node_is_renamed(admin: Client, fleet: Fleet) -> None:
    assert TAKEN in errors(admin.post(page("node", "change", fleet.second.pk), node_form(fleet.second, name="alpha")))


def test_the_name_of_a_removed_node_is_free(admin: Client, fleet: Fleet) -> None:
    Node.objects.filter(pk=fleet.first.pk).update(removed_at="2026-01-01T00:00Z")
    answer = admin.post(page("node", "change", fleet.second.pk), node_form(fleet.second, name="alpha"))
    assert answer.status_code == 302


def other_stores_first(statement: str, values: list[Any], ask: Any) -> Any:
    """What `ask` answers when another session has stored a row that it does not see yet, and commits while it waits."""
    connection.close()
    answers: list[Any] = []

    def run() -> None:
        try:
            answers.append(ask())
        finally:
            connections.close_all()

    with connect("the other") as other:
        other.autocommit = False
        other.execute(statement, values)
        asking = threading.Thread(target=run)
        asking.start()
        eventually(_somebody_waits, 10, "the second waits for the first")
        other.commit()
        asking.join(20)
    return answers[0]


def _somebody_waits() -> bool:
    with connect("the test") as looking:
        row = looking.execute("SELECT count(*) AS number FROM pg_stat_activity WHERE wait_event_type = 'Lock'").fetchone()
    return bool(row and row["number"])


@pytest.mark.django_db(transaction=True, serialized_rollback=True)
def test_who_loses_a_race_for_a_name_is_told_by_the_form(admin: Client, fleet: Fleet) -> None:
    stored = "UPDATE nodes_node SET name = 'gamma' WHERE id = %s"
    form = node_form(fleet.second, name="gamma")
    answer = other_stores_first(stored, [fleet.first.pk], lambda: admin.post(page("node", "change", fleet.second.pk), form))
    assert TAKEN in errors(answer)


@pytest.mark.django_db(transaction=True, serialized_rollback=True)
def test_so_is_who_adds_a_policy(admin: Client, fleet: Fleet) -> None:
    spare = BreakerPolicy.objects.create(name="spare")
    form = {
        "name": "new", "failure_threshold": 5, "success_threshold": 2, "timeout": 30, "max_requests": 1, "timeout_multiplier": 1,
        "jitter": 0, "trial_timeout": 60, "minimum_calls": 10,
    }  # fmt: skip  # what a browser posts
    stored = "UPDATE nodes_breakerpolicy SET name = 'new' WHERE id = %s"
    answer = other_stores_first(stored, [spare.pk], lambda: admin.post(page("breakerpolicy", "add"), form))
    assert "already exists" in errors(answer)
