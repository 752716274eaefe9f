"""API tokens as the hot path asks for them: one query a request, and at most one write a minute for each token."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from nodes.ledger.rows import Cursor

NOTED_EVERY = timedelta(minutes=1)  # that a use is written down
_NO_NODE = 2**63 - 1  # the largest number that the database has; addresses hold larger ones


@dataclass(frozen=True, slots=True)
class FoundToken:
    """A token that may work, by its present key or by the one before; `digest` is what must be proved."""

    id: int
    name: str
    scopes: tuple[str, ...]
    every_pool: bool
    may: bool  # the pool or node that is asked about
    digest: str
    expires_at: datetime | None  # the end of this secret
    used_at: datetime | None
    is_previous: bool


def find(cursor: Cursor, key: str, *, pool: str | None, node: int | None) -> FoundToken | None:
    """The token of a key that is not revoked; `may` says whether it is for the pool with this slug, or for this node's."""
    known = node if node is None or node < _NO_NODE else _NO_NODE
    cursor.execute(_FIND, {"key": key, "pool": pool, "node": known})
    row = cursor.fetchone()
    if row is None:
        return None
    previous = bool(row["is_previous"])
    ends = [each for each in (row["expires_at"], row["previous_until"] if previous else None) if each is not None]
    return FoundToken(
        row["id"], row["name"], tuple(row["scopes"]), row["every_pool"], row["may"],
        row["previous_digest"] if previous else row["digest"], min(ends, default=None),
        row["previous_used_at"] if previous else row["last_used_at"], previous,
    )  # fmt: skip  # few lines


def note_use(cursor: Cursor, found: FoundToken, now: datetime, address: str) -> None:
    """Write down when and from where it was used, unless that was done within the minute; nobody waits for a row that is locked."""
    if found.used_at is not None and now - found.used_at < NOTED_EVERY:
        return
    columns = "previous_used_at = %(now)s" if found.is_previous else "last_used_at = %(now)s, last_used_from = %(address)s"
    used_at = "previous_used_at" if found.is_previous else "last_used_at"
    cursor.execute(
        f"""UPDATE nodes_apitoken SET {columns}
            WHERE id = (SELECT id FROM nodes_apitoken
                        WHERE id = %(id)s AND ({used_at} IS NULL OR {used_at} <= %(before)s)
                        FOR NO KEY UPDATE SKIP LOCKED)""",
        {"id": found.id, "now": now, "before": now - NOTED_EVERY, "address": address},
    )


_FIND = """
SELECT t.id, t.name, t.scopes, t.every_pool, t.digest, t.previous_digest, t.previous_until, t.expires_at, t.last_used_at,
       t.previous_used_at, t.key <> %(key)s AS is_previous,
       t.every_pool OR EXISTS (
           SELECT 1 FROM nodes_apitoken_pools b JOIN nodes_pool p ON p.id = b.pool_id AND p.removed_at IS NULL
           WHERE b.apitoken_id = t.id
             AND (p.slug = %(pool)s::text OR p.id = (SELECT pool_id FROM nodes_node WHERE id = %(node)s::bigint))
       ) AS may
FROM nodes_apitoken t WHERE (t.key = %(key)s OR t.previous_key = %(key)s) AND t.revoked_at IS NULL
"""
