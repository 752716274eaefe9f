"""`manage.py migrate`, one at a time for a database, without the time-outs of the console's other connections.

A change of a table may wait for its lock; consoles that start together on one database migrate it one after the other.
"""

from __future__ import annotations

from typing import Any

from django.core.management.commands import migrate
from django.db import connections

_LOCK = 0x0316A  # advisory lock of the process that migrates


class Command(migrate.Command):
    """Django's own, on a connection that waits."""

    def handle(self, *args: Any, **options: Any) -> None:
        """Migrate; the connection has its time-outs back afterwards."""
        names = ("lock_timeout", "idle_in_transaction_session_timeout")
        with connections[options["database"]].cursor() as cursor:
            cursor.execute("; ".join(f"SET {name} = 0" for name in names))
            cursor.execute("SELECT pg_advisory_lock(%s)", (_LOCK,))
        try:
            super().handle(*args, **options)
        finally:
            with connections[options["database"]].cursor() as cursor:
                cursor.execute("SELECT pg_advisory_unlock(%s)", (_LOCK,))
                cursor.execute("; ".join(f"RESET {name}" for name in names))
