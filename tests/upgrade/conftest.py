"""Each dump in a database of its own, migrated by the code of today; what a test does there is rolled back."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from django.core.management import call_command
from django.db import connection, transaction
from django.test import override_settings
from psycopg import conninfo, sql
from psycopg.rows import dict_row
from pytest_django import DjangoDbBlocker

from tests.upgrade import ENCRYPTION_KEY

DUMPS = sorted(Path(__file__).parent.joinpath("dumps").glob("*.sql"))
DATABASE = "upgrade"

Rows = dict[str, list[dict[str, Any]]]  # table -> its rows

# Parents hold the rows of their partitions.
_TABLES = """
SELECT c.relname AS name FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = 'public' AND c.relkind IN ('r', 'p') AND NOT c.relispartition ORDER BY 1
"""


@dataclass(frozen=True)
class Upgraded:
    """What the dump held, what is there after `migrate`, and an instant shortly after the last thing that happened."""

    before: Rows
    after: Rows
    then: datetime

    def old(self, table: str) -> dict[int, dict[str, Any]]:
        """The dump's rows of a table, by their id."""
        return {row["id"]: row for row in self.before[table]}

    @property
    def waiting_events(self) -> list[dict[str, Any]]:
        """The dump's events that the alerts had not looked at."""
        events = self.old("nodes_event")
        return [events[number] for number in sorted(row["event_id"] for row in self.before["nodes_outbox"])]


@pytest.fixture(scope="module", params=DUMPS, ids=lambda path: path.stem)
def migrated(request: pytest.FixtureRequest, services: dict[str, str], django_db_blocker: DjangoDbBlocker) -> Iterator[Upgraded]:
    url = conninfo.make_conninfo(services["DATABASE_URL"], dbname=DATABASE)
    with psycopg.connect(services["DATABASE_URL"], autocommit=True) as server:
        server.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(DATABASE)))
        try:
            before = _load(url, request.param)
            with django_db_blocker.unblock(), _instead_of_the_tests_database(), override_settings(ENCRYPTION_KEYS=[ENCRYPTION_KEY]):
                call_command("migrate", verbosity=0, interactive=False)
                last = max(row["at"] for row in before["nodes_event"])
                yield Upgraded(before, _read(url), last + timedelta(seconds=30))
        finally:
            server.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(DATABASE)))


@pytest.fixture
def upgraded(migrated: Upgraded) -> Iterator[Upgraded]:
    """The migrated dump, for one test."""
    with transaction.atomic():
        yield migrated
        transaction.set_rollback(True)


def _load(url: str, dump: Path) -> Rows:
    with psycopg.connect(url, autocommit=True) as database:
        database.execute(dump.read_bytes())
        # A fault of old left a high load open for ever when its node was removed.
        database.execute(
            """UPDATE public.nodes_nodestate SET load = '{"last": 95.0, "high": 3}'
               WHERE node_id = (SELECT min(id) FROM public.nodes_node WHERE removed_at IS NOT NULL)"""
        )
    return _read(url)


def _read(url: str) -> Rows:
    with psycopg.connect(url, row_factory=dict_row) as database:
        tables = [row["name"] for row in database.execute(_TABLES).fetchall()]
        return {
            name: database.execute(sql.SQL("SELECT * FROM {}").format(sql.Identifier("public", name))).fetchall() for name in tables
        }


@contextmanager
def _instead_of_the_tests_database() -> Iterator[None]:
    usual = connection.settings_dict["NAME"]
    _connect_to(DATABASE)
    try:
        yield
    finally:
        _connect_to(usual)


def _connect_to(name: str) -> None:
    connection.close()
    connection.close_pool()  # type: ignore[attr-defined]  # of the PostgreSQL backend, which is the only one
    connection.settings_dict["NAME"] = name
