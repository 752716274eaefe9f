"""Events that the alerts write to the history themselves, through Django's connection."""

from __future__ import annotations

from datetime import datetime

from django.db import connection
from psycopg.rows import dict_row

from nodes.engine.types import Event
from nodes.ledger.history import append
from nodes.ledger.rows import Cursor


def append_event(recorded: Event, now: datetime) -> None:
    """Append an event, in the caller's transaction if there is one."""
    with connection.cursor() as wrapper:
        cursor: Cursor = wrapper.cursor
        cursor.row_factory = dict_row
        append(cursor, recorded, now.timestamp())
