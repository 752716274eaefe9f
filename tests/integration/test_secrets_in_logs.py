"""Every kind of secret, planted and driven through every faulty path of the running product: no log holds one of them."""

from __future__ import annotations

import http.client
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256

import psycopg
import pytest

from failover_console.addresses import database_url, socket_directory
from tests.product import PASSWORD, Product, eventually, running

pytestmark = [pytest.mark.integration]

PUSH = "k3-Zq_8vTTn0aYc5LmW1xR7sUe2BdF4h"
SESSION = "x8k2v0q9z7m4c1b5n3l6j8h0g2f4d6s8"
TOKEN = "u7Qy2-mNbVcXz1LkJhGfDsApOiUyTrEw"
SLACK = "cCcCcC1slackcanary"
ROUTING = "0123456789abcdef0123456789abcde7"
SIGNING = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
BASIC = "b2xnYTpodW50ZXIy"
PLANTED = (PUSH, SESSION, TOKEN, SLACK, ROUTING, SIGNING, BASIC, PASSWORD)
HEADERS = (
    {"Authorization": f"Bearer {PUSH}"},
    {"Authorization": f"Bearer fc_0123456789abcdef_{TOKEN}"},
    {"Authorization": f"Basic {BASIC}"},
    {"Cookie": f"sessionid={SESSION}"},
    {"X-Address": f"https://hooks.slack.com/services/T0/B0/{SLACK}", "Referer": f"http://x.test/?sig={SIGNING}"},
)


@pytest.fixture(scope="module")
def product() -> Iterator[Product]:
    with running("--demo") as product:
        yield product


@pytest.fixture(scope="module")
def node(product: Product) -> int:
    """A push node whose secret is the canary."""
    found: int = product.rows("SELECT min(id) AS id FROM nodes_node")[0]["id"]
    digest = sha256(PUSH.encode()).hexdigest()
    product.do("DELETE FROM nodes_check WHERE node_id = %s AND kind <> 'http'", found)
    product.do("UPDATE nodes_check SET kind = 'push', push_digest = %s WHERE node_id = %s", digest, found)
    return found


def ask(product: Product, method: str, path: str, headers: dict[str, str] | None = None, body: bytes = b"") -> int:
    line = http.client.HTTPConnection("127.0.0.1", product.port, timeout=30)
    try:
        line.request(method, path, body or None, {"Host": "127.0.0.1", **(headers or {})})
        return line.getresponse().status
    finally:
        line.close()


def everywhere(node: int) -> list[tuple[str, str]]:
    """Methods and addresses with secrets in them, right, wrong and malformed."""
    found = [
        (method, path)
        for method in ("GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "QUERY")
        for path in (
            f"/push/{node}/{PUSH}/", f"/push/{node}/{PUSH}", f"//push/{node}/{PUSH}/", f"/push//{node}/{PUSH}/",
            f"/push/999999/{PUSH}/", f"/push/api-1/{PUSH}/", f"/push/{node}/{PUSH}/{PUSH}/", f"/push%2F{node}%2F{PUSH}/",
            f"/push/{node}/%00{PUSH}/", f"/PUSH/{node}/{PUSH}/", f"/nowhere/{TOKEN}/",
            f"/alerts/services/T0/B0/{SLACK}?sig={SIGNING}",
            f"/events/?q={ROUTING}&token={SIGNING}&page={SESSION}",
        )
    ]  # fmt: skip  # a list to read
    return [
        *found,
        *(("GET", path) for path in (f"/api/v1/pools/{SESSION}/shares", f"/{ROUTING}/", f"/accounts/login/?next=/{TOKEN}")),
    ]


def drive(product: Product, node: int) -> set[int]:
    """All of it once; the statuses that were answered."""
    said = {ask(product, method, path) for method, path in everywhere(node)}
    said |= {ask(product, "POST", f"/push/{node}/", headers) for headers in HEADERS}
    said |= {ask(product, "GET", f"/push/{node}/{PUSH}/", headers) for headers in HEADERS}
    said |= {ask(product, "PUT", f"/metrics?token={SIGNING}", headers) for headers in HEADERS}
    form = f"username=admin&password={PASSWORD}&routing_key={ROUTING}".encode()
    said.add(ask(product, "POST", "/accounts/login/", {"Content-Type": "application/x-www-form-urlencoded"}, form))
    return said


@contextmanager
def database_away(product: Product) -> Iterator[None]:
    """Nobody connects, and those who were connected are not any more."""
    door = socket_directory(product.directory) / ".s.PGSQL.5432"
    others = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND usename = current_user"
    with psycopg.connect(database_url(product.directory)) as connection:
        aside = door.rename(door.with_name("aside"))
        try:
            connection.execute(others)
            yield
        finally:
            aside.rename(door)


def logs(product: Product) -> dict[str, str]:
    found = [product.log, *product.directory.glob("*.log")]
    return {path.name: path.read_text(errors="replace") for path in found}


def held(product: Product) -> set[tuple[str, str]]:
    return {(name, secret) for name, text in logs(product).items() for secret in PLANTED if secret in text}


def test_nothing_that_is_asked_wrongly_writes_a_secret(product: Product, node: int) -> None:
    said = drive(product, node)
    said.add(ask(product, "POST", f"/push/{node}/{PUSH}/", body=b"x" * 20_000))
    raw_line(product, f"GET /push/{node}/{PUSH}/ HTTP/9\r\n\r\n")
    raw_line(product, f"GET /push/{node}/{PUSH}/\r\n\r\n")

    assert {200, 403, 404, 405, 413} <= said
    assert held(product) == set()


def raw_line(product: Product, sent: str) -> None:
    with socket.create_connection(("127.0.0.1", product.port), timeout=10) as line:
        line.sendall(sent.encode())
        line.shutdown(socket.SHUT_WR)
        while line.recv(65536):
            pass


def test_nothing_that_comes_while_the_database_is_away_writes_a_secret(product: Product, node: int) -> None:
    with database_away(product):
        said = {ask(product, "POST", path) for path in (f"/push/{node}/{PUSH}/", f"/push/999999/{PUSH}/")}
        said |= {ask(product, "POST", f"/push/{node}/", headers) for headers in HEADERS}
        said |= {ask(product, "GET", "/", headers) for headers in HEADERS}
        said.add(ask(product, "GET", f"/api/v1/pools/x/shares?token={TOKEN}", HEADERS[1]))
    eventually(lambda: ask(product, "POST", f"/push/{node}/{PUSH}/") == 200, 60, "pushes are taken again")

    assert 503 in said
    assert held(product) == set()


def test_no_traceback_holds_a_secret(product: Product, node: int) -> None:
    product.do("ALTER TABLE nodes_check RENAME COLUMN push_digest TO gone")
    product.do("ALTER TABLE nodes_apitoken RENAME COLUMN digest TO gone")
    try:
        pushed = {ask(product, "POST", f"/push/{node}/{PUSH}/"), ask(product, "POST", f"/push/{node}/", HEADERS[0])}
        asked = ask(product, "GET", f"/api/v1/pools/x/shares?token={TOKEN}", HEADERS[1])
    finally:
        product.do("ALTER TABLE nodes_check RENAME COLUMN gone TO push_digest")
        product.do("ALTER TABLE nodes_apitoken RENAME COLUMN gone TO digest")

    assert (pushed, asked) == ({503}, 500)
    assert "Traceback" in product.log.read_text()
    assert held(product) == set()
