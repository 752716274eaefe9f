"""`manage.py migrate`, without the time-outs of the console's other connections: a change of a table may wait for its lock."""

from __future__ import annotations

from typing import Any

from django.core.management.commands import migrate
from django.db import connections


class Command(migrate.Command):
    """Django's own, on a connection that waits."""

    def handle(self, *args: Any, **options: Any) -> None:
        """Migrate; the connection has its time-outs back afterwards."""
        names = ("lock_timeout", "idle_in_transaction_session_timeout")
        with connections[options["database"]].cursor() as cursor:
            cursor.execute("; ".join(f"SET {name} = 0" for name in names))
        try:
            super().handle(*args, **options)
        finally:
            with connections[options["database"]].cursor() as cursor:
                cursor.execute("; ".join(f"RESET {name}" for name in names))
