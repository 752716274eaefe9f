"""Takes a pool out whose rows cannot be read: without the engine, by columns alone, with every end that the engine would write.

Locks: the pool's row, then those of its nodes.
"""

from __future__ import annotations

from nodes.engine.enums import EventType
from nodes.engine.event_types import IN_INCIDENTS, TABLE, TroubleType, event
from nodes.ledger.history import append
from nodes.ledger.rows import Cursor, moment
from nodes.ledger.share_points import append_shares


def take_out(cursor: Cursor, pool_id: int, name: str, *, actor: str, now: float) -> None:
    """End all that is open in the pool, and take its shares away; the caller marks pool and nodes as removed."""
    cursor.execute("SELECT epoch FROM nodes_poolstate WHERE pool_id = %s FOR UPDATE", (pool_id,))
    state = cursor.fetchone()
    cursor.execute("SELECT id, name FROM nodes_node WHERE pool_id = %s AND removed_at IS NULL ORDER BY id", (pool_id,))
    nodes = {row["id"]: row["name"] for row in cursor.fetchall()}
    cursor.execute(
        """UPDATE nodes_nodestate SET share = 0, admin_state = 'disabled', failure = NULL, flapping = NULL, ramp = NULL,
                  trial = NULL, owner = NULL, version = version + 1 WHERE node_id = ANY(%s)""",
        (list(nodes),),
    )
    if state is not None:
        append_shares(cursor, pool_id, state["epoch"], {}, now)
    for node, called in nodes.items():
        removed = event(EventType.NODE_REMOVED, f"{called} removed by {actor}: pool {name} removed", node, actor=actor)
        append(cursor, removed, now, pool=pool_id)
    cursor.execute(
        "UPDATE nodes_failure SET recovered_at = %s WHERE node_id = ANY(%s) AND recovered_at IS NULL", (moment(now), list(nodes))
    )
    _close_incidents(cursor, pool_id, name, now)
    _end_troubles(cursor, pool_id, name, now)
    cursor.execute(
        """UPDATE nodes_poolstate SET incident_id = NULL, missing_told = false, stale_told = '{}', low_capacity = false,
                  down = false, version = version + 1 WHERE pool_id = %s""",
        (pool_id,),
    )


def _close_incidents(cursor: Cursor, pool_id: int, name: str, now: float) -> None:
    cursor.execute(
        "UPDATE nodes_incident SET closed_at = %s WHERE pool_id = %s AND closed_at IS NULL RETURNING id", (moment(now), pool_id)
    )
    for row in cursor.fetchall():
        closed = event(EventType.INCIDENT_CLOSED, f"{name} was removed, its incident is over")
        append(cursor, closed, now, pool=pool_id, incident=row["id"])


def _end_troubles(cursor: Cursor, pool_id: int, name: str, now: float) -> None:
    """What lasts is known from the history: a beginning of this pool or a node of it that no end has followed."""
    for trouble in set(TroubleType) - IN_INCIDENTS - {TroubleType.POOL_UNDECIDED}:
        begins = [kind.value for kind, row in TABLE.items() if row.begins is trouble]
        ends = next(kind for kind, row in TABLE.items() if row.ends is trouble)
        cursor.execute(
            """SELECT DISTINCT ON (node_id) node_id, type, incident_id FROM nodes_event
               WHERE pool_id = %s AND type = ANY(%s) ORDER BY node_id, id DESC""",
            (pool_id, [*begins, ends.value]),
        )
        for row in cursor.fetchall():
            if row["type"] in begins:
                ended = event(ends, f"{name} was removed", row["node_id"])
                append(cursor, ended, now, pool=pool_id, incident=row["incident_id"])
