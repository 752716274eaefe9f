"""A console whose address is https, behind what speaks TLS: who may say so, and that every answer asks browsers to stay with it."""

from __future__ import annotations

import http.client
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from nodes import intake
from tests.environment import DATA_DIR
from tests.integration.reporting import PATIENCE, sessions, web
from tests.product import eventually

pytestmark = [pytest.mark.integration, pytest.mark.django_db(transaction=True, serialized_rollback=True)]
HOST = "console.example"
BY_HTTPS = {"X-Forwarded-Proto": "https"}
REPORT = "/api/v1/nodes/1/outcomes"
ANSWERS = {
    "/accounts/login/": 200,
    "/nowhere/": 404,
    "/healthz": 200,
    "/push/1/none/": 403,
    "/api/v1/pools/none/shares": 401,
    "/static/console.css": 200,
}


Said = tuple[int, list[str]]
Ask = Callable[..., Said]


@contextmanager
def behind(directory: Path, **environment: str) -> Iterator[Ask]:
    """Asks a web process with that address: status, and what it says of https."""
    shutil.copytree(DATA_DIR / "static", directory / "static")

    def ask(method: str, path: str, body: bytes = b"", **headers: str) -> Said:
        to = http.client.HTTPConnection("127.0.0.1", made.port, timeout=PATIENCE)
        try:
            to.request(method, path, body, headers={"Host": HOST, **headers})
            answer = to.getresponse()
            return answer.status, answer.headers.get_all("Strict-Transport-Security", [])
        finally:
            to.close()

    with web(directory, PUBLIC_URL=f"https://{HOST}", **environment) as made:
        yield ask
    intake.close()
    eventually(lambda: not sessions(), 20, "the server has seen that it is gone: a database in use cannot be dropped")


def test_every_answer_by_https_asks_to_stay_with_it(tmp_path: Path) -> None:
    with behind(tmp_path, TRUSTED_PROXIES="127.0.0.0/8") as ask:
        answers = {path: ask("GET", path, **BY_HTTPS) for path in ANSWERS}
        answers["report"] = ask("POST", REPORT, **BY_HTTPS)
        answers["refused"] = ask("POST", "/accounts/login/", b" " * 70_000, **BY_HTTPS)
        plain = ask("GET", "/healthz")
    stay = ["max-age=31536000; includeSubDomains; preload"]
    assert answers == {path: (status, stay) for path, status in (ANSWERS | {"report": 401, "refused": 413}).items()}
    assert plain == (200, [])


@pytest.mark.parametrize(
    ("proxies", "believed"), [({"TRUSTED_PROXIES": "192.0.2.0/24"}, False), ({}, True)], ids=["others are named", "nobody is named"]
)
def test_who_is_believed_that_a_client_came_by_https(tmp_path: Path, proxies: dict[str, str], believed: bool) -> None:
    with behind(tmp_path, **proxies) as ask:
        page, _ = ask("GET", "/accounts/login/", **BY_HTTPS)
        program, _ = ask("GET", "/api/v1/pools/none/shares", **BY_HTTPS, Authorization="Bearer none")
        report, _ = ask("POST", REPORT, **BY_HTTPS)
    assert (page, program, report) == ((200, 401, 401) if believed else (301, 403, 301))
