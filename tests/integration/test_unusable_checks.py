"""A check that cannot be built costs its node alone: its observation is unknown and says what to do; the others are asked."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

import psycopg
import pytest
from cryptography.fernet import Fernet
from django.db import connection as django_connection
from django.test import override_settings

from nodes import runner
from nodes.engine.enums import Verdict
from nodes.ledger.rows import Row
from nodes.models import Check, FailoverPolicy, Node, NodeState, Pool
from nodes.runner import specs
from tests.product import eventually

pytestmark = [pytest.mark.integration, pytest.mark.django_db(transaction=True, serialized_rollback=True)]

Spoil = Callable[[], object]


def of_a(**columns: object) -> Spoil:
    return lambda: Check.objects.filter(node__name="a").update(**columns)


def composite(**child: object) -> Spoil:
    def make() -> None:
        Check.objects.filter(node__name="a").update(**child)
        Check.objects.create(node=Node.objects.get(name="a"), kind="composite")

    return make


def raw(column: str, value: object) -> Spoil:
    """Past the encryption of the model."""

    def make() -> None:
        with django_connection.cursor() as cursor:
            cursor.execute(f"UPDATE nodes_check SET {column} = %s", [value])

    return make


BAD: dict[str, tuple[Spoil, str]] = {
    "kind": (of_a(kind="seance"), "there is no check of the kind “seance”, choose one of http, tcp, tls, push, composite"),
    "quorum": (
        lambda: (composite()(), Check.objects.filter(kind="composite").update(quorum="most")),
        "there is no quorum “most”, choose one of all, any, majority",
    ),
    "port": (lambda: Node.objects.filter(name="a").update(port=0), "0 is no port, give the node or its check one from 1 to 65535"),
    "address": (lambda: Node.objects.filter(name="a").update(address=""), "its node has no address, give it one"),
    "status": (of_a(expected_status="fine"), "“fine” is no status or range of statuses; write for example 200-299,301."),
    "child of a composite": (composite(kind="seance"), "there is no check of the kind “seance”"),
    "composite of nothing": (of_a(kind="composite"), "its composite check has no other check to count, add one"),
    "headers": (of_a(headers="no colon here"), "its headers, enter them again: Line 1 is not “Name: value”"),
    "interval": (
        lambda: Node.objects.filter(name="a").update(interval=-1.0),
        "an interval or a check timeout of -1.0 s cannot be kept",
    ),
}


def load(connection: psycopg.Connection[Row]) -> dict[str, str]:
    """Node name -> why its check is unusable; empty when it is not."""
    names = dict(Node.objects.values_list("pk", "name"))
    with connection.cursor() as cursor:
        return {names[node]: spec.unusable for node, spec in specs.load(cursor).items()}


@pytest.mark.parametrize("bad", BAD)
def test_the_others_are_built_and_it_says_what_to_do(connection: psycopg.Connection[Row], pool: Pool, bad: str) -> None:
    spoil, sentence = BAD[bad]
    spoil()
    found = load(connection)
    assert found["a"].startswith(f"cannot be checked: {sentence}")
    assert (found["b"], found["c"]) == ("", "")


@pytest.mark.parametrize("stored", ["no ciphertext", "gAAAA", "\N{SNOWMAN}"])
def test_a_secret_that_cannot_be_read_says_so(connection: psycopg.Connection[Row], pool: Pool, stored: str) -> None:
    raw("headers", stored)()
    (why,) = set(load(connection).values())
    assert why.startswith(
        "cannot be checked: the secret in its headers cannot be read with today's ENCRYPTION_KEYS: put the former"
    )


def test_a_key_that_is_gone_costs_only_who_has_secrets(connection: psycopg.Connection[Row], pool: Pool) -> None:
    for check in Check.objects.filter(node__name="a"):
        check.headers = "Authorization: Bearer x"
        check.save()
    with override_settings(ENCRYPTION_KEYS=[Fernet.generate_key().decode()]):
        found = load(connection)
    assert "ENCRYPTION_KEYS" in found["a"]
    assert (found["b"], found["c"]) == ("", "")


def test_it_is_logged_until_the_node_itself_says_so(
    connection: psycopg.Connection[Row], pool: Pool, caplog: pytest.LogCaptureFixture
) -> None:
    BAD["kind"][0]()
    FailoverPolicy.objects.update(interval=0.3, check_timeout=0.2)
    stop = threading.Event()
    with caplog.at_level(logging.ERROR):
        thread = threading.Thread(target=runner.serve, args=(stop.is_set,))
        thread.start()
        try:
            eventually(lambda: NodeState.objects.get(node__name="a").last_message, 20, "the node says why")
            eventually(lambda: NodeState.objects.get(node__name="b").last_verdict, 20, "the others are asked")
        finally:
            stop.set()
            thread.join(20)
        load(connection)
    state = NodeState.objects.get(node__name="a")
    assert (state.last_verdict, state.last_message) == (Verdict.UNKNOWN, f"cannot be checked: {BAD['kind'][1]}")
    said = [record.getMessage() for record in caplog.records if "cannot be checked" in record.getMessage()]
    assert len(said) == 1
    of_a(kind="ouija")()
    with caplog.at_level(logging.ERROR):
        load(connection)
    assert "“ouija”" in caplog.records[-1].getMessage()  # another cause is told anew
