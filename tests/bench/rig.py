"""What the benches share: the whole product in a directory of its own, targets on loopback, and one last line of figures."""

from __future__ import annotations

import argparse
import json
import os
import platform
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
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))


@dataclass(frozen=True)
class Target:
    """A figure's name, its bound, and whether more or less is better."""

    name: str
    bound: float
    at_least: bool = False

    def met(self, value: float) -> bool:
        return value >= self.bound if self.at_least else value <= self.bound


def parser(description: str) -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("--check", action="store_true", help="exit with 1 when a target is missed")
    return made


def conclude(figures: dict[str, Any], targets: list[Target], *, check: bool) -> None:
    """Print the last line: the figures, their targets and the ones missed."""
    missed = [t.name for t in targets if t.name in figures and not t.met(figures[t.name])]
    machine = {"cores": os.cpu_count(), "python": platform.python_version(), "machine": platform.machine()}
    goals = {t.name: f"{'>=' if t.at_least else '<='} {t.bound:g}" for t in targets}
    print(json.dumps({"figures": figures, "targets": goals, "missed": missed, "machine": machine}))
    if check and missed:
        sys.exit(1)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def console(*words: str, **environment: str) -> Iterator[str]:
    """`manage.py up` in a temporary directory, configured in this process too; yields its address."""
    with tempfile.TemporaryDirectory(prefix="failover-bench-") as directory:
        port = str(free_port())
        os.environ |= {
            "DATA_DIR": directory,
            "PORT": port,
            "EGRESS_ALLOW": "127.0.0.0/8",
            "DJANGO_SUPERUSER_PASSWORD": "bench-password",
            "TOKEN_RATE_SHARES": "100000",
            "TOKEN_RATE_METRICS": "100000",  # one token asks for all
            **environment,
        }
        os.environ.setdefault("DJANGO_SETTINGS_MODULE", "failover_console.settings")
        log = Path(directory) / "up.log"
        with log.open("w") as out:
            running = subprocess.Popen([sys.executable, "manage.py", "up", *words], cwd=ROOT, stdout=out, stderr=subprocess.STDOUT)
        try:
            address = f"http://127.0.0.1:{port}"
            until(lambda: _answers(f"{address}/healthz"), 120, lambda: log.read_text()[-3000:])
            import django

            django.setup()
            yield address
        finally:
            running.send_signal(signal.SIGINT)
            running.wait(20)


@contextmanager
def healthy_ports(count: int = 4) -> Iterator[tuple[int, ...]]:
    """Ports on loopback on which `targets.py` answers 200, from a process of its own."""
    ports = tuple(free_port() for _ in range(count))
    line = [sys.executable, str(Path(__file__).with_name("targets.py")), *map(str, ports)]
    targets = subprocess.Popen(line, stdout=subprocess.PIPE)
    try:
        assert targets.stdout is not None
        targets.stdout.readline()
        yield ports
    finally:
        targets.terminate()
        targets.wait()


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=1) as answer:
            return bool(answer.status == 200)
    except (OSError, urllib.error.URLError):
        return False


def until(condition: Callable[[], object], seconds: float, complaint: Callable[[], str] = lambda: "") -> None:
    """Wait until it holds; ends the program when it does not in time."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            sys.exit(f"gave up after {seconds:.0f} s. {complaint()}")
        time.sleep(0.01)


def percentile(values: list[float], part: float) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * part))] if ordered else 0.0


def declare(pool: str, addresses: list[tuple[str, int, str]], **policy: Any) -> Any:
    """A pool of HTTP nodes (name, port, path) on loopback with a policy of its own; returns the Pool."""
    from django.db import transaction

    from nodes import operations
    from nodes.models import BreakerPolicy, Check, FailoverPolicy, Node, Pool

    with transaction.atomic():
        breaker, _ = BreakerPolicy.objects.get_or_create(name=f"bench {pool}")
        failover, _ = FailoverPolicy.objects.get_or_create(name=f"bench {pool}", defaults=policy)
        made = Pool.objects.create(name=pool, slug=pool, breaker_policy=breaker, failover_policy=failover)
        nodes = Node.objects.bulk_create(Node(pool=made, name=name, address="127.0.0.1", port=port) for name, port, _ in addresses)
        Check.objects.bulk_create(Check(node=node, path=path) for node, (_, _, path) in zip(nodes, addresses, strict=True))
        operations.configuration_saved(made, actor="bench", before={}, after={})
    return made
