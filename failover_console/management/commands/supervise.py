"""`manage.py supervise NAME`: one program of the console, started again when it ends and ended when it hangs.

It is the first process of a container and what a systemd unit runs.  Both restart only what ends, and a program that hangs does
not; told by systemd (NOTIFY_SOCKET), it also shows the service manager that it lives itself.
"""

from __future__ import annotations

import contextlib
from argparse import ArgumentParser
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand

from failover_console import processes, run_as, watched
from failover_console.hang_watch import HangWatch
from failover_console.redaction import Redaction
from failover_console.service_manager import ServiceManager
from failover_console.supervisor import Stage, Supervisor

PATIENCE = 5.0  # s that a program is given to end in order


class Command(BaseCommand):
    """Keeps one program running until a signal ends it."""

    help = "Runs one of the console's programs, starts it again when it ends, and ends it when it hangs."
    requires_system_checks: tuple[str, ...] = ()

    def add_arguments(self, parser: ArgumentParser) -> None:
        """The program's name."""
        parser.add_argument("name", choices=list(processes.all_processes("", "")), help="which program")

    def handle(self, *_args: Any, name: str, **_options: Any) -> None:
        """Run until a signal ends it."""
        argv = processes.all_processes(settings.HOST, str(settings.PORT), list(map(str, settings.TRUSTED_PROXIES)))[name]
        manager = ServiceManager.of_environment()
        user = run_as.choose(settings.DATA_DIR, settings.RUN_AS, settings.BASE_DIR, may_give=False)
        if user.notice:
            self._say(user.notice)
        with watched.signs_directory(user) as signs:
            stage = Stage((watched.child(name, argv, signs, user),), patience=PATIENCE)
            Supervisor(
                [stage], self._say, hangs=HangWatch(signs), on_killed=watched.free_leases, on_ready=manager.ready,
                on_turn=manager.alive, redacted=Redaction(settings.OWN_SECRETS),
            ).run()  # fmt: skip  # what it is told beside what it tells

    def _say(self, line: str) -> None:
        with contextlib.suppress(OSError):
            print(line, flush=True)
