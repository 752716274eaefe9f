"""SIGSTOP of each program, alone and with all its children, while a node fails: asked again, moved and told in time, once.

A process that hangs answers no signal but SIGKILL, holds its connections and its locks, and nobody hears of its end.  After the
failover it is let go on (SIGCONT), as far as its supervisor has not ended it, and must change nothing.
"""

from __future__ import annotations

import os
import signal
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator

import psutil
import pytest

from tests.product import Product, eventually, running

pytestmark = [pytest.mark.integration, pytest.mark.timeout(400)]

NODE = "api-3"
TIMEOUT, LEASE = 1.5, 6.0  # s: of the demo's checks, of a runner
INTERVALS = {"10 and 2 s": (10.0, 2.0), "2 and 1 s": (2.0, 1.0)}  # s: of the checks, and the fast one
TOLD = 15.0  # s
AWAY = 20.0  # s for which the database stands still


def celery(queue: str) -> Callable[[Product], list[int]]:
    return lambda product: product.pids("celery", "worker", queue)


def runner(kind: str, slot: int = 0) -> Callable[[Product], list[int]]:
    """The process that works in a slot just now."""
    query = "SELECT pid FROM nodes_lease WHERE kind = %s AND slot = %s AND NOT offered"
    return lambda product: [row["pid"] for row in product.rows(query, kind, slot)]


VICTIMS: dict[str, Callable[[Product], list[int]]] = {
    "a check runner": runner("checks"),
    "the other check runner": runner("checks", 1),
    "the check worker": celery("checks"),
    "the alert runner": runner("alerts"),
    "the alert worker": celery("alerts"),
    "beat": lambda product: product.pids("celery", "beat"),
    "the web": lambda product: product.pids("uvicorn"),
    "redis": lambda product: product.pids("unixsocket:"),
}


@pytest.fixture(scope="module")
def product() -> Iterator[Product]:
    with running("--demo") as product:
        healthy = "SELECT count(*) AS n FROM nodes_nodestate WHERE health = 'healthy' AND observed_at IS NOT NULL"
        eventually(lambda: product.rows(healthy)[0]["n"] == 9, 60, "all demo nodes are healthy")
        product.let_nothing_flap()
        # A story ends by two good checks: the breaker's time to wait, twice as long each time, would be waited for in every one.
        product.do("UPDATE nodes_breakerpolicy SET failure_threshold = 1000")
        yield product


def _count(product: Product, kind: str, after: int) -> int:
    query = """SELECT count(*) AS n FROM nodes_event e JOIN nodes_node n ON n.id = e.node_id
               WHERE n.name = %s AND e.type = %s AND e.id > %s"""
    return int(product.rows(query, NODE, kind, after)[0]["n"])


def _send(pids: list[int], number: signal.Signals) -> None:
    for pid in pids:
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            continue  # its supervisor was faster


class Story:
    """One failure of one node, from before to its end; what it led to is asked of the database and of the receiver."""

    def __init__(self, product: Product) -> None:
        self.product = product
        self.last = int(product.rows("SELECT coalesce(max(id), 0) AS n FROM nodes_event")[0]["n"])
        self._seen = len(product.received()["messages"])

    def count(self, kind: str) -> int:
        return _count(self.product, kind, self.last)

    def actions(self) -> list[str]:
        return [m["action"] for m in self.product.received()["messages"][self._seen :] if m["service"] == "pagerduty"]

    def end(self) -> None:
        """The node comes back; everything happened once."""
        self.product.switch(NODE, "healthy")
        eventually(lambda: self.count("recovery_completed"), 60, "the node is back")
        open_ones = "SELECT count(*) AS n FROM nodes_incident WHERE closed_at IS NULL"
        eventually(lambda: self.product.rows(open_ones)[0]["n"] == 0, 30, "the incident is closed")
        eventually(lambda: "resolve" in self.actions(), 60, "the alert is resolved")
        assert self.actions() == ["trigger", "resolve"]
        for kind in ("node_marked_failed", "failover_started", "failover_completed", "recovery_completed"):
            assert self.count(kind) == 1, kind


def ask_every(product: Product, interval: float, fast_interval: float) -> float:
    """Let all nodes be asked so often; the seconds within which one is asked again though its runner hangs."""
    product.rows("UPDATE nodes_failoverpolicy SET interval = %s, fast_interval = %s RETURNING id", interval, fast_interval)
    far = "SELECT count(*) AS n FROM nodes_nodestate WHERE due_interval > %s OR due_at > now() + make_interval(secs => %s)"
    eventually(lambda: product.rows(far, interval, interval)[0]["n"] == 0, 30, "the interval is in force")
    return 2 * interval + TIMEOUT + LEASE


# With the longer interval, those that ask and tell alone: what the others do is the same at any.
_LONG = ("a check runner", "the check worker", "the alert runner")
CASES = [(each, "2 and 1 s") for each in VICTIMS] + [(each, "10 and 2 s") for each in _LONG]


@pytest.mark.parametrize(("victim", "intervals"), CASES)
def test_a_part_that_hangs_while_a_node_fails_costs_seconds_and_nothing_else(product: Product, victim: str, intervals: str) -> None:
    asked_again = ask_every(product, *INTERVALS[intervals])
    stopped = eventually(lambda: VICTIMS[victim](product), 30, f"{victim} runs")
    story = Story(product)
    product.switch(NODE, "refuse")
    _send(stopped, signal.SIGSTOP)
    began = time.monotonic()
    try:
        eventually(lambda: story.count("health_check_failed"), asked_again, "it is asked again")
        print(f"{victim} hangs, {intervals}: asked again after {time.monotonic() - began:.1f} s")
        eventually(lambda: story.count("failover_completed"), asked_again + 15, "the failover is verified")
        print(f"{victim} hangs, {intervals}: completed after {time.monotonic() - began:.1f} s")
        eventually(lambda: "trigger" in story.actions(), TOLD, "somebody is notified")
        print(f"{victim} hangs, {intervals}: notified after {time.monotonic() - began:.1f} s")
    finally:
        _send(stopped, signal.SIGCONT)
    story.end()
    eventually(lambda: product.healthy() and VICTIMS[victim](product), 30, f"{victim} runs again")


def answers(product: Product, path: str) -> int:
    """The status of the answer, 0 when none comes within 2 s."""
    try:
        with urllib.request.urlopen(f"{product.address}{path}", timeout=2) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as refused:
        return refused.code
    except OSError:
        return 0


def test_a_database_that_stands_still_is_made_up_for_when_it_goes_on(product: Product) -> None:
    asked_again = ask_every(product, *INTERVALS["2 and 1 s"])
    story = Story(product)
    postmaster = next(psutil.Process(pid) for pid in product.pids("postgres") if "-D" in psutil.Process(pid).cmdline())
    stopped = [postmaster.pid, *(child.pid for child in postmaster.children(recursive=True))]
    product.switch(NODE, "refuse")
    _send(stopped, signal.SIGSTOP)
    until = time.monotonic() + AWAY
    for path in ("/healthz", "/health/checks", "/health/alerts"):
        eventually(lambda path=path: answers(product, path) == 503, AWAY, f"{path} says so")
    threading.Event().wait(max(0.0, until - time.monotonic()))
    _send(stopped, signal.SIGCONT)
    eventually(lambda: story.count("health_check_failed"), asked_again, "it is asked again")
    eventually(lambda: story.count("failover_completed"), asked_again + 15, "the failover is verified")
    eventually(lambda: "trigger" in story.actions(), TOLD, "somebody is notified")
    story.end()
