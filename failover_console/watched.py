"""The console's programs under a supervisor that ends what hangs: what `manage.py up` and `manage.py supervise` share."""

from __future__ import annotations

import os
import socket
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import psycopg
from django.conf import settings

from failover_console import processes
from failover_console.child_process import ChildProcess
from failover_console.hang_watch import Process
from nodes import sign_of_life
from nodes.ledger import leases
from nodes.ledger.connections import connect

ROOT_IS_MEANT = "ignore:You're running the worker with superuser privileges"  # Celery's; who starts this as root knows it
_STATEMENT = 1000  # ms


@contextmanager
def signs_directory() -> Iterator[Path]:
    """Where the processes of this supervisor show that they live; nobody else writes there, and it goes with the supervisor."""
    with tempfile.TemporaryDirectory(prefix="failover-signs-") as directory:
        yield Path(directory)


def child(name: str, argv: Sequence[str], signs: Path, given: Mapping[str, str] | None = None) -> ChildProcess:
    """A program of this Python, from the checkout's directory, with one meaning of a relative DATA_DIR."""
    ours = {"DATA_DIR": str(settings.DATA_DIR), sign_of_life.DIRECTORY: str(signs)}
    environment = os.environ | ours | {"PYTHONUNBUFFERED": "1", "PYTHONWARNINGS": ROOT_IS_MEANT} | dict(given or {})
    watched = name in ("web", "beat") or name in processes.WORKERS
    return ChildProcess(
        name, [sys.executable, "-m", *argv], directory=settings.BASE_DIR, environment=environment, shows_signs=watched
    )


def free_leases(killed: Sequence[Process]) -> None:
    """Give back what killed processes held, so that others need not wait until it runs out; without a database it runs out."""
    with suppress(psycopg.Error), connect("failover supervisor", statement_timeout=_STATEMENT) as connection:
        for pid, started in killed:
            leases.give_back_of(connection, socket.gethostname(), pid, started)
