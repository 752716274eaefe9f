"""The one clock: the database's.  Hosts disagree, and an instant that one writes is read by all."""

from __future__ import annotations

from datetime import datetime

from django.db import connection

from nodes.ledger.rows import Cursor


def now(cursor: Cursor) -> float:
    """The instant by the database's clock, in epoch seconds."""
    cursor.execute("SELECT extract(epoch FROM clock_timestamp())::float8 AS now")
    row = cursor.fetchone()
    assert row is not None  # a SELECT of a function answers
    return float(row["now"])


def database_now() -> datetime:
    """The same on Django's connection."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT clock_timestamp()")
        found: datetime = cursor.fetchone()[0]
    return found
