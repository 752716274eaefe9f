"""Clocks that disagree in the running product: a second host's that is off, and the database's, set back and forth at work.

Debian's libfaketime fools one process and what it starts; the clocks that only count on (monotonic, boot time) stay true.
"""

from __future__ import annotations

import json
import os
import secrets
import signal
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path

import psutil
import pytest
from cryptography.fernet import Fernet

from failover_console.addresses import redis_url
from failover_console.embedded import Services
from tests.product import ROOT, Product, eventually, free_ports, running

LIBRARY = next(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"), None)
NAMES_ITSELF = subprocess.run(["unshare", "--uts", "true"], capture_output=True, check=False).returncode == 0

pytestmark = [
    pytest.mark.integration,
    pytest.mark.timeout(300),
    pytest.mark.skipif(LIBRARY is None, reason="libfaketime is missing (Debian's package faketime)"),
    pytest.mark.skipif(not NAMES_ITSELF, reason="a second host name needs root"),
]

OTHER = "other-host"
TRUE = {"LD_PRELOAD": str(LIBRARY), "FAKETIME_DONT_FAKE_MONOTONIC": "1", "DONT_FAKE_MONOTONIC": "1"}
GOES_ON = 15.0  # s: a lease that ran out, and the looks for due times too far ahead
SECRETS = {"SECRET_KEY": secrets.token_urlsafe(50), "ENCRYPTION_KEYS": Fernet.generate_key().decode()}
HEALTHY = "SELECT count(*) AS n FROM nodes_nodestate WHERE health = 'healthy' AND observed_at IS NOT NULL"


class Clock:
    """The clock of the database: how far it is off, which it reads anew each time."""

    def __init__(self, directory: Path) -> None:
        self._file = directory / "clock"
        self.set(0)
        directory.chmod(0o755)

    @property
    def environment(self) -> dict[str, str]:
        return TRUE | {"FAKETIME_TIMESTAMP_FILE": str(self._file), "FAKETIME_NO_CACHE": "1"}

    def set(self, seconds: int) -> None:
        self._file.write_text(f"{seconds:+}s\n")


class Database(Services):
    """A PostgreSQL of the tests' own, started under a clock."""

    clock: Clock

    def _place(self) -> dict[str, str]:
        addresses = super()._place()
        for process in self.processes:  # not for the words before, which change the user: the library's semaphore has one owner
            first = next(number for number, word in enumerate(process.argv) if word.endswith("/postgres"))
            under = [f"{name}={value}" for name, value in self.clock.environment.items()]
            process.argv = (*process.argv[:first], "env", *under, *process.argv[first:])
        return addresses


@pytest.fixture(scope="module")
def clock() -> Iterator[Clock]:
    with tempfile.TemporaryDirectory(prefix="failover-clock-") as name:
        yield Clock(Path(name))


@pytest.fixture(scope="module")
def product(clock: Clock) -> Iterator[Product]:
    with tempfile.TemporaryDirectory(prefix="failover-database-") as name:
        database = Database(Path(name), with_redis=False)
        database.clock = clock
        try:
            with running("--demo", EGRESS_ALLOW="127.0.0.0/8", **SECRETS, **database.start()) as product:
                eventually(lambda: product.rows(HEALTHY)[0]["n"] == 9, 90, "all demo nodes are healthy")
                product.let_nothing_flap()
                yield product
        finally:
            database.stop()


@contextmanager
def other_host(product: Product, program: str, seconds: int) -> Iterator[int]:
    """A program of the console on a host of its own whose clock is off by so much; its port."""
    port = free_ports(1)
    given = SECRETS | TRUE | {"FAKETIME": f"{seconds:+}s", "PYTHONPATH": str(Path(__file__).parent / "own_clock")}
    given |= {"DATABASE_URL": product.database, "REDIS_URL": redis_url(product.directory), "PORT": str(port)}
    given |= {"DATA_DIR": str(product.directory), "EGRESS_ALLOW": "127.0.0.0/8", "CANARIES": "", "PUBLIC_URL": product.address}
    words = f"hostname {OTHER} && exec env LD_PRELOAD=$CLOCK {sys.executable} manage.py supervise {program}"
    given["CLOCK"] = given.pop("LD_PRELOAD")
    with (product.directory / "other.log").open("ab") as out:
        process = subprocess.Popen(
            ["unshare", "--uts", "sh", "-c", words], cwd=ROOT, env=os.environ | given, stdout=out, stderr=subprocess.STDOUT
        )
    try:
        yield port
    finally:
        left = [psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True)]
        process.send_signal(signal.SIGTERM)
        process.wait(30)
        psutil.wait_procs(left, timeout=10)


def log_of_the_other(product: Product) -> str:
    return (product.directory / "other.log").read_text()[-1500:]


def last_event(product: Product) -> int:
    return int(product.rows("SELECT coalesce(max(id), 0) AS n FROM nodes_event")[0]["n"])


def told(product: Product, after: int) -> list[dict[str, object]]:
    """What is a warning or worse."""
    query = "SELECT type, severity, message FROM nodes_event WHERE id > %s AND severity <> 'info' ORDER BY id"
    return product.rows(query, after)


def versions(product: Product) -> dict[int, int]:
    """Node -> its term number: it rises with each check."""
    return {row["node_id"]: row["token"] for row in product.rows("SELECT node_id, token FROM nodes_nodestate")}


def all_checked_again(product: Product, before: dict[int, int], times: int = 2) -> bool:
    return all(token >= before[node] + times for node, token in versions(product).items())


def token(product: Product, *scopes: str) -> str:
    """An API token of these scopes."""
    key, secret = secrets.token_hex(8), secrets.token_urlsafe(32)
    product.rows(
        """INSERT INTO nodes_apitoken (name, scopes, key, digest, created_at) VALUES ('clocks', %s, %s, %s, now()) RETURNING id""",
        list(scopes), key, sha256(secret.encode()).hexdigest(),
    )  # fmt: skip  # the statement, then its values
    return f"fc_{key}_{secret}"


def ask(port: int, path: str, bearer: str = "", body: object = None) -> str:
    headers = {"Authorization": f"Bearer {bearer}"} if bearer else {}
    sent = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", data=sent, headers=headers)
    with urllib.request.urlopen(request, timeout=5) as answer:
        return str(answer.read().decode())


def serves(port: int) -> bool:
    try:
        return bool(ask(port, "/healthz"))
    except OSError:
        return False


def dated_otherwise(product: Product, began_at: object) -> list[int]:
    """Results and events dated before a test began, and ahead of now: their numbers must not grow."""
    counts = """SELECT count(*) FILTER (WHERE at < %s - interval '5 s') AS before,
                       count(*) FILTER (WHERE at > now() + interval '2 s') AS ahead FROM {}"""
    rows = [product.rows(counts.format(table), began_at)[0] for table in ("nodes_checkresult", "nodes_event")]
    return [row[name] for row in rows for name in ("before", "ahead")]


@pytest.mark.parametrize("seconds", [60, -60])
def test_a_web_process_with_another_clock_makes_nobody_stale_and_is_named(product: Product, seconds: int) -> None:
    last = last_event(product)
    bearer = token(product, "outcomes", "metrics")
    node = product.rows("SELECT id FROM nodes_node WHERE name = 'model-a'")[0]["id"]
    with other_host(product, "web", seconds) as port:
        eventually(lambda: serves(port), 60, f"it serves: {log_of_the_other(product)}")
        answer = json.loads(ask(port, f"/api/v1/nodes/{node}/outcomes", bearer, {"outcomes": [{"success": 5}]}))
        assert (answer["breaker"], answer["health"]) == ("closed", "healthy")
        named = f'failover_host_clock_ahead_seconds{{host="{OTHER}"}} '

        def ahead() -> list[float]:
            return [float(x.removeprefix(named)) for x in ask(port, "/metrics", bearer).splitlines() if x.startswith(named)]

        # a worker that the test before fooled is named with it for as long as it counts as seen
        eventually(lambda: [x for x in ahead() if abs(x - seconds) < 2.0], 60, "it is named, and by how much")
    assert not product.rows("SELECT 1 FROM nodes_nodestate WHERE stale")
    assert told(product, last) == []


@pytest.mark.parametrize("seconds", [3600, -3600])
def test_a_check_worker_with_another_clock_takes_ticks_and_checks_by_the_databases(product: Product, seconds: int) -> None:
    last, node = last_event(product), product.rows("SELECT id FROM nodes_node WHERE name = 'model-b'")[0]["id"]
    began_at = product.rows("SELECT now() AS at")[0]["at"]
    otherwise = dated_otherwise(product, began_at)
    secret = secrets.token_urlsafe(24)
    product.rows(
        "UPDATE nodes_check SET kind = 'push', push_digest = %s WHERE node_id = %s RETURNING id",
        sha256(secret.encode()).hexdigest(), node,
    )  # fmt: skip  # the statement, then its values
    product.rows("UPDATE nodes_fleetstate SET config_version = config_version + 1 RETURNING id")
    try:
        with other_host(product, "worker-checks", seconds):
            claimed = "SELECT count(*) AS n FROM nodes_lease WHERE kind = 'checks' AND host = %s AND deadline > now()"
            eventually(lambda: product.rows(claimed, OTHER)[0]["n"] > 0, 60, f"it took ticks: {log_of_the_other(product)}")
            counted = "SELECT coalesce(sum(checks), 0) AS n FROM nodes_runner WHERE kind = 'checks' AND host = %s"
            began = product.rows(counted, OTHER)[0]["n"]

            def has_checked() -> bool:
                ask(product.port, f"/push/{node}/{secret}/", body={})
                return bool(product.rows(counted, OTHER)[0]["n"] > began + 5)

            eventually(has_checked, 60, "it checks")
            product.switch("api-3", "refuse")
            marked = "SELECT at FROM nodes_event WHERE id > %s AND type = 'node_marked_failed'"
            eventually(lambda: product.rows(marked, last), 30, "a failure is seen by both")
            product.switch("api-3", "healthy")
            back = "SELECT 1 FROM nodes_event WHERE id > %s AND type = 'recovery_completed'"
            eventually(lambda: product.rows(back, last), 60, "it is back")
    finally:
        product.rows("UPDATE nodes_check SET kind = 'http' WHERE node_id = %s RETURNING id", node)
        product.rows("UPDATE nodes_fleetstate SET config_version = config_version + 1 RETURNING id")
    assert all(now <= then for now, then in zip(dated_otherwise(product, began_at), otherwise, strict=True))
    assert {each["type"] for each in told(product, last)} <= {"node_marked_failed", "breaker_opened"}


@pytest.mark.parametrize("seconds", [-3600, 3600])
def test_a_database_whose_clock_is_set_delays_nothing_and_pages_nobody(product: Product, clock: Clock, seconds: int) -> None:
    last, seen = last_event(product), len(product.received()["messages"])
    before = versions(product)
    clock.set(seconds)
    try:
        eventually(lambda: all_checked_again(product, before), GOES_ON, "all nodes are checked again")
        lives = "SELECT count(*) AS n FROM nodes_lease WHERE deadline BETWEEN now() AND now() + interval '6 s'"
        eventually(lambda: product.rows(lives)[0]["n"] == 3, GOES_ON, "all leases are held")
        ahead = "SELECT count(*) AS n FROM nodes_nodestate WHERE due_at > now() + interval '6 s'"
        assert product.rows(ahead)[0]["n"] == 0
        product.switch("api-3", "refuse")
        moved = "SELECT 1 FROM nodes_event WHERE id > %s AND type = 'failover_completed'"
        eventually(lambda: product.rows(moved, last), 30, "a failure is seen and moved")
        product.switch("api-3", "healthy")
        back = "SELECT 1 FROM nodes_event WHERE id > %s AND type = 'recovery_completed'"
        eventually(lambda: product.rows(back, last), 60, "it is back")
        assert {each["type"] for each in told(product, last)} <= {"node_marked_failed", "breaker_opened"}
        pages = [each for each in product.received()["messages"][seen:] if each["service"] == "pagerduty"]
        assert len({each["key"] for each in pages}) <= 1
    finally:
        clock.set(0)
        before = versions(product)
        eventually(lambda: all_checked_again(product, before), GOES_ON, "the clock is right again")
