"""Log records of troubles that explain themselves: one line without a traceback, and of the database's one a second at the most."""

from __future__ import annotations

import logging
import time
from collections import Counter

import psycopg
from django.core.exceptions import PermissionDenied
from django.db import InterfaceError, InternalError, OperationalError
from psycopg_pool import PoolTimeout

# Of the database: Django's, and psycopg's own, which the ledger sees.
TROUBLES = (
    OperationalError, InterfaceError, InternalError, psycopg.OperationalError, psycopg.InterfaceError, psycopg.InternalError,
    PoolTimeout,
)  # fmt: skip  # as in the comment
EVERY = 1.0  # s between two lines about the database from the same logger


def first_line(error: BaseException) -> str:
    return str(error).partition("\n")[0] or type(error).__name__


class KnownTroubles(logging.Filter):
    """Takes the traceback of what is known, and leaves out what was said a moment ago."""

    def __init__(self) -> None:
        super().__init__()
        self._said: dict[str, float] = {}  # logger -> monotonic
        self._left_out: Counter[str] = Counter()

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the record is written, perhaps changed."""
        error = record.exc_info[1] if record.exc_info else None
        if not isinstance(error, (PermissionDenied, *TROUBLES)):
            return True
        record.msg, record.args = f"{record.getMessage()}: {first_line(error)}", None
        record.exc_info = record.exc_text = None
        return isinstance(error, PermissionDenied) or self._is_due(record)

    def _is_due(self, record: logging.LogRecord) -> bool:
        now = time.monotonic()
        if now - self._said.get(record.name, -EVERY) < EVERY:
            self._left_out[record.name] += 1
            return False
        self._said[record.name] = now
        if more := self._left_out.pop(record.name, 0):
            record.msg = f"{record.msg} ({more} more like it since the last line)"
        return True
