"""The running product for the tests that look at it from outside: `manage.py up` in a directory of its own."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import psutil
import psycopg
from psycopg.rows import dict_row

from failover_console.addresses import database_url
from tests import prepared

ROOT = Path(__file__).resolve().parent.parent
PASSWORD = "a-password-for-tests"
LOOK = 0.05  # s between two looks at a condition

_T = TypeVar("_T")


def eventually(condition: Callable[[], _T], seconds: float, what: str) -> _T:
    """Look until it holds; what it came to.  Fails with `what` when it does not in time."""
    deadline = time.monotonic() + seconds
    while True:
        found = condition()
        if found:
            return found
        assert time.monotonic() < deadline, f"within {seconds:.0f} s: {what}"
        time.sleep(LOOK)


def free_ports(count: int) -> int:
    """The first of `count` ports in a row that nobody listens on."""
    for first in range(20_000 + os.getpid() % 500 * 20, 60_000, 20):
        try:
            for port in range(first, first + count):
                with socket.socket() as probe:
                    probe.bind(("127.0.0.1", port))
        except OSError:
            continue
        return first
    raise AssertionError("no free ports")


@dataclass
class Product:
    """One console with its demo fleet."""

    port: int
    directory: Path
    log: Path
    words: tuple[str, ...]
    environment: dict[str, str]
    database: str = ""  # where it is, if not embedded
    python: str = sys.executable
    within: tuple[str, ...] = ()  # the beginning of a command line that runs what follows in surroundings of its own
    process: subprocess.Popen[bytes] = field(init=False)

    def start(self) -> None:
        """Start it, and wait until it serves."""
        with self.log.open("ab") as out:
            self.process = subprocess.Popen(
                [*self.within, self.python, "manage.py", "up", *self.words],
                cwd=ROOT,
                env=self.environment,
                stdout=out,
                stderr=subprocess.STDOUT,
            )
        eventually(lambda: self.healthy() or self.process.poll() is not None, 120, f"up: {self.log.read_text()[-2000:]}")
        assert self.process.poll() is None, self.log.read_text()[-2000:]

    def stop(self) -> None:
        """Stop it as Ctrl-C does; whatever it started is gone afterwards."""
        left = psutil.Process(self.process.pid).children(recursive=True) if self.process.poll() is None else []
        self.process.send_signal(signal.SIGINT)
        self.process.wait(20)
        psutil.wait_procs(left, timeout=5)
        assert not [child for child in left if child.is_running()], "something was left behind"

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def demo(self) -> str:
        """Where the demo's switches are, as they are remembered."""
        return f"http://127.0.0.1:{json.loads((self.directory / 'demo-ports.json').read_text())['switches']}"

    def rows(self, query: str, *values: Any) -> list[dict[str, Any]]:
        """What the database says, over a connection of our own."""
        with psycopg.connect(self.database or database_url(self.directory), row_factory=dict_row) as connection:
            return connection.execute(query, values).fetchall()  # type: ignore[arg-type]  # our own queries

    def do(self, statement: str, *values: Any) -> None:
        """Change the database behind the console's back."""
        with psycopg.connect(self.database or database_url(self.directory)) as connection:
            connection.execute(statement, values)  # type: ignore[arg-type]  # our own statements

    def let_nothing_flap(self) -> None:
        """Each story of a module is one of its own, though the same node fails in all of them."""
        self.do("UPDATE nodes_failoverpolicy SET flapping_within = 0")

    def switch(self, node: str, mode: str) -> None:
        """Turn a switch of the demo fleet."""
        urllib.request.urlopen(f"{self.demo}/nodes/{node}", data=f"mode={mode}".encode(), timeout=5).close()

    def received(self) -> dict[str, list[dict[str, Any]]]:
        """What the demo's receiver got."""
        with urllib.request.urlopen(f"{self.demo}/messages.json", timeout=5) as answer:
            return dict(json.load(answer))

    def pids(self, *words: str) -> list[int]:
        """Our processes whose command line holds all of these words."""
        found = []
        for child in psutil.Process(self.process.pid).children(recursive=True):
            try:
                line = " ".join(child.cmdline())
            except psutil.Error:
                continue
            if all(word in line for word in words):
                found.append(child.pid)
        return found

    def kill(self, pid: int) -> None:
        """End one of our processes at once, and wait until it is gone."""
        victim = psutil.Process(pid)
        victim.kill()
        psutil.wait_procs([victim], timeout=5)

    def healthy(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.address}/healthz", timeout=1) as answer:
                return bool(answer.status == 200)
        except (OSError, urllib.error.URLError):
            return False


@contextmanager
def running(
    *words: str, port: int = 0, python: str = sys.executable, within: tuple[str, ...] = (), **given: str
) -> Iterator[Product]:
    """`manage.py up` with these words and settings until the block ends; whatever it started is gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="failover-product-") as name:
        directory, port = Path(name), port or free_ports(1)
        environment = {key: value for key, value in os.environ.items() if key not in ("DATABASE_URL", "REDIS_URL", "PUBLIC_URL")}
        environment |= {"PORT": str(port), "DATA_DIR": name, "DJANGO_SUPERUSER_PASSWORD": PASSWORD, "PYTHONUNBUFFERED": "1"}
        environment.pop("EGRESS_ALLOW", None)
        environment |= given
        product = Product(port, directory, directory / "up.log", words, environment, given.get("DATABASE_URL", ""), python, within)
        if not product.database:
            prepared.copy_to(directory, environment)
        try:
            product.start()
            yield product
        finally:
            product.stop()
