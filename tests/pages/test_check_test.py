"""*Test this check*: who may, what it shows, and that nothing of it counts; and what was seen of a failure."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from nodes.models import Check, CheckResult, Event, Failure, Incident, Node, NodeState, Pool
from nodes.runner import once
from tests.admin.conftest import node_form

pytestmark = pytest.mark.django_db


@contextmanager
def answering(status: int, body: bytes) -> Iterator[tuple[int, list[Any]]]:
    asked: list[Any] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.headers)
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield server.server_port, asked
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture
def node(api: Pool) -> Node:
    return Node.objects.get(name="api-1")


def address(node: Node) -> str:
    return reverse("nodes:node_test", args=[node.pk])


def test_an_operator_sees_what_the_node_answers_and_nothing_counts(operator: Client, node: Node) -> None:
    before = NodeState.objects.values().get(pk=node.pk), Event.objects.count(), CheckResult.objects.count()
    with answering(503, b"<b>no database</b>") as (port, asked):
        Node.objects.filter(pk=node.pk).update(address="127.0.0.1", port=port)
        Check.objects.filter(node=node).update(kind="http", headers="X-Key: open sesame", path="/healthz")
        page = operator.post(address(node)).content.decode()

    assert asked[0]["X-Key"] == "open sesame"
    assert "open sesame" not in page
    assert "Answered 503, expected 200-299" in page
    assert "&lt;b&gt;no database&lt;/b&gt;" in page
    assert "GET /healthz HTTP/1.1" in page
    assert (NodeState.objects.values().get(pk=node.pk), Event.objects.count(), CheckResult.objects.count()) == before


def test_without_asking_it_asks_nobody(operator: Client, node: Node) -> None:
    with answering(200, b"ok") as (port, asked):
        Node.objects.filter(pk=node.pk).update(address="127.0.0.1", port=port)
        page = operator.get(address(node)).content.decode()
    assert (asked, "Test this check" in page) == ([], True)


def test_a_viewer_may_not(viewer: Client, node: Node) -> None:
    assert [viewer.get(address(node)).status_code, viewer.post(address(node)).status_code] == [403, 403]
    assert "Test this check" not in viewer.get(node.get_absolute_url()).content.decode()


def test_more_than_a_few_at_once_are_refused(operator: Client, node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(once, "_free", threading.BoundedSemaphore(1))
    assert once._free.acquire(blocking=False)
    answer = operator.post(address(node))
    assert (answer.status_code, "try again in a few seconds" in answer.content.decode()) == (503, True)


def test_the_form_is_tested_as_it_stands_and_nothing_is_saved(admin_client: Client, node: Node) -> None:
    Check.objects.filter(node=node).update(headers="X-Key: open sesame")
    with answering(200, b"all is well") as (port, asked):
        Node.objects.filter(pk=node.pk).update(address="127.0.0.1", port=port)
        node.refresh_from_db()
        given = node_form(node, {"body_contains": "all is fine"})
        page = admin_client.post(reverse("admin:nodes_node_test_of", args=[node.pk]), given).content.decode()
    assert "Answered 200 without the text “all is fine”" in page
    assert (asked[0]["X-Key"], "open sesame" in page) == ("open sesame", False)
    assert Check.objects.get(node=node).body_contains == ""


def test_a_new_node_is_tested_before_it_is_saved(admin_client: Client, api: Pool) -> None:
    with answering(200, b"all is well") as (port, asked):
        given = node_form(None, {"body_contains": "all is well"}, pool=api, name="new", address="127.0.0.1", port=port)
        answer = admin_client.post(reverse("admin:nodes_node_test"), given)
    assert (answer.status_code, len(asked), "there" in answer.content.decode()) == (200, 1, True)
    assert not Node.objects.filter(name="new").exists()


def test_what_the_form_refuses_is_not_asked(admin_client: Client, node: Node) -> None:
    Check.objects.filter(node=node).update(headers="X-Key: open sesame")
    with answering(200, b"ok") as (port, asked):
        given = node_form(node, {"expected_status": "nothing"}, address="127.0.0.1", port=port)
        answer = admin_client.post(reverse("admin:nodes_node_test_of", args=[node.pk]), given)
        elsewhere = admin_client.post(
            reverse("admin:nodes_node_test_of", args=[node.pk]), node_form(node, address="127.0.0.1", port=port)
        )
    assert (answer.status_code, elsewhere.status_code, asked) == (400, 400, [])
    assert "is no status or range of statuses" in answer.content.decode()
    assert "were entered for another place" in elsewhere.content.decode()


def test_an_operator_tests_no_form(operator: Client, node: Node) -> None:
    assert operator.post(reverse("admin:nodes_node_test_of", args=[node.pk]), node_form(node)).status_code == 403


def test_what_was_seen_is_shown_with_the_failure(operator: Client, viewer: Client, node: Node, now: Any) -> None:
    incident = Incident.objects.create(
        pool=node.pool, opened_at=now, detected_at=now, severity="critical", summary="api-1 failed", closed_at=now
    )
    hop = {"url": "http://x/", "address": "192.0.2.1", "failed": [], "request": "GET / HTTP/1.1", "head": "HTTP/1.1 500 No",
           "body": "<i>broken</i>", "bytes": 13, "phases": {"first byte": 0.0123}}  # fmt: skip  # as a check leaves it
    check = {"kind": "http", "target": "http://x/", "verdict": "fail", "message": "answered 500", "hops": [hop], "expectations": []}
    failure = Failure.objects.create(
        node=node, incident=incident, cause="health", first_bad_at=now, marked_at=now, evidence={"checks": [check]}, evidence_at=now
    )
    where = reverse("nodes:failure", args=[failure.pk])
    assert where in operator.get(node.get_absolute_url()).content.decode()
    assert where not in viewer.get(node.get_absolute_url()).content.decode()
    page = operator.get(where).content.decode()
    for text in ("Answered 500", "&lt;i&gt;broken&lt;/i&gt;", "12.3 ms", "192.0.2.1"):
        assert text in page
    assert viewer.get(where).status_code == 403


@pytest.mark.parametrize("evidence", [None, {}, {"checks": [{}]}, {"checks": [{"hops": [{}], "expectations": [{}]}]}])
def test_evidence_of_another_version_is_no_failure(operator: Client, node: Node, now: Any, evidence: Any) -> None:
    incident = Incident.objects.create(
        pool=node.pool, opened_at=now, detected_at=now, severity="critical", summary="api-1 failed", closed_at=now
    )
    failure = Failure.objects.create(
        node=node, incident=incident, cause="health", first_bad_at=now, marked_at=now, evidence=evidence
    )
    assert operator.get(reverse("nodes:failure", args=[failure.pk])).status_code == 200
