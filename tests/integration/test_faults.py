"""Kill -9 of each program in turn while a node fails: the failover happens once, one alert, a history without hole or double."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator

import pytest

from tests.product import Product, eventually, running

pytestmark = [pytest.mark.integration]

VICTIMS = {
    "worker": ("celery", "worker", "checks"),
    "beat": ("celery", "beat"),
    "web": ("uvicorn",),
    "redis": ("unixsocket:",),
}
NODE = "api-3"


@pytest.fixture(scope="module")
def product() -> Iterator[Product]:
    with running("--demo") as product:
        able = "SELECT count(*) AS n FROM nodes_nodestate WHERE health = 'healthy' AND observed_at IS NOT NULL"
        eventually(lambda: product.rows(able)[0]["n"] == 9, 60, "all demo nodes are healthy")
        product.let_nothing_flap()
        yield product


def _state(product: Product) -> dict[str, object]:
    query = "SELECT s.health, s.share FROM nodes_nodestate s JOIN nodes_node n ON n.id = s.node_id WHERE n.name = %s"
    return product.rows(query, NODE)[0]


def _count(product: Product, kind: str, after: int) -> int:
    query = """SELECT count(*) AS n FROM nodes_event e JOIN nodes_node n ON n.id = e.node_id
               WHERE n.name = %s AND e.type = %s AND e.id > %s"""
    return int(product.rows(query, NODE, kind, after)[0]["n"])


@pytest.mark.parametrize("victim", VICTIMS)
def test_a_kill_while_a_node_fails_costs_no_failover_and_no_alert(product: Product, victim: str) -> None:
    eventually(lambda: product.pids(*VICTIMS[victim]), 30, f"{victim} runs")
    last = int(product.rows("SELECT coalesce(max(id), 0) AS n FROM nodes_event")[0]["n"])
    seen = len(product.received()["messages"])

    product.switch(NODE, "refuse")
    eventually(lambda: _count(product, "health_check_failed", last), 30, "the first bad check")
    for pid in product.pids(*VICTIMS[victim]):
        os.kill(pid, signal.SIGKILL)
    eventually(lambda: _state(product) == {"health": "failed", "share": 0}, 45, "the share has moved")
    eventually(lambda: _count(product, "failover_completed", last), 45, "the failover is verified")

    product.switch(NODE, "healthy")
    eventually(lambda: _count(product, "recovery_completed", last), 60, "the node is back")
    resolved = "SELECT count(*) AS n FROM nodes_incident WHERE closed_at IS NULL"
    eventually(lambda: product.rows(resolved)[0]["n"] == 0, 30, "the incident is closed")

    def actions() -> list[str]:
        return [m["action"] for m in product.received()["messages"][seen:] if m["service"] == "pagerduty"]

    eventually(lambda: "resolve" in actions(), 60, "the alert is resolved")
    assert actions() == ["trigger", "resolve"]
    for kind in ("node_marked_failed", "failover_started", "failover_completed", "recovery_completed"):
        assert _count(product, kind, last) == 1, kind
    epochs = [
        row["epoch"]
        for row in product.rows("SELECT epoch FROM nodes_failover WHERE epoch IS NOT NULL AND pool_id = 1 ORDER BY epoch")
    ]
    assert epochs == list(range(1, len(epochs) + 1))
    eventually(lambda: product.healthy() and product.pids(*VICTIMS[victim]), 30, f"{victim} runs again")
