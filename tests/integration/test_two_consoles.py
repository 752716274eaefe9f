"""Two consoles with their demos on one host, at ports 10 apart: each has servers of its own; a third shares a database."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from urllib.parse import urlencode

import pytest

from failover_console.addresses import database_url, redis_url
from failover_console.demo import ports
from tests.product import ROOT, Product, eventually, free_ports, running

pytestmark = [pytest.mark.integration]

HEALTH = "SELECT n.name, n.port, s.health FROM nodes_nodestate s JOIN nodes_node n ON n.id = s.node_id ORDER BY n.name"
APART = 10  # between the consoles' ports


@pytest.fixture(scope="module")
def consoles() -> Iterator[tuple[Product, Product]]:
    first = free_ports(2 * APART + 1)
    with running("--demo", port=first) as one, running("--demo", port=first + APART) as two:
        for each in (one, two):
            eventually(lambda each=each: set(health(each).values()) == {"healthy"}, 90, "all demo nodes are healthy")
        yield one, two


def health(product: Product) -> dict[str, str]:
    return {row["name"]: row["health"] for row in product.rows(HEALTH)}


def says(address: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(address, timeout=5) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as refused:
        return refused.code, refused.read().decode()


def asked_for(product: Product) -> str:
    """What the checks of a console ask its servers for."""
    found = {row["body_contains"] for row in product.rows("SELECT body_contains FROM nodes_check")}
    assert len(found) == 1
    return str(found.pop())


def test_each_has_servers_of_its_own_and_says_whose_they_are(consoles: tuple[Product, Product]) -> None:
    seen = []
    for each in consoles:
        listed = {(row["name"], row["port"]) for row in each.rows(HEALTH)}
        shown = set(re.findall(r'href="/nodes/([\w-]+)">.*?port (\d+),', says(each.demo)[1]))
        assert {(name, int(port)) for name, port in shown} == listed
        assert says(f"http://127.0.0.1:{next(iter(listed))[1]}/healthz")[0] in (200, 401)
        seen.append({port for _, port in listed} | {ports.remembered(each.directory)[ports.RECEIVER]})
    assert not seen[0] & seen[1]

    one, two = consoles
    assert asked_for(one) != asked_for(two)
    assert says(f"{two.demo}/?{urlencode({'of': asked_for(two)})}")[0] == 200
    assert says(f"{two.demo}/?{urlencode({'of': asked_for(one)})}") == (
        404,
        f"This is the demo of the console at {two.address}, not of yours.\n",
    )


def test_what_fails_in_one_fails_in_it_alone(consoles: tuple[Product, Product]) -> None:
    one, two = consoles
    before = len(two.received()["messages"])

    one.switch("api-2", "refuse")
    eventually(lambda: health(one)["api-2"] == "failed", 30, "the first console sees it")
    eventually(lambda: [m for m in one.received()["messages"] if m["action"] == "trigger"], 30, "and notifies its own receiver")
    one.switch("api-2", "healthy")
    eventually(lambda: health(one)["api-2"] == "healthy", 30, "and sees it come back")

    assert set(health(two).values()) == {"healthy"}
    assert len(two.received()["messages"]) == before


def test_neither_wrote_a_traceback_or_met_a_name_of_the_other(consoles: tuple[Product, Product]) -> None:
    for each in consoles:
        log = each.log.read_text()
        assert log.count("demo switches at ") == 1 + log.count("demo ended (killed by SIGKILL)")  # by a test of this module
        assert "Traceback" not in log
        assert "DuplicateNodename" not in log


def test_a_port_that_was_taken_meanwhile_is_another_one_and_the_checks_follow(consoles: tuple[Product, Product]) -> None:
    one = consoles[0]
    [serving] = one.pids("django", "demo", "serve")
    node = next(row for row in one.rows(HEALTH) if row["name"] == "api-3")
    with socket.socket() as stranger:
        stranger.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        one.kill(serving)
        eventually(lambda: bound(stranger, node["port"]), 10, "another program takes the port before the servers are back")
        stranger.listen()

        def port() -> int:
            return int(next(row["port"] for row in one.rows(HEALTH) if row["name"] == "api-3"))

        eventually(lambda: port() != node["port"], 30, "the node is at another port")
        eventually(lambda: set(health(one).values()) == {"healthy"}, 60, "and all are healthy")

    log = one.log.read_text()
    assert f"port {node['port']} is taken by another program: api-3 of the demo is at {port()} from now on" in log
    assert "Traceback" not in log


def test_a_second_console_joins_the_database_of_the_first(consoles: tuple[Product, Product]) -> None:
    host, other = consoles[1], consoles[1].port + APART
    shared = {name: (host.directory / name.lower()).read_text() for name in ("SECRET_KEY", "ENCRYPTION_KEYS")}
    shared |= {"DATABASE_URL": database_url(host.directory), "REDIS_URL": redis_url(host.directory)}

    with running("--demo", port=other, **shared) as joined:
        eventually(lambda: "another console on this database runs the demo's servers" in joined.log.read_text(), 30, "it waits")
        listening = "SELECT slot FROM nodes_runner WHERE kind = 'web' AND seen_at > now() - interval '15 s' ORDER BY slot"
        eventually(lambda: [row["slot"] for row in host.rows(listening)] == [host.port, other], 30, "both listen")
        workers = {f"{queue}-{port}@{socket.gethostname()}" for queue in ("checks", "alerts") for port in (host.port, other)}
        eventually(lambda: workers <= answering(host, shared), 60, "each worker answers to a name of its own")
        assert set(health(host).values()) == {"healthy"}
        assert "Traceback" not in joined.log.read_text()


def answering(product: Product, shared: dict[str, str]) -> set[str]:
    """The names of the workers that answer a ping at the broker."""
    words = [sys.executable, "-m", "celery", "-A", "failover_console", "inspect", "ping", "--json", "--timeout", "3"]
    given = os.environ | shared | {"DATA_DIR": str(product.directory)}
    done = subprocess.run(words, cwd=ROOT, env=given, capture_output=True, text=True, timeout=60, check=False)
    return set(json.loads(done.stdout)) if done.returncode == 0 else set()


def bound(stranger: socket.socket, port: int) -> bool:
    try:
        stranger.bind(("127.0.0.1", port))
    except OSError:
        return False
    return True
