"""Nodes that call us: the address holds a secret, and only the right one counts."""

from __future__ import annotations

from datetime import datetime

import pytest
from django.test import Client
from django.urls import reverse

from nodes.models import Check, Node, NodeState, Pool
from nodes.views.api import LARGEST_PUSH


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


def address(node: Node, secret: str) -> str:
    return reverse("nodes:push", args=[node.pk, secret])


def beats() -> list[datetime]:
    return [at for at in NodeState.objects.order_by("node_id").values_list("last_beat_at", flat=True) if at is not None]


@pytest.mark.parametrize("method", ["get", "post", "head"])
def test_a_heartbeat_is_recorded(client: Client, node: Node, secret: str, now: datetime, method: str) -> None:
    answer = getattr(client, method)(address(node, secret))
    assert answer.status_code == 200
    node.state.refresh_from_db()
    assert node.state.last_beat_at is not None
    assert node.state.last_beat_at >= now
    assert len(beats()) == 1


def test_a_heartbeat_says_ok_and_needs_no_csrf_token(node: Node, secret: str) -> None:
    answer = Client(enforce_csrf_checks=True).post(address(node, secret), "load 0.7", content_type="text/plain")
    assert (answer.status_code, answer.content, answer["Content-Type"]) == (200, b"ok\n", "text/plain; charset=utf-8")


def test_a_heartbeat_is_a_new_version_of_the_row(client: Client, node: Node, secret: str) -> None:
    before = node.state.version
    client.post(address(node, secret))
    node.state.refresh_from_db()
    assert node.state.version == before + 1


def test_another_secret_is_forbidden_and_nothing_is_recorded(client: Client, node: Node, secret: str) -> None:
    version = node.state.version
    answer = client.post(address(node, secret[:-1] + "é"))
    assert (answer.status_code, answer.content) == (403, b"no such node, or another secret\n")
    node.state.refresh_from_db()
    assert (beats(), node.state.version) == ([], version)


def test_the_secret_of_one_node_counts_for_no_other(client: Client, api: Pool, secret: str) -> None:
    other = Check.objects.get(node__name="api-2")
    other.kind = "push"
    other.new_push_secret()
    other.save()
    assert client.post(address(other.node, secret)).status_code == 403
    assert beats() == []


def test_a_node_that_is_asked_by_us_cannot_call(client: Client, node: Node, secret: str) -> None:
    Check.objects.filter(node=node).update(kind="http")
    assert client.post(address(node, secret)).status_code == 403
    assert beats() == []


def test_a_node_without_a_secret_yet_cannot_call(client: Client, node: Node, secret: str) -> None:
    Check.objects.filter(node=node).update(push_digest="")
    assert client.post(address(node, secret)).status_code == 403


def test_a_removed_node_cannot_call(client: Client, node: Node, secret: str, now: datetime) -> None:
    Node.objects.filter(pk=node.pk).update(removed_at=now)
    assert client.post(address(node, secret)).status_code == 403
    assert beats() == []


@pytest.mark.parametrize("number", [0, 999_999, 10**30])
def test_a_node_that_does_not_exist_is_told_apart_from_nothing(client: Client, secret: str, number: int) -> None:
    answer = client.post(f"/push/{number}/{secret}/")
    assert (answer.status_code, answer.content) == (403, b"no such node, or another secret\n")


def test_a_new_secret_ends_the_old_address(client: Client, node: Node, secret: str) -> None:
    check = Check.objects.get(node=node)
    new = check.new_push_secret()
    check.save()
    assert client.post(address(node, secret)).status_code == 403
    assert client.post(address(node, new)).status_code == 200


def test_a_body_is_read_to_a_limit_and_then_refused(client: Client, node: Node, secret: str) -> None:
    most, more = b"x" * LARGEST_PUSH, b"x" * (LARGEST_PUSH + 1)
    refused = client.post(address(node, secret), more, content_type="text/plain")
    assert (refused.status_code, beats()) == (413, [])
    assert b"needs no body" in refused.content
    assert client.post(address(node, secret), most, content_type="text/plain").status_code == 200


@pytest.mark.parametrize("method", ["put", "delete", "patch"])
def test_other_methods_are_refused(client: Client, node: Node, secret: str, method: str) -> None:
    assert getattr(client, method)(address(node, secret)).status_code == 405
    assert beats() == []


def test_the_secret_is_stored_as_its_digest_alone(secret: str) -> None:
    assert secret not in str(list(Check.objects.values()))
