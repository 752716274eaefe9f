"""The shares of a pool over time: a row for each transaction that changes them, so that a band needs no other table.

Several decisions of one transaction are one row: what lies between them was never in force.  Rows stay for good.
"""

from __future__ import annotations

from collections.abc import Mapping

from psycopg.types.json import Jsonb

from nodes.engine import types
from nodes.engine.shares import shares
from nodes.ledger.rows import Cursor, moment


def write_shares(cursor: Cursor, before: types.Pool, after: types.Pool, failover: int | None, now: float) -> None:
    """Append the shares of the pool if they or their epoch are new; `failover`: the last decision that was carried out."""
    held = _held(shares(after))
    if after.epoch != before.epoch or held != _held(shares(before)):
        append_shares(cursor, after.id, after.epoch, held, now, failover=failover)


def append_shares(
    cursor: Cursor, pool: int, epoch: int, held: Mapping[int, int], now: float, *, failover: int | None = None
) -> None:
    """Append a row: from now on these nodes hold so many basis points, and no other any."""
    cursor.execute(_APPEND, (pool, moment(now), pool, epoch, Jsonb({str(node): share for node, share in held.items()}), failover))


# A clock that was set back makes no row older than the one before it.
_APPEND = """
INSERT INTO nodes_sharepoint (pool_id, at, epoch, shares, failover_id)
VALUES (%s, greatest(%s, (SELECT max(at) FROM nodes_sharepoint WHERE pool_id = %s)), %s, %s, %s)
"""


def _held(found: Mapping[int, int]) -> dict[int, int]:
    return {node: share for node, share in found.items() if share}
