"""Two hosts check one fleet: the second one has a name of its own (`unshare`), its workers are as real as the first one's."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime, timedelta

import psutil
import pytest
from django.utils import timezone

from failover_console.addresses import database_url, redis_url
from tests.product import ROOT, Product, eventually, free_ports, running

NAMES_ITSELF = subprocess.run(["unshare", "--uts", "true"], capture_output=True, check=False).returncode == 0

pytestmark = [
    pytest.mark.integration,
    pytest.mark.timeout(360),  # some of them watch for two minutes that nothing happens, and stop two consoles afterwards
    pytest.mark.skipif(not NAMES_ITSELF, reason="a second host name needs root"),
]

OTHER = "other-host"
BELIEF = ("checker_isolated", "checker_rejoined", "no_checker_believed", "checker_believed")


@pytest.fixture(scope="module")
def product() -> Iterator[Product]:
    with running("--demo") as product:
        healthy = "SELECT count(*) AS n FROM nodes_nodestate WHERE health = 'healthy' AND observed_at IS NOT NULL"
        eventually(lambda: product.rows(healthy)[0]["n"] == 9, 60, "all demo nodes are healthy")
        product.let_nothing_flap()
        product.do("UPDATE nodes_breakerpolicy SET failure_threshold = 1000")  # whose time to wait grows from one story to the next
        yield product


@contextmanager
def second_host(product: Product, canaries: str = "") -> Iterator[None]:
    """Check workers of a host with another name, on the product's database and broker."""
    shared = {name: (product.directory / name.lower()).read_text() for name in ("SECRET_KEY", "ENCRYPTION_KEYS")}
    shared |= {"DATABASE_URL": database_url(product.directory), "REDIS_URL": redis_url(product.directory)}
    shared |= {"DATA_DIR": str(product.directory), "PORT": str(free_ports(1)), "EGRESS_ALLOW": "127.0.0.0/8", "CANARIES": canaries}
    words = f"hostname {OTHER} && exec {sys.executable} manage.py supervise worker-checks"
    log = product.directory / "other.log"
    with log.open("ab") as out:
        process = subprocess.Popen(
            ["unshare", "--uts", "sh", "-c", words], cwd=ROOT, env=os.environ | shared, stdout=out, stderr=subprocess.STDOUT
        )
    try:
        lives = "SELECT count(*) AS n FROM nodes_lease WHERE kind = 'checks' AND host = %s AND deadline > now()"
        eventually(lambda: product.rows(lives, OTHER)[0]["n"] > 0, 60, f"the other host checks: {log.read_text()[-1000:]}")
        yield
    finally:
        left = [psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True)]
        process.send_signal(signal.SIGTERM)
        process.wait(30)
        psutil.wait_procs(left, timeout=10)


def last_event(product: Product) -> int:
    return int(product.rows("SELECT coalesce(max(id), 0) AS n FROM nodes_event")[0]["n"])


def told(product: Product, after: int, *types: str) -> list[dict[str, object]]:
    query = "SELECT type, severity, message, detail FROM nodes_event WHERE id > %s AND type = ANY(%s) ORDER BY id"
    return product.rows(query, after, list(types))


def past(since: datetime, seconds: float) -> bool:
    return timezone.now() - since > timedelta(seconds=seconds)


def stop_the_machine(product: Product) -> list[psutil.Process]:
    """Stop every process of the console but the demo's servers, the supervisor first, so that it ends none of the others."""
    stopped = [psutil.Process(product.process.pid)]
    stopped[0].suspend()
    for each in stopped[0].children(recursive=True):
        with suppress(psutil.NoSuchProcess):  # a session of the database that ended meanwhile
            if "demo" not in " ".join(each.cmdline()):
                each.suspend()
                stopped.append(each)
    return stopped


def health_of(product: Product, node: str) -> str:
    query = "SELECT s.health FROM nodes_nodestate s JOIN nodes_node n ON n.id = s.node_id WHERE n.name = %s"
    return str(product.rows(query, node)[0]["health"])


def test_a_failure_is_seen_by_both_before_it_counts(product: Product) -> None:
    last = last_event(product)
    with second_host(product):
        eventually(lambda: product.rows("SELECT believed FROM nodes_fleetstate")[0]["believed"] == 2, 30, "both are believed")
        product.switch("api-3", "refuse")
        [marked] = eventually(lambda: told(product, last, "node_marked_failed"), 30, "the node is marked")
        assert OTHER in marked["detail"]["checkers"]  # type: ignore[index]  # JSON
        assert len(marked["detail"]["checkers"]) == 2  # type: ignore[index]  # JSON
        [record] = product.rows("SELECT reason FROM nodes_failover WHERE kind = 'failover' ORDER BY id DESC LIMIT 1")
        assert "seen by" in record["reason"]
        product.switch("api-3", "healthy")
        eventually(lambda: health_of(product, "api-3") == "healthy", 30, "it is back")
    assert told(product, last, *BELIEF) == []


def test_one_that_is_cut_off_is_a_warning_and_the_other_one_goes_on(product: Product) -> None:
    last, seen = last_event(product), len(product.received()["messages"])
    with second_host(product, canaries="127.0.0.1:1"):
        [isolated] = eventually(lambda: told(product, last, "checker_isolated"), 60, "it is told")
        assert (isolated["severity"], OTHER in str(isolated["message"])) == ("warning", True)
        claimed = """SELECT count(*) AS n FROM nodes_nodestate s JOIN nodes_lease l ON l.term_number = s.owner WHERE l.host = %s"""
        assert product.rows(claimed, OTHER)[0]["n"] == 0
        product.switch("api-3", "refuse")
        eventually(lambda: told(product, last, "failover_completed"), 30, "the first host fails it over")
        product.switch("api-3", "healthy")
        eventually(lambda: health_of(product, "api-3") == "healthy", 30, "it is back")
    eventually(lambda: told(product, last, "checker_rejoined"), 30, "its end is told when its last runner is gone")
    assert [each["type"] for each in told(product, last, *BELIEF)] == ["checker_isolated", "checker_rejoined"]

    def titles() -> list[str]:
        return [f"{each['service']} {each['action']}" for each in product.received()["messages"][seen:] if OTHER in str(each)]

    eventually(lambda: len(titles()) == 2, 30, "both are notified")
    assert not [each for each in titles() if each.startswith("pagerduty")]


def test_a_machine_that_slept_tells_nothing(product: Product) -> None:
    """All processes of the console stand still for longer than any lease, and go on; the demo's servers never stopped."""
    eventually(lambda: not product.rows("SELECT 1 FROM nodes_incident WHERE closed_at IS NULL"), 120, "no incident is open")
    last = last_event(product)
    before = product.rows("SELECT min(checked_at) AS at FROM nodes_nodestate")[0]["at"]
    stopped = stop_the_machine(product)
    try:
        eventually(lambda: past(before, 35), 60, "half a minute goes by")
    finally:
        for each in stopped:
            each.resume()
    nothing_was_told(product, last, before)


def test_an_upgrade_tells_nothing(product: Product) -> None:
    """The console is down for longer than any silence that is told, and comes back; the nodes were well all the time."""
    eventually(lambda: not product.rows("SELECT 1 FROM nodes_incident WHERE closed_at IS NULL"), 120, "no incident is open")
    last = last_event(product)
    before = product.rows("SELECT min(checked_at) AS at FROM nodes_nodestate")[0]["at"]
    product.stop()
    eventually(lambda: past(before, 90), 120, "a minute and a half goes by")
    product.start()
    nothing_was_told(product, last, before)


def nothing_was_told(product: Product, last: int, before: datetime) -> None:
    """Every node was checked again, there was time to tell what could be told, and nothing was."""
    checked = "SELECT min(checked_at) AS at FROM nodes_nodestate"
    back = eventually(lambda: (at := product.rows(checked)[0]["at"]) > before and at, 60, "every node was checked since")
    eventually(lambda: past(back, 45), 60, "what could be told was")
    query = "SELECT type, message FROM nodes_event WHERE id > %s AND severity <> 'info'"
    assert product.rows(query, last) == []
    assert product.rows("SELECT count(*) AS n FROM nodes_nodestate WHERE health <> 'healthy' OR stale")[0]["n"] == 0
