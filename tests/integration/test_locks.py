"""Somebody keeps a lock: the web waits two seconds for it, says so, and who hangs in a transaction loses it."""

from __future__ import annotations

import time
from collections.abc import Iterator

import psycopg
import pytest
from django.conf import settings
from django.db import connection as django_connection
from django.test import Client
from django.urls import reverse

from nodes.ledger.connections import connect
from nodes.ledger.rows import Row
from nodes.models import ApiToken, FleetState, NodeState, Pool, Scope
from tests.integration.checking import see
from tests.pressing import press

pytestmark = [pytest.mark.integration, pytest.mark.django_db(transaction=True, serialized_rollback=True)]


@pytest.fixture
def keeper(pool: Pool) -> Iterator[psycopg.Connection[Row]]:
    """A connection without time-outs, which keeps the fleet's row."""
    FleetState.objects.get_or_create(pk=1)
    with connect("keeper") as keeping:
        keeping.execute("SET idle_in_transaction_session_timeout = 0")
        with keeping.transaction():
            keeping.execute("SELECT 1 FROM nodes_fleetstate WHERE id = 1 FOR UPDATE")
            yield keeping


def test_an_action_that_meets_a_lock_says_so_in_time(keeper: psycopg.Connection[Row], pool: Pool, admin_client: Client) -> None:
    began = time.monotonic()
    answer = press(admin_client, reverse("nodes:pool_action", args=[pool.slug]), script=False, action="pause", reason="a look")
    assert answer.status_code == 409
    assert "Somebody else changed this at the same moment, and nothing was done; try again." in answer.content.decode()
    assert time.monotonic() - began < 6


def test_on_the_page_it_is_a_message_where_actions_answer(
    keeper: psycopg.Connection[Row], pool: Pool, admin_client: Client
) -> None:
    node = NodeState.objects.filter(pool_id=pool.pk).first()
    assert node is not None
    with connect("keeps a node") as other, other.transaction():
        other.execute("SELECT 1 FROM nodes_nodestate FOR UPDATE")
        answer = admin_client.post(
            reverse("nodes:node_action", args=[node.pk]), {"action": "check_now"}, headers={"HX-Request": "true"}
        )
    assert (answer.status_code, answer["HX-Retarget"]) == (503, "#messages")
    assert answer.content.decode().startswith('<div class="toast error" role="alert">')
    assert "see whether it was done before you ask again" in answer.content.decode()


def test_the_api_says_so_as_json(keeper: psycopg.Connection[Row], pool: Pool) -> None:
    token = ApiToken(name="balancer", scopes=[Scope.OUTCOMES])
    shown = token.issue()
    token.save()
    node = NodeState.objects.filter(pool_id=pool.pk).first()
    assert node is not None
    answer = Client().post(
        reverse("nodes:outcomes", args=[node.pk]), {"outcomes": [{"success": 1}]}, content_type="application/json",
        headers={"authorization": f"Bearer {shown}"},
    )  # fmt: skip  # one request
    assert (answer.status_code, answer["Content-Type"]) == (503, "application/json")
    assert answer.json()["error"].startswith("this report waited for too long")


def test_reading_waits_for_no_lock(keeper: psycopg.Connection[Row], pool: Pool, admin_client: Client) -> None:
    assert admin_client.get(reverse("nodes:dashboard")).status_code == 200


def test_who_hangs_inside_a_transaction_loses_its_locks(connection: psycopg.Connection[Row], pool: Pool) -> None:
    with connect("hangs") as hung:
        hung.execute("SET idle_in_transaction_session_timeout = 300")  # ms; the console's own is 3 s
        hung.execute("BEGIN")
        hung.execute("SELECT 1 FROM nodes_fleetstate WHERE id = 1 FOR UPDATE")
        see(connection, pool, {"a": "pass"}, time.time())  # waits for the lock, and gets it
        with pytest.raises(psycopg.errors.IdleInTransactionSessionTimeout):
            hung.execute("SELECT 1")


def test_every_connection_of_the_console_has_its_time_outs(connection: psycopg.Connection[Row], pool: Pool) -> None:
    row = connection.execute(
        "SELECT current_setting('lock_timeout') AS lock, current_setting('idle_in_transaction_session_timeout') AS idle"
    ).fetchone()
    assert row == {"lock": "2s", "idle": "3s"}
    with django_connection.cursor() as cursor:
        cursor.execute("SHOW lock_timeout")
        assert cursor.fetchone() == ("2s",)
    assert "idle_in_transaction_session_timeout=3s" in settings.DATABASES["default"]["OPTIONS"]["options"]
