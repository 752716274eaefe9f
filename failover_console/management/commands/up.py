"""`manage.py up`: the whole console with one command."""

import contextlib
import errno
import secrets
import signal
import socket
from argparse import ArgumentParser
from collections.abc import Iterator
from types import FrameType
from typing import Any

from django.conf import settings
from django.contrib.auth import get_user_model
from django.contrib.auth.hashers import make_password
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError
from django.db import connection, transaction

from failover_console import addresses, processes, run_as, watched
from failover_console import demo as demo_fleet
from failover_console.embedded import EmbeddedError, Services
from failover_console.files import UnsafePathError
from failover_console.hang_watch import HangWatch
from failover_console.readiness import Readiness
from failover_console.redaction import Redaction
from failover_console.run_as import RunAs
from failover_console.supervisor import Stage, Supervisor
from nodes.access_changes import ON_THE_SERVER, account_changed
from nodes.models import Pool

PASSWORD_BYTES = 12
FIRST_USER_LOCK = 0x0316B  # advisory
LOOPBACK = "127.0.0.0/8"
HURRIED_SECONDS = {"postgres": 1.5, "redis": 0.5, "demo": 0.5}


class Command(BaseCommand):
    """Starts the embedded services, makes what is missing, and keeps web, workers and beat running until Ctrl-C."""

    help = (
        "Starts everything on this machine: PostgreSQL and Redis (unless DATABASE_URL and REDIS_URL name others), migrations, "
        "static files, the first user, web, workers, beat. Ctrl-C ends all of it."
    )
    requires_system_checks: tuple[str, ...] = ()

    def add_arguments(self, parser: ArgumentParser) -> None:
        """One flag: the demo fleet."""
        parser.add_argument("--demo", action="store_true", help="with an empty database: add a demo fleet, with servers to switch")

    def handle(self, *_args: Any, demo: bool, **_options: Any) -> None:
        """Run until a signal ends it; what cannot be is a CommandError whose sentence says what to do."""
        _refuse_taken_port(settings.HOST, settings.PORT)
        try:
            self._run(demo=demo)
        except (EmbeddedError, UnsafePathError) as trouble:
            raise CommandError(str(trouble)) from trouble

    def _run(self, *, demo: bool) -> None:
        closed = run_as.tighten(settings.DATA_DIR)
        user = run_as.choose(settings.DATA_DIR, settings.RUN_AS, settings.BASE_DIR, may_give=True)
        services = Services(
            settings.DATA_DIR,
            with_postgresql=settings.EMBEDDED,
            with_redis=addresses.redis_url(settings.DATA_DIR) == settings.REDIS_URL,
            client=(user.uid, user.gid),
        )
        try:
            with _signals_interrupt():
                services.start()
                for notice in filter(None, (closed, user.notice, *services.notices)):
                    self._say(notice)
                with_demo = self._prepare(user, demo=demo)
                self._supervise(services, user, with_demo=with_demo)
        except KeyboardInterrupt:
            self._say("Stopped before everything was up.")
        finally:
            services.stop()

    def _prepare(self, user: RunAs, *, demo: bool) -> bool:
        """Bring database and static files up to date, let go of the database; whether the demo is in the inventory."""
        call_command("migrate", interactive=False, verbosity=0)
        user.give(settings.DATA_DIR)
        watched.collect_static_files(user)
        self._first_user()
        if demo and not Pool.objects.exists():
            call_command("demo", "add")
        with_demo = demo_fleet.installed()
        connection.close()
        connection.close_pool()  # type: ignore[attr-defined] # of the PostgreSQL backend, which is the only one
        return with_demo

    def _first_user(self) -> None:
        """Make a superuser where none is active; a console that cannot watches the fleet all the same."""
        users = get_user_model().objects
        superusers = users.filter(is_superuser=True, is_active=True)
        if superusers.exists():
            return
        name = settings.SUPERUSER_USERNAME
        password = settings.SUPERUSER_PASSWORD or secrets.token_urlsafe(PASSWORD_BYTES)
        hashed = make_password(password)  # takes its time, so not under the lock
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(%s)", (FIRST_USER_LOCK,))  # of two that start at once, one makes it
            if superusers.exists():
                return
            if users.filter(username=name).exists():
                self._say(
                    f"Warning: no active user is a superuser, and {name} exists already: make one by manage.py createsuperuser, "
                    "or set DJANGO_SUPERUSER_USERNAME to another name."
                )
                return
            users.create(username=name, password=hashed, is_staff=True, is_superuser=True)
            account_changed(f"up made the first user {name}, a superuser", actor=ON_THE_SERVER)
        if not settings.SUPERUSER_PASSWORD:
            self._say(f"The first user is {name}, the password {password} (it is not shown again).")

    def _supervise(self, services: Services, user: RunAs, *, with_demo: bool) -> None:
        # The demo's servers are on loopback, where checks and webhooks go only by this list.
        allowed = {"EGRESS_ALLOW": ",".join(map(str, [*settings.EGRESS_ALLOW, *([LOOPBACK] if with_demo else [])]))}
        programs = processes.all_processes(settings.HOST, str(settings.PORT), list(map(str, settings.TRUSTED_PROXIES)))
        if with_demo:
            programs["demo"] = ["django", "demo", "serve"]
        with watched.signs_directory(user) as signs:
            children = {name: watched.child(name, argv, signs, user, allowed) for name, argv in programs.items()}
            alone = [*services.processes, *([children.pop("demo")] if with_demo else [])]
            stages = [Stage((child,), patience=5.0, hurried=HURRIED_SECONDS[child.name]) for child in alone]
            web = children.pop("web")
            # Beat is asked first and sends nothing from then on; what it takes to leave need not keep the workers waiting.
            stages += [Stage((children.pop("beat"), *children.values()), patience=5.0), Stage((web,), patience=2.5)]
            readiness = Readiness(settings.HOST, settings.PORT, settings.PUBLIC_URL)
            Supervisor(
                stages, self._say, ready=readiness.answers, on_ready=self._greet, hangs=HangWatch(signs),
                on_killed=watched.free_leases, redacted=Redaction(settings.OWN_SECRETS),
            ).run()  # fmt: skip  # what it is told beside what it tells
        self._say("All has ended; the history is kept.")

    def _greet(self) -> None:
        self._say(f"The failover console runs at {settings.PUBLIC_URL} (Ctrl-C ends it).")

    def _say(self, line: str) -> None:
        with contextlib.suppress(OSError):  # a terminal that is gone must not keep us from ending in order
            print(line, flush=True)


def _refuse_taken_port(host: str, port: int) -> None:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as door:
        door.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            door.bind((host, port))
        except OSError as trouble:
            if trouble.errno == errno.EADDRINUSE:
                raise CommandError(f"PORT {port} on {host} is taken: end what listens there, or set PORT to another.") from trouble
            if trouble.errno == errno.EACCES:
                raise CommandError(f"PORT {port} is not for this user: set PORT to one above 1023.") from trouble
            raise CommandError(f"HOST {host} is no address of this machine ({trouble.strerror}): set HOST to one.") from trouble


@contextlib.contextmanager
def _signals_interrupt() -> Iterator[None]:
    """While all is made ready, what asks for the end interrupts as Ctrl-C does."""

    def interrupt(_number: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = {number: signal.signal(number, interrupt) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
