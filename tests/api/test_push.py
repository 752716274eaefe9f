"""Nodes that call us: each has a secret, and only the right one counts."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from contextlib import closing
from datetime import datetime
from urllib.parse import quote

import psycopg
import pytest
from django.db import connection
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from nodes import pushes
from nodes.ledger.connections import parameters
from nodes.models import Check, Node, NodeState, Pool
from nodes.receiver import LARGEST_BODY, receiver
from tests.asgi import Answer, asked

pytestmark = pytest.mark.django_db(transaction=True, serialized_rollback=True)


@pytest.fixture
def secret(api: Pool) -> str:
    check = Check.objects.get(node__name="api-1")
    check.kind = "push"
    made = check.new_push_secret()
    check.save()
    return made


@pytest.fixture
def node(api: Pool) -> Node:
    return Node.objects.get(name="api-1")


def call(node: Node | int, secret: str = "", *, method: str = "POST", bearer: str = "", body: Iterable[bytes] = (b"",)) -> Answer:
    path = pushes.address(node if isinstance(node, int) else node.pk) + (f"{secret}/" if secret else "")
    headers = {"Authorization": f"Bearer {bearer}"} if bearer else {}
    return asyncio.run(asked(receiver, method, path, headers=headers, body=list(body)))


def beats() -> list[datetime]:
    return [at for at in NodeState.objects.order_by("node_id").values_list("last_beat_at", flat=True) if at is not None]


@pytest.mark.parametrize("method", ["GET", "POST", "HEAD"])
def test_a_heartbeat_is_recorded(node: Node, secret: str, now: datetime, method: str) -> None:
    assert call(node, secret, method=method).status == 200
    node.state.refresh_from_db()
    assert node.state.last_beat_at is not None
    assert node.state.last_beat_at >= now
    assert len(beats()) == 1


def test_the_secret_comes_as_a_bearer_token_and_stays_out_of_the_address(node: Node, secret: str) -> None:
    assert call(node, bearer=secret).status == 200
    assert len(beats()) == 1
    assert call(node, bearer=secret + "x").status == 403
    unnamed = call(node)
    assert (unnamed.status, unnamed.headers["www-authenticate"]) == (401, "Bearer")


def test_a_loss_counts_where_a_heartbeat_was_taken_and_not_where_a_stranger_is(node: Node, secret: str) -> None:
    for good, where in ((secret, "192.0.2.1"), ("wrong", "192.0.2.2")):
        asyncio.run(asked(receiver, "POST", f"{pushes.address(node.pk)}{good}/", client=where))
    before = pushes.last_miss()
    pushes.missed("192.0.2.2")
    assert pushes.last_miss() == before
    pushes.missed("192.0.2.1")
    assert pushes.last_miss() != before


def test_a_heartbeat_says_ok_and_is_kept_nowhere(node: Node, secret: str) -> None:
    answer = call(node, secret, body=(b"load 0.7",))
    assert (answer.status, answer.body, answer.headers["content-type"]) == (200, b"ok\n", "text/plain; charset=utf-8")
    assert answer.headers["cache-control"] == "no-store"


def test_a_heartbeat_is_a_new_version_of_the_row(node: Node, secret: str) -> None:
    before = node.state.version
    call(node, secret)
    node.state.refresh_from_db()
    assert node.state.version == before + 1


def test_another_secret_is_forbidden_and_nothing_is_recorded(node: Node, secret: str) -> None:
    version = node.state.version
    answer = call(node, secret[:-1] + "%C3%A9")
    assert (answer.status, answer.body) == (403, b"no such node, or another secret\n")
    node.state.refresh_from_db()
    assert (beats(), node.state.version) == ([], version)


def test_the_secret_of_one_node_counts_for_no_other(api: Pool, secret: str) -> None:
    other = Check.objects.get(node__name="api-2")
    other.kind = "push"
    other.new_push_secret()
    other.save()
    assert call(other.node, secret).status == 403
    assert beats() == []


def test_a_node_that_is_asked_by_us_cannot_call(node: Node, secret: str) -> None:
    Check.objects.filter(node=node).update(kind="http")
    assert call(node, secret).status == 403
    assert beats() == []


def test_a_node_without_a_secret_yet_cannot_call(node: Node, secret: str) -> None:
    Check.objects.filter(node=node).update(push_digest="")
    assert call(node, secret).status == 403


def test_a_removed_node_cannot_call(node: Node, secret: str, now: datetime) -> None:
    Node.objects.filter(pk=node.pk).update(removed_at=now)
    assert call(node, secret).status == 403
    assert beats() == []


@pytest.mark.parametrize("number", [0, 999_999, 10**17])
def test_a_node_that_does_not_exist_is_told_apart_from_nothing(secret: str, number: int) -> None:
    answer = call(number, secret)
    assert (answer.status, answer.body) == (403, b"no such node, or another secret\n")


def test_a_new_secret_ends_the_old_one(node: Node, secret: str) -> None:
    check = Check.objects.get(node=node)
    new = check.new_push_secret()
    check.save()
    assert call(node, secret).status == 403
    assert call(node, new).status == 200


def test_a_body_is_read_to_a_limit_and_then_refused(node: Node, secret: str) -> None:
    refused = call(node, secret, body=[b"x" * LARGEST_BODY, b"x"])
    assert (refused.status, beats()) == (413, [])
    assert b"needs no body" in refused.body
    assert call(node, secret, body=[b"x" * (LARGEST_BODY - 1), b"x"]).status == 200


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "OPTIONS"])
def test_other_methods_are_refused(node: Node, secret: str, method: str) -> None:
    answer = call(node, secret, method=method)
    assert (answer.status, answer.headers["allow"]) == (405, "GET, HEAD, POST")
    assert beats() == []


@pytest.mark.parametrize("target", ["/push/", "/push/x/y/", "/push/1/a/b/", f"/push/{10**30}/x/", "/push/-1/x/"])
def test_what_is_no_address_of_a_node_is_not_found(target: str) -> None:
    assert asyncio.run(asked(receiver, "POST", target)).status == 404


def test_the_secret_is_stored_as_its_digest_alone(secret: str) -> None:
    assert secret not in str(list(Check.objects.values()))


def test_calls_that_come_together_are_written_together_and_each_is_answered_for_itself(node: Node, secret: str) -> None:
    async def together() -> list[bool]:
        return await asyncio.gather(*(pushes.take(node.pk, secret if number % 2 else "wrong") for number in range(40)))

    assert asyncio.run(together()) == [bool(number % 2) for number in range(40)]
    assert len(beats()) == 1


def test_a_row_that_somebody_holds_keeps_no_other_node_waiting(node: Node, secret: str) -> None:
    other = Check.objects.get(node__name="api-2")
    other.kind, theirs = "push", other.new_push_secret()
    other.save()

    async def together() -> tuple[bool, bool]:
        held = asyncio.ensure_future(pushes.take(node.pk, secret))
        free = await pushes.take(other.node_id, theirs)
        assert not held.done()
        holding.execute("ROLLBACK")
        return free, await held

    with closing(psycopg.connect(**parameters("a decision"), autocommit=True)) as holding:
        holding.execute("BEGIN")
        holding.execute("SELECT 1 FROM nodes_nodestate WHERE node_id = %s FOR UPDATE", (node.pk,))
        assert asyncio.run(together()) == (True, True)
    assert len(beats()) == 2


def test_a_call_that_cannot_be_written_is_said_to_be_ours(node: Node, secret: str) -> None:
    with closing(psycopg.connect(**parameters("a migration"), autocommit=True)) as holding:
        holding.execute("BEGIN")
        holding.execute("LOCK TABLE nodes_check")
        answer = call(node, secret)
    assert (answer.status, answer.headers["retry-after"]) == (503, "1")
    assert b"could not be written" in answer.body
    assert connection.connection is None or beats() == []


_header = st.binary(max_size=30).map(lambda value: value.translate(None, b"\r\n\0").decode("latin-1"))


@hypothesis_settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    path=st.text(max_size=40),
    authorization=_header,
    method=st.sampled_from(["GET", "POST", "PUT", "x"]),
    body=st.binary(max_size=9),
)
def test_no_call_is_a_fault_of_ours(secret: str, path: str, authorization: str, method: str, body: bytes) -> None:
    target = f"/push/{quote(path, safe='/')}"
    answer = asyncio.run(asked(receiver, method, target, headers={"Authorization": authorization}, body=[body]))
    assert answer.status in (401, 403, 404, 405)
