"""The console's programs under a supervisor that ends what hangs: what `manage.py up` and `manage.py supervise` share."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import psycopg
from django.conf import settings
from django.core.management import call_command
from django.core.management.base import CommandError

from failover_console import processes
from failover_console.child_process import ChildProcess, confined
from failover_console.hang_watch import Process
from failover_console.run_as import RunAs
from nodes import sign_of_life
from nodes.ledger import leases
from nodes.ledger.connections import connect

ROOT_IS_MEANT = "ignore:You're running the worker with superuser privileges"  # Celery's; who starts this as root knows it
FIRST_PASSWORD = "DJANGO_SUPERUSER_PASSWORD"  # noqa: S105 - the variable's name; no program needs it once the first user is made
_STATEMENT = 1000  # ms


@contextmanager
def signs_directory(user: RunAs) -> Iterator[Path]:
    """Where the programs of this supervisor show that they live; nobody else writes there, and it goes with the supervisor.

    It lies in one that stays the supervisor's: the programs cannot put another in its place.
    """
    with tempfile.TemporaryDirectory(prefix="failover-signs-") as outer:
        signs = Path(outer).resolve() / "signs"
        signs.mkdir(mode=0o700)
        Path(outer).chmod(0o711)
        user.give(signs)
        yield signs


def child(name: str, argv: Sequence[str], signs: Path, user: RunAs, given: Mapping[str, str] | None = None) -> ChildProcess:
    """A program of this Python, run as `user`, from the checkout's directory, with one meaning of a relative DATA_DIR."""
    return ChildProcess(
        name,
        [sys.executable, "-m", *argv],
        directory=settings.BASE_DIR,
        environment=_environment() | {sign_of_life.DIRECTORY: str(signs)} | dict(given or {}),
        shows_signs=name in ("web", "beat") or name in processes.WORKERS,
        confinement=user.confinement(settings.PORT if name == "web" else None),
    )


def collect_static_files(user: RunAs) -> None:
    """Bring them up to date, as whom they belong to: Django follows links, which root may not do there. Raises CommandError."""
    if user.uid == os.geteuid():
        call_command("collectstatic", interactive=False, verbosity=0)
        return
    done = subprocess.run(
        [sys.executable, "-m", "django", "collectstatic", "--no-input", "--verbosity=0"],
        cwd=settings.BASE_DIR, env=_environment(), stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
        preexec_fn=confined(user.confinement(), signal.SIGKILL),  # system calls, no lock
    )  # fmt: skip  # options beside their values
    if done.returncode != 0:
        raise CommandError(f"The static files cannot be collected: {' / '.join(done.stderr.splitlines()[-3:])}")


def _environment() -> dict[str, str]:
    inherited = {key: value for key, value in os.environ.items() if key != FIRST_PASSWORD}
    return inherited | {"DATA_DIR": str(settings.DATA_DIR), "PYTHONUNBUFFERED": "1", "PYTHONWARNINGS": ROOT_IS_MEANT}


def free_leases(killed: Sequence[Process]) -> None:
    """Give back what killed processes held, so that others need not wait until it runs out; without a database it runs out."""
    with suppress(psycopg.Error), connect("failover supervisor", statement_timeout=_STATEMENT) as connection:
        for pid, started in killed:
            leases.give_back_of(connection, socket.gethostname(), pid, started)
