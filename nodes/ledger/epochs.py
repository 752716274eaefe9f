"""The epochs of all pools, read for those who wait for one to pass."""

from __future__ import annotations

import psycopg

from nodes.ledger.rows import Row


async def read_epochs(connection: psycopg.AsyncConnection[Row]) -> dict[int, int]:
    """Pool id -> its epoch; nothing is locked."""
    cursor = await connection.execute("SELECT pool_id, epoch FROM nodes_poolstate")
    return {row["pool_id"]: row["epoch"] for row in await cursor.fetchall()}
