"""Database connections of the programs that are no web request: runners, the hub, the alerts' dispatcher."""

from __future__ import annotations

from typing import Any

import psycopg
from django.db import connection as django_connection
from psycopg.rows import dict_row

from nodes.ledger.rows import Row

# A vanished database is noticed within seconds, and a vanished runner loses its locks as fast.
_PATIENCE = {
    "connect_timeout": 2,  # s
    "keepalives_idle": 5,  # s
    "keepalives_interval": 2,  # s
    "keepalives_count": 3,
    "tcp_user_timeout": 8000,  # ms
    "target_session_attrs": "read-write",
}
_SESSION = "-c statement_timeout={} -c lock_timeout={} -c idle_in_transaction_session_timeout=3s -c timezone=UTC"
STATEMENT = 5000  # ms
LOCK = 2000  # ms


def parameters(application: str, *, statement_timeout: int = STATEMENT, lock_timeout: int = LOCK) -> dict[str, Any]:
    """Connection parameters of the default database, with our patience; the timeouts in ms."""
    configured = django_connection.settings_dict
    names = {"dbname": "NAME", "user": "USER", "password": "PASSWORD", "host": "HOST", "port": "PORT"}
    given = {ours: configured[theirs] for ours, theirs in names.items() if configured.get(theirs)}
    options = {key: value for key, value in configured.get("OPTIONS", {}).items() if key.startswith("ssl")}
    return {
        **_PATIENCE,
        **options,
        **given,
        "application_name": application,
        "options": _SESSION.format(statement_timeout, lock_timeout),
    }


def connect(application: str, *, statement_timeout: int = STATEMENT, lock_timeout: int = LOCK) -> psycopg.Connection[Row]:
    """An autocommit connection with dictionary rows; raises `psycopg.OperationalError`."""
    given = parameters(application, statement_timeout=statement_timeout, lock_timeout=lock_timeout)
    return psycopg.connect(**given, autocommit=True, row_factory=dict_row)


async def aconnect(application: str) -> psycopg.AsyncConnection[Row]:
    """`connect` for an event loop."""
    return await psycopg.AsyncConnection.connect(**parameters(application), autocommit=True, row_factory=dict_row)
