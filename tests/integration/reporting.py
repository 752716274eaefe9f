"""Reports of calls over HTTP, and web processes that take them beside each other on the database of the tests."""

from __future__ import annotations

import http.client
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from django.conf import settings
from django.db import connection
from django.db.models import Sum

from failover_console import processes
from nodes.intake.writer import APPLICATION
from nodes.models import ApiToken, NodeState, Scope
from tests.product import ROOT, eventually, free_ports

PATIENCE = 15.0  # s for an answer
PAGES = "pages of a test"  # the name of a web process's connections for pages


def bearer() -> str:
    """What a new token puts into the header `Authorization`."""
    token = ApiToken(name="balancer", scopes=[Scope.OUTCOMES, Scope.SHARES])
    shown = token.issue()
    token.save()
    return f"Bearer {shown}"


def calls_counted() -> int:
    """Reported calls of all nodes, the late ones among them."""
    found = NodeState.objects.aggregate(n=Sum("breaker_successful") + Sum("breaker_failed") + Sum("breaker_late"))
    return int(found["n"] or 0)


@dataclass
class Web:
    """One web process."""

    port: int
    process: subprocess.Popen[bytes]
    log: Path

    def get(self, path: str, authorization: str, method: str = "GET", body: bytes | None = None) -> int:
        """The status of a program's request."""
        to = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
        try:
            to.request(method, path, body, headers={"Authorization": authorization})
            return to.getresponse().status
        finally:
            to.close()

    def report(self, node: int, authorization: str, body: Any, key: str = "", **headers: str) -> tuple[int, dict[str, Any], Any]:
        """Status, document and headers of the answer to one report, sent over a connection of its own."""
        to = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
        text = body if isinstance(body, bytes) else json.dumps(body).encode()
        sent = {"Authorization": authorization, **({"Idempotency-Key": key} if key else {}), **headers}
        try:
            to.request("POST", f"/api/v1/nodes/{node}/outcomes", text, sent)
            answer = to.getresponse()
            read = answer.read()
            told = json.loads(read) if "json" in answer.headers.get("Content-Type", "") else {}
            return answer.status, told, answer.headers
        finally:
            to.close()


@contextmanager
def web(directory: Path, **also: str) -> Iterator[Web]:
    """A web process as `manage.py up` starts it, until the block ends; `also` is in its environment."""
    port, now = free_ports(1), connection.settings_dict
    address = f"postgresql://{now['USER']}@/{now['NAME']}?host={quote(now['HOST'], safe='')}"
    environment = os.environ | {
        "DATABASE_URL": address, "REDIS_URL": settings.REDIS_URL, "SECRET_KEY": settings.SECRET_KEY, "PORT": str(port),
        "ENCRYPTION_KEYS": ",".join(settings.ENCRYPTION_KEYS), "DATA_DIR": str(directory), "PGAPPNAME": PAGES, **also,
    }  # fmt: skip  # names beside values
    log = directory / f"web-{port}.log"
    proxies = list(filter(None, [also.get("TRUSTED_PROXIES")]))
    line = [sys.executable, "-W", "ignore", "-m", *processes.web("127.0.0.1", str(port), proxies)]
    with log.open("wb") as out:
        process = subprocess.Popen(line, cwd=ROOT, env=environment, stdout=out, stderr=subprocess.STDOUT)
    made = Web(port, process, log)
    try:
        eventually(lambda: "Uvicorn running on" in log.read_text() or process.poll() is not None, 60, "the web serves")
        assert process.poll() is None, log.read_text()[-2000:]
        yield made
    finally:
        process.kill()
        process.wait(10)


def sessions() -> int:
    """Connections of web processes to the database, those for pages, for reports and for signs of life."""
    with connection.cursor() as cursor:
        names = [PAGES, APPLICATION, "failover web listening"]
        cursor.execute("SELECT count(*) FROM pg_stat_activity WHERE application_name = ANY(%s)", [names])
        return int(cursor.fetchone()[0])
