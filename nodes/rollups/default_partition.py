"""A default partition that holds many rows becomes the partition of their time, and an empty one takes its place.

No row is moved, so millions take as long as one.  PostgreSQL would read them all under a lock that keeps writers out, to see
that they belong there, unless a constraint says so that was validated before, beside the writers.  Three steps, each a short
transaction: `bound`, `validate`, `replace`.

While the default partition is bounded, it turns rows outside of the bounds away: those of other gaps between partitions, which
nobody writes, and those more than two days ahead.  A run that is killed leaves the bound to the next, which makes it anew.
"""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple

from django.db import IntegrityError, connection


class Span(NamedTuple):
    """From an instant up to another."""

    start: datetime
    end: datetime

    @property
    def bounds(self) -> str:
        return f"FOR VALUES FROM ('{self.start.isoformat()}') TO ('{self.end.isoformat()}')"


class OutOfBoundsError(Exception):
    """Rows of the default partition lie outside of the bounds: they came meanwhile, the next run sees them."""


def _constraint(table: str) -> str:
    return f"{table}_default_bounds"


def _is_valid(table: str) -> bool | None:
    """Whether the bound is validated; None when there is none."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT convalidated FROM pg_constraint WHERE conrelid = %s::regclass AND conname = %s",
            [f"{table}_default", _constraint(table)],
        )
        row = cursor.fetchone()
    return None if row is None else bool(row[0])


def is_bounded(table: str) -> bool:
    """Whether the default partition takes rows of one span only."""
    return _is_valid(table) is not None


def bound(table: str, time: str, span: Span) -> None:
    """Let the default partition take rows of this span only; those that it holds are not looked at yet."""
    unbound(table)
    within = f"{time} >= '{span.start.isoformat()}' AND {time} < '{span.end.isoformat()}'"
    with connection.cursor() as cursor:
        cursor.execute(f"ALTER TABLE {table}_default ADD CONSTRAINT {_constraint(table)} CHECK ({within}) NOT VALID")


def unbound(table: str) -> None:
    """Let the default partition take any row again."""
    with connection.cursor() as cursor:
        cursor.execute(f"ALTER TABLE {table}_default DROP CONSTRAINT IF EXISTS {_constraint(table)}")


def validate(table: str) -> None:
    """Look at all rows of the default partition, beside its writers; raises `OutOfBoundsError`."""
    try:
        with connection.cursor() as cursor:
            cursor.execute(f"ALTER TABLE {table}_default VALIDATE CONSTRAINT {_constraint(table)}")
    except IntegrityError as error:
        raise OutOfBoundsError(str(error)) from None


def replace(table: str, name: str, span: Span) -> None:
    """Make the default partition the one of this span, under this name, and an empty one the default; takes milliseconds."""
    if not _is_valid(table):
        raise OutOfBoundsError("the bounds are not validated")
    with connection.cursor() as cursor:
        cursor.execute(f"LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE")  # all of it at once, as writers lock it from the top
        cursor.execute(f"ALTER TABLE {table} DETACH PARTITION {table}_default")
        cursor.execute(f"ALTER TABLE {table}_default RENAME TO {name}")
        cursor.execute(f"ALTER TABLE {table} ATTACH PARTITION {name} {span.bounds}")
        cursor.execute(f"ALTER TABLE {name} DROP CONSTRAINT {_constraint(table)}")
        cursor.execute(f"CREATE TABLE {table}_default (LIKE {table} INCLUDING DEFAULTS INCLUDING STORAGE)")
        cursor.execute(f"ALTER TABLE {table} ATTACH PARTITION {table}_default DEFAULT")
