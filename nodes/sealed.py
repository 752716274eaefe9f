"""Which keys of the ring seal what is stored, and sealing it anew by the first of them.

Sealed is every column of an `EncryptedTextField`, and every text that Fernet made inside the JSON columns of
`settings.SEALED_IN_JSON`.  A value does not say which key made it, so each is tried.  No secret leaves this module: keys are known
by their fingerprint, values by the table and number of their row.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from hashlib import sha256
from typing import Any

import psycopg
from cryptography.fernet import Fernet, InvalidToken
from django.apps import apps
from django.conf import settings
from django.db import connection
from psycopg import sql

from nodes.models.encrypted import EncryptedTextField
from nodes.operations import ledger

_BATCH = 500  # rows of one look
_MADE_BY_FERNET = "gAAAA"  # its version and the first bytes of an instant before the year 2106


@dataclass(frozen=True, slots=True)
class SealedColumn:
    """A column that holds sealed text, alone or within JSON."""

    table: str
    key: str  # its primary key
    name: str
    in_json: bool

    def sealed_in(self, stored: str) -> list[str]:
        """The sealed texts of one value."""
        if not self.in_json:
            return [stored] if stored else []
        return [text for text in _texts(json.loads(stored)) if text.startswith(_MADE_BY_FERNET)]


@dataclass(frozen=True, slots=True)
class KeyInUse:
    """One key of the ring, the first is number 1; `values` says how many it seals."""

    number: int
    fingerprint: str
    values: int

    @property
    def seals_new(self) -> bool:
        return self.number == 1


@dataclass(frozen=True, slots=True)
class Usage:
    """What seals what; `unreadable` names the rows that no key reads, `whole` whether all rows were looked at."""

    keys: tuple[KeyInUse, ...]
    unreadable: tuple[str, ...]
    whole: bool

    @property
    def values(self) -> int:
        return sum(key.values for key in self.keys)

    def may_go(self, key: KeyInUse) -> bool:
        """Whether nothing is lost with this key.  One that no value needs may still be what an unreadable one never had."""
        return self.whole and not key.seals_new and key.values == 0


@dataclass
class Resealing:
    """What sealing anew came to, in rows."""

    done: int = 0
    busy: list[str] = field(default_factory=list)  # locked by somebody for longer than we wait
    unreadable: list[str] = field(default_factory=list)


def fingerprint(key: str) -> str:
    """By which a key is told from others, and nothing of it can be computed."""
    digest = sha256(b"failover-console encryption key " + key.encode()).hexdigest()
    return f"{digest[:4]} {digest[4:8]} {digest[8:12]}"


def columns() -> list[SealedColumn]:
    """All of them, by table and name."""
    found = [
        SealedColumn(model._meta.db_table, str(model._meta.pk.column), str(column.column), in_json=False)
        for model in apps.get_models()
        for column in model._meta.local_concrete_fields
        if isinstance(column, EncryptedTextField)
    ]
    for label, name in settings.SEALED_IN_JSON:
        model = apps.get_model(label)
        column = str(model._meta.get_field(name).column)
        found.append(SealedColumn(model._meta.db_table, str(model._meta.pk.column), column, in_json=True))
    return sorted(found, key=lambda each: (each.table, each.name))


def usage(most: int | None = None) -> Usage:
    """Count by key what is sealed, at most so many rows of each column, the newest; without a lock."""
    ring = tuple(settings.ENCRYPTION_KEYS)
    counted: Counter[int] = Counter()
    unreadable, whole = [], True
    for column in columns():
        for seen, (row, stored) in enumerate(_rows(column)):
            if most is not None and seen == most:
                whole = False
                break
            made_by = [_key_of(text, ring) for text in column.sealed_in(stored)]
            counted.update(number for number in made_by if number is not None)
            if None in made_by:
                unreadable.append(_named(column, row))
    keys = tuple(KeyInUse(number + 1, fingerprint(key), counted[number]) for number, key in enumerate(ring))
    return Usage(keys, tuple(unreadable), whole)


def reseal() -> Iterator[Resealing]:
    """Seal by the first key what another one sealed, row by row; what has been done so far, after each row that was looked into.

    Each row is a transaction of its own that locks it and reads it again, so the product goes on, an edit is never undone, and
    whoever stops it loses nothing: the next run finds what is left.
    """
    ring, done = tuple(settings.ENCRYPTION_KEYS), Resealing()
    for column in columns():
        for row, stored in _rows(column):
            if all(_key_of(text, ring) == 0 for text in column.sealed_in(stored)):
                continue
            try:
                _reseal_row(column, row, ring, done)
            except psycopg.errors.LockNotAvailable:
                done.busy.append(_named(column, row))
            yield done


def _reseal_row(column: SealedColumn, row: Any, ring: tuple[str, ...], done: Resealing) -> None:
    with ledger() as cursor:
        cursor.execute(_statement("SELECT {name}::text AS stored FROM {table} WHERE {key} = %s FOR NO KEY UPDATE", column), (row,))
        found = cursor.fetchone()
        old = [] if found is None else [text for text in column.sealed_in(found["stored"]) if _key_of(text, ring) != 0]
        new = {text: _sealed_by_first(text, ring) for text in old if _key_of(text, ring) is not None}
        if len(new) < len(set(old)):
            done.unreadable.append(_named(column, row))
        if found is None or not new:
            return
        stored = json.dumps(_replaced(json.loads(found["stored"]), new)) if column.in_json else new[found["stored"]]
        kind = sql.SQL("jsonb" if column.in_json else "text")
        cursor.execute(_statement("UPDATE {table} SET {name} = %s::{kind} WHERE {key} = %s", column, kind=kind), (stored, row))
    done.done += 1


def _rows(column: SealedColumn) -> Iterator[tuple[Any, str]]:
    """Number and text of each row that holds something, the newest first, in looks of their own that keep no transaction open."""
    last: Any = None
    query = """SELECT {key}, {name}::text FROM {table} WHERE {name}::text <> '' AND (%s::bigint IS NULL OR {key} < %s)
               ORDER BY {key} DESC LIMIT %s"""
    while True:
        with connection.cursor() as cursor:
            cursor.execute(_statement(query, column).as_string(None), (last, last, _BATCH))
            found = cursor.fetchall()
        yield from found
        if len(found) < _BATCH:
            return
        last = found[-1][0]


def _statement(text: str, column: SealedColumn, **parts: sql.Composable) -> sql.Composed:
    names = {"table": column.table, "key": column.key, "name": column.name}
    return sql.SQL(text).format(**{part: sql.Identifier(name) for part, name in names.items()}, **parts)


def _named(column: SealedColumn, row: Any) -> str:
    return f"{column.table} {row} ({column.name})"


@lru_cache(maxsize=32)
def _fernet(key: str) -> Fernet:
    return Fernet(key)


def _key_of(text: str, ring: tuple[str, ...]) -> int | None:
    """The place in the ring of the key that sealed it; None when none of them did."""
    for number, key in enumerate(ring):
        try:
            _fernet(key).decrypt(text.encode())
        except InvalidToken:
            continue
        return number
    return None


def _sealed_by_first(text: str, ring: tuple[str, ...]) -> str:
    made_by = _key_of(text, ring)
    assert made_by is not None  # the caller leaves out what no key reads
    return _fernet(ring[0]).encrypt(_fernet(ring[made_by]).decrypt(text.encode())).decode()


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, list | dict):
        for each in value.values() if isinstance(value, dict) else value:
            yield from _texts(each)


def _replaced(value: Any, new: dict[str, str]) -> Any:
    if isinstance(value, str):
        return new.get(value, value)
    if isinstance(value, list):
        return [_replaced(each, new) for each in value]
    return {name: _replaced(each, new) for name, each in value.items()} if isinstance(value, dict) else value
