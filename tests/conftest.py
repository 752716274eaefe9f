"""Real PostgreSQL and Redis for the tests that need them, one pair per test process, gone afterwards.

Tests that ask for no database start nothing.  Properties are tried on few, always the same examples;
`--hypothesis-profile=long` tries many new ones.
"""

from __future__ import annotations

import os
import pwd
import shutil
import signal
from collections.abc import Callable, Generator, Iterator
from typing import Any

import psycopg
import pytest
from django.apps import apps
from django.conf import settings
from django.db import connection, connections, transaction
from django.test import override_settings
from hypothesis import settings as hypothesis_settings
from psycopg import sql
from pytest_django import DjangoDbBlocker
from xdist.scheduler import LoadFileScheduling

from failover_console.addresses import socket_directory
from failover_console.embedded import Services
from failover_console.embedded.postgresql import SUPERUSER
from nodes import intake
from tests import prepared
from tests.environment import DATA_DIR
from tests.product import eventually

CONSOLES = ("tests/browser/", "tests/integration/", "tests/upgrade/")
RESTORE = pytest.StashKey[Callable[[], None]]()

hypothesis_settings.register_profile("quick", max_examples=8, derandomize=True, deadline=None, database=None)
hypothesis_settings.register_profile("long", max_examples=1000, deadline=None)
if hypothesis_settings.get_current_profile_name() == "default":
    hypothesis_settings.load_profile("quick")


@pytest.fixture(scope="session", autouse=True)
def static_files() -> Iterator[None]:
    """Static files straight from their sources: names without hashes, nothing collected beforehand, each looked for when asked for.

    A client that does not look when asked lists them all at its first request, which takes longer than most answers.
    """
    plain = {**settings.STORAGES, "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"}}
    settings.STATIC_ROOT.mkdir(parents=True, exist_ok=True)
    with override_settings(STORAGES=plain, WHITENOISE_USE_FINDERS=True, WHITENOISE_AUTOREFRESH=True):
        yield


@pytest.fixture(scope="session")
def services() -> Iterator[dict[str, str]]:
    """The embedded servers of this test process: DATABASE_URL and REDIS_URL; what they hold need not outlive the machine."""
    running = Services(DATA_DIR)
    prepared.copy_to(DATA_DIR, dict(os.environ))
    with (DATA_DIR / "postgres" / "postgresql.auto.conf").open("a") as written:
        written.write("fsync = off\n")
    try:
        addresses = running.start()
        _let_make_databases(running, addresses["DATABASE_URL"])
        yield addresses
    finally:
        running.stop()


def _let_make_databases(running: Services, url: str) -> None:
    """The console's role makes none; the tests' superuser is let in for as long as this server runs, and allows it."""
    me = pwd.getpwuid(os.geteuid()).pw_name
    lines = {"pg_hba.conf": f"local all {SUPERUSER} peer map=tests", "pg_ident.conf": f"tests {me} {SUPERUSER}"}
    for name, line in lines.items():
        with (DATA_DIR / "postgres" / name).open("a") as written:
            written.write(f"{line}\n")
    os.kill(next(each.pid for each in running.processes if each.name == "postgres"), signal.SIGHUP)

    def allowed() -> bool:
        try:
            with psycopg.connect(url, user=SUPERUSER) as server:
                server.execute("ALTER ROLE failover CREATEDB")
        except psycopg.OperationalError:  # it has not read its files again yet
            return False
        return True

    eventually(allowed, 10, "the superuser gets in")


@pytest.fixture(scope="session")
def django_db_modify_db_settings(services: dict[str, str]) -> None:
    """Runs before pytest-django makes its database: the server is up by then.

    Tests hold transactions open while they look at pages and start processes: theirs may be idle for longer than the console's.
    """
    settings.DATABASES["default"]["TEST"]["TEMPLATE"] = settings.DATABASES["default"]["NAME"]  # migrated, in the prepared directory
    options = settings.DATABASES["default"]["OPTIONS"]
    options["options"] += " -c idle_in_transaction_session_timeout=60s"


@pytest.fixture(scope="session")
def django_db_setup(request: pytest.FixtureRequest, django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> Iterator[None]:
    """What migrations wrote comes back after each transactional test by COPY: Django saves it row by row, which takes longer.

    Pools of the aliases that the web's classes of requests have are closed before the database goes.
    """
    written: list[tuple[sql.Identifier, bytes]] = []
    unmanaged = sql.SQL("TRUNCATE {}").format(  # which no flush empties
        sql.SQL(", ").join(sql.Identifier(each._meta.db_table) for each in apps.get_models() if not each._meta.managed)
    )
    with django_db_blocker.unblock(), connection.cursor() as cursor:
        for name in connection.introspection.django_table_names(only_existing=True, include_views=False):
            with cursor.copy(sql.SQL("COPY (TABLE {}) TO STDOUT").format(sql.Identifier(name))) as copy:
                if rows := b"".join(copy):
                    written.append((sql.Identifier(name), rows))

    def restore() -> None:
        with django_db_blocker.unblock(), transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(unmanaged)
            for table, rows in written:
                cursor.execute(sql.SQL("SELECT EXISTS (TABLE {})").format(table))
                if cursor.fetchone() == (True,):
                    continue
                with cursor.copy(sql.SQL("COPY {} FROM STDIN").format(table)) as copy:
                    copy.write(rows)

    request.config.stash[RESTORE] = restore
    connection.creation.deserialize_db_from_string = lambda _: None
    yield
    intake.close()  # who counts reports keeps its connections, and a database in use cannot be dropped
    for alias in settings.DATABASES:
        connections[alias].close_pool()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(item: pytest.Item, nextitem: pytest.Item | None) -> Generator[None, None, None]:
    """A transactional test leaves all tables empty, and any other may come next."""
    yield
    database = item.get_closest_marker("django_db")
    if nextitem is not None and database and database.kwargs.get("transaction") and RESTORE in item.config.stash:
        item.config.stash[RESTORE]()


def pytest_configure() -> None:
    """A run that is told to end stops its servers first, as it does at Ctrl-C."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)


def pytest_unconfigure() -> None:
    shutil.rmtree(socket_directory(DATA_DIR), ignore_errors=True)
    shutil.rmtree(DATA_DIR, ignore_errors=True)


class OneConsoleAtATime(LoadFileScheduling):  # type: ignore[misc]  # xdist's schedulers have no types
    """A module stays with one worker; the first one runs those that start whole consoles, which take both cores.

    Who has nothing of its own left takes of what is.
    """

    def _assign_work_unit(self, node: Any) -> None:
        starts = node.gateway.id == "gw0"
        mine = (name for name in self.workqueue if name.startswith(CONSOLES) == starts)
        if (name := next(mine, None)) is not None:
            self.workqueue.move_to_end(name, last=False)
        super()._assign_work_unit(node)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    return OneConsoleAtATime(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Nothing is written again that is restored anyway."""
    for item in items:
        database = item.get_closest_marker("django_db")
        if database and database.kwargs.get("transaction") and not database.kwargs.get("serialized_rollback"):
            raise pytest.UsageError(
                f"{item.nodeid}: transaction=True asks for serialized_rollback=True, or each flush makes all permissions anew"
            )
