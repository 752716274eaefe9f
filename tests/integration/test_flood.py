"""Strangers at the door of the running product: it is flooded, then stopped, and no push node fails for it."""

from __future__ import annotations

import subprocess
import sys
import threading
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Self

import psutil
import pytest

from tests.product import Product, eventually, running

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]

ATTACKS = Path(__file__).resolve().parents[1] / "bench" / "attacks.py"
SECRET = "a secret of a test, shown to nobody"
CLIENTS, SECONDS = 40, 8
EVERY = 0.5  # s between two heartbeats
LAST = "SELECT coalesce(max(id), 0) AS id FROM nodes_event"
FAILED = (
    "SELECT message FROM nodes_event WHERE id > %s AND type IN ('node_marked_failed', 'health_check_failed', 'failover_started')"
)
VERDICT = "SELECT last_verdict, last_message FROM nodes_nodestate WHERE node_id = %s"


class Node:
    """A node that calls as long as it lives, and counts how it was answered."""

    def __init__(self, product: Product, pk: int) -> None:
        self.product, self.pk = product, pk
        self.answers: Counter[str] = Counter()
        self._dead = threading.Event()
        self._thread = threading.Thread(target=self._call)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.die()

    def die(self) -> None:
        self._dead.set()
        self._thread.join()

    def verdict(self) -> tuple[str, str]:
        row = self.product.rows(VERDICT, self.pk)[0]
        return row["last_verdict"], row["last_message"]

    def _call(self) -> None:
        request = urllib.request.Request(
            f"{self.product.address}/push/{self.pk}/", data=b"", headers={"Authorization": f"Bearer {SECRET}"}
        )
        while not self._dead.wait(EVERY):
            try:
                with urllib.request.urlopen(request, timeout=2) as answer:
                    self.answers[str(answer.status)] += 1
            except urllib.error.HTTPError as error:
                self.answers[str(error.code)] += 1
                error.close()
            except OSError as error:
                self.answers[type(error).__name__] += 1


@pytest.fixture(scope="module")
def product() -> Iterator[Product]:
    with running("--demo") as product:
        yield product


@pytest.fixture
def node(product: Product) -> Iterator[Node]:
    """One of the demo's nodes, which calls from now on."""
    pk = product.rows("SELECT id FROM nodes_node WHERE name = 'api-1'")[0]["id"]
    product.do("UPDATE nodes_failoverpolicy SET interval = 2, fast_interval = 1, check_timeout = 0.5")
    product.do("UPDATE nodes_check SET kind = 'push', grace = 2, push_digest = %s WHERE node_id = %s",
               sha256(SECRET.encode()).hexdigest(), pk)  # fmt: skip  # a statement and its values
    product.do("UPDATE nodes_fleetstate SET config_version = config_version + 1")
    with Node(product, pk) as node:
        eventually(lambda: node.verdict() == ("pass", ""), 60, f"its heartbeats are heard: {node.verdict()} {node.answers}")
        yield node


@pytest.mark.parametrize("kind", ["logins", "dashboards", "shares", "half_heads"])
def test_a_flood_costs_no_node_its_heartbeats(product: Product, node: Node, kind: str) -> None:
    last = product.rows(LAST)[0]["id"]
    line = [sys.executable, str(ATTACKS), kind, f"127.0.0.1:{product.port}", str(SECONDS), str(CLIENTS), "none"]
    before = node.answers["200"]
    with subprocess.Popen(line, stdout=subprocess.PIPE) as flood:
        eventually(lambda: node.answers["200"] > before + 5, 30, f"heartbeats are taken meanwhile: {node.answers}")
        assert flood.stdout is not None
        flood.stdout.read()
    assert flood.returncode == 0
    assert product.rows(FAILED, last) == []
    assert product.healthy()


def test_while_the_web_stands_still_silence_is_nobodys_fault_and_afterwards_it_is(product: Product, node: Node) -> None:
    last = product.rows(LAST)[0]["id"]
    stopped = product.pids("uvicorn")
    for pid in stopped:
        psutil.Process(pid).suspend()
    eventually(lambda: set(product.pids("uvicorn")) - set(stopped), 60, "another web is started")
    before = node.answers["200"]
    eventually(lambda: node.answers["200"] > before + 10, 60, f"it is heard again: {node.answers}")
    assert product.rows(FAILED, last) == []
    node.die()
    eventually(lambda: node.verdict()[0] == "fail", 60, f"its own silence counts: {node.verdict()}")
