"""What decides where the secret headers of a check go, and the headers: they never follow to another place by themselves."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client

from nodes.models import Check, Node
from tests.admin.conftest import Fleet, errors
from tests.admin.test_editing import edit

SECRET = "X-Key: hunter2"
ELSEWHERE: dict[str, dict[str, Any]] = {  # field -> what is posted; of the node, or below `check` of its check
    "address": {"address": "evil.example"},
    "port of the node": {"port": 8443},
    "port of the check": {"check": {"port": 8443}},
    "no https": {"check": {"use_tls": "", "verify_tls": "on", "server_name": ""}},
    "server name": {"check": {"server_name": "evil.example"}},
    "no verification": {"check": {"verify_tls": ""}},
}
SAME_PLACE: dict[str, dict[str, Any]] = {
    "nothing": {},
    "name": {"name": "alpha-1"},
    "weight": {"weight": 7},
    "path": {"check": {"path": "/health"}},
    "method": {"check": {"method": "HEAD"}},
    "port of the check, which is the node's": {"check": {"port": 443}},
}


@pytest.fixture
def node(fleet: Fleet) -> Node:
    Check.objects.filter(node=fleet.first).update(headers=SECRET, use_tls=True)
    return fleet.first


def change(admin: Client, node: Node, given: dict[str, Any], **check: str) -> Any:
    of_node = {name: value for name, value in given.items() if name != "check"}
    return edit(admin, node, {"use_tls": "on", **given.get("check", {}), **check}, **of_node)


def stored(node: Node) -> str:
    return str(node.checks.get().headers)


@pytest.mark.parametrize("field", ELSEWHERE)
def test_headers_are_asked_for_again_when_they_would_go_elsewhere(admin: Client, node: Node, field: str) -> None:
    before = Node.objects.filter(pk=node.pk).values().get(), node.checks.values().get()
    refused = errors(change(admin, node, ELSEWHERE[field]))

    assert "The stored headers were entered for another place" in refused
    assert (Node.objects.filter(pk=node.pk).values().get(), node.checks.values().get()) == before


def test_the_server_name_decides_where_they_go_without_https_too(admin: Client, node: Node) -> None:
    node.checks.update(use_tls=False)
    refused = errors(change(admin, node, {}, use_tls="", server_name="evil.example"))

    assert "The stored headers were entered for another place (server name changed)" in refused


@pytest.mark.parametrize("field", ELSEWHERE)
def test_headers_that_are_entered_again_go_there(admin: Client, node: Node, field: str) -> None:
    change(admin, node, ELSEWHERE[field], request_headers="X-Key: another")

    assert stored(node) == "X-Key: another"


@pytest.mark.parametrize("field", ELSEWHERE)
def test_headers_that_are_deleted_go_nowhere(admin: Client, node: Node, field: str) -> None:
    change(admin, node, ELSEWHERE[field], clear_headers="on")

    assert stored(node) == ""


@pytest.mark.parametrize("field", ELSEWHERE)
def test_without_headers_nothing_is_asked(admin: Client, node: Node, field: str) -> None:
    node.checks.update(headers="")
    response = change(admin, node, ELSEWHERE[field])

    assert response.redirect_chain


@pytest.mark.parametrize("field", SAME_PLACE)
def test_headers_stay_while_they_go_where_they_went(admin: Client, node: Node, field: str) -> None:
    assert change(admin, node, SAME_PLACE[field]).redirect_chain
    assert stored(node) == SECRET


def test_headers_of_each_part_of_a_composite_are_asked_for(admin: Client, node: Node) -> None:
    node.checks.update(use_tls=False)
    for kind in ("http", "composite"):
        Check.objects.create(node=node, kind=kind, headers=SECRET if kind == "http" else "")
    refused = errors(edit(admin, node, {"use_tls": ""}, {"use_tls": ""}, {"kind": "composite"}, address="evil.example"))

    assert refused.count("entered for another place") == 2
