"""What would happen now, as the pool's page says it: the engine's own answer, and then what really happens."""

from __future__ import annotations

import re
import time
from datetime import datetime, timedelta
from html import unescape

import pytest
from django.test import Client
from django.urls import reverse

from nodes import operations
from nodes.engine.enums import Verdict
from nodes.engine.reporting import Calls, Report
from nodes.models import Failover, FailoverPolicy, FleetState, Node, NodeState, Pool
from tests.pages import fleet
from tests.telling import report_outcomes


def panel(client: Client, pool: Pool) -> str:
    """The text of the card, each node's line on a line."""
    body = client.get(pool.get_absolute_url()).content.decode()
    found = re.search(r'id="what-if".*?</section>', body, re.DOTALL)
    assert found is not None
    lines = re.findall(r'<label class="check"[^>]*>(.*?)</label>', found[0], re.DOTALL)
    return unescape("\n".join(" ".join(re.sub(r"<[^>]+>", " ", line).split()) for line in lines))


@pytest.fixture
def pool(db: None, now: datetime) -> Pool:
    made = fleet.pool("Models", "models", ["m-1", "m-2", "m-3"], now)
    fleet.rounds(made, now - timedelta(seconds=10), 2)
    return made


def test_it_names_the_nodes_that_then_really_take_over(viewer: Client, pool: Pool, now: datetime) -> None:
    assert "m-2 33.3 % to place to m-1 +16.7 %, m-3 +16.7 %" in panel(viewer, pool)
    fleet.rounds(pool, now, 3, {"m-2": (Verdict.FAIL, "connection refused")})
    after = Failover.objects.get(kind="failover").shares_after
    names = dict(Node.objects.values_list("pk", "name"))
    assert {names[int(pk)]: share for pk, share in after.items()} == {"m-1": 5001, "m-2": 0, "m-3": 4999}


def test_it_changes_with_the_pool(viewer: Client, pool: Pool, now: datetime) -> None:
    panel(viewer, pool)
    fleet.rounds(pool, now, 3, {"m-2": (Verdict.FAIL, "connection refused")})
    assert panel(viewer, pool).splitlines() == [
        "m-1 50 % to place to m-3 +50 %",
        "m-2 is out already",
        "m-3 50 % to place to m-1 +50 %",
    ]


def test_it_says_which_guard_would_block_it(viewer: Client, pool: Pool) -> None:
    operations.pause(pool.pk, actor="alice", reason="change freeze", until=None)
    assert panel(viewer, pool).count("blocked by pause: alice paused this pool's automation: change freeze") == 3


def test_it_follows_an_edit_of_the_policy(viewer: Client, pool: Pool) -> None:
    assert "blocked by" not in panel(viewer, pool)
    FailoverPolicy.objects.update(panic_threshold=0.9)
    FleetState.objects.update(config_version=99)
    assert panel(viewer, pool).count("blocked by panic threshold: 2 of 3 nodes would be left") == 3


def test_a_pool_without_traffic_has_nothing_to_move(viewer: Client, db: None, now: datetime) -> None:
    empty = fleet.pool("Empty", "empty", ["e-1"], now)
    assert panel(viewer, empty) == "e-1 is out already"
    assert "no node holds traffic" in viewer.get(empty.get_absolute_url()).content.decode()


def test_the_nodes_page_says_that_calls_opened_its_breaker_while_checks_pass(viewer: Client, pool: Pool) -> None:
    node = Node.objects.get(name="m-2")
    report_outcomes(node.pk, Report((Calls(0, 5, time.time()),), 42.0))
    body = " ".join(re.sub(r"<[^>]+>", " ", viewer.get(node.get_absolute_url()).content.decode()).split())
    assert "Healthy but out of service" in body
    assert "opened by calls: 5 failures in a row" in body
    assert "Load 42" in body
    assert NodeState.objects.get(node=node).share == 0


def test_the_window_of_calls_is_on_the_page(viewer: Client, pool: Pool) -> None:
    pool.breaker_policy.failure_rate, pool.breaker_policy.window_calls = 0.5, 100
    pool.breaker_policy.save()
    node = Node.objects.get(name="m-2")
    report_outcomes(node.pk, Report((Calls(8, 2, time.time()),)))
    body = viewer.get(reverse("nodes:node", args=[node.pk])).content.decode()
    assert "<dt>Calls</dt><dd>1 of 5 failures in a row; 2 of 10 calls in the window failed</dd>" in body
    assert "50% of the last 100 calls failing" in body
