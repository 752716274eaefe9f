"""Leases: the right of one process to work in a slot of its host, for six seconds at a time.

A process that hangs loses its work as surely as one that dies: a lease that was not renewed in time is over, and what its owner
claimed is free.  A lease is named by its term number; a later one of the same slot has a higher number, which is its fence.
A slot that was offered may be taken by a successor while its holder still works.
In: a connection.  Out: term numbers, and whether they still hold.  Locks: rows of `nodes_lease`, for one short transaction.
All instants are the database's.
"""

from __future__ import annotations

import os
from typing import Literal, NamedTuple

import psycopg

from nodes.ledger.rows import Row
from nodes.sign_of_life import started_at

Kind = Literal["checks", "alerts"]

LENGTH = 6.0  # s
RENEW_EVERY = 2.0  # s
LONGEST = 2 * LENGTH  # s ahead; a deadline beyond was written by a clock that has been set back since

# Over a row of nodes_lease.
ALIVE = f"(deadline > now() AND deadline <= now() + make_interval(secs => {LONGEST}))"


# What a lease has claimed is free, due as it is; rows are locked by id, as every decision about a pool does.
RELEASE = """
WITH mine AS MATERIALIZED (SELECT node_id FROM nodes_nodestate WHERE owner = %s ORDER BY node_id FOR UPDATE)
UPDATE nodes_nodestate s SET owner = NULL, version = version + 1 FROM mine WHERE s.node_id = mine.node_id
"""


class Slot(NamedTuple):
    """A place in which at most one runner of its kind works, by host and number."""

    kind: Kind
    host: str
    number: int = 0


def take(connection: psycopg.Connection[Row], slot: Slot, *, length: float = LENGTH) -> int | None:
    """Take the slot for this process: its term number, or None while another has it."""
    with connection.transaction():
        # Rows that somebody renews at this moment are skipped: they are alive.
        connection.execute(
            f"DELETE FROM nodes_lease WHERE term_number IN (SELECT term_number FROM nodes_lease WHERE NOT {ALIVE} "
            "FOR UPDATE SKIP LOCKED)"
        )
        row = connection.execute(
            """INSERT INTO nodes_lease (term_number, kind, host, slot, pid, pid_started, deadline, offered)
               VALUES (nextval('nodes_session'), %s, %s, %s, %s, %s, now() + make_interval(secs => %s), false)
               ON CONFLICT DO NOTHING RETURNING term_number""",
            (*slot, os.getpid(), started_at(os.getpid()), length),
        ).fetchone()
    return None if row is None else int(row["term_number"])


def renew(connection: psycopg.Connection[Row], term_number: int, *, length: float = LENGTH) -> bool:
    """Hold the slot for as long again; False when the lease is over."""
    renewed = connection.execute(
        f"UPDATE nodes_lease SET deadline = now() + make_interval(secs => %s) WHERE term_number = %s AND {ALIVE}",
        (length, term_number),
    )
    return renewed.rowcount == 1


def lives(connection: psycopg.Connection[Row], kind: Kind) -> bool:
    """Whether some process of this kind has a lease, on whichever host."""
    return connection.execute(f"SELECT 1 FROM nodes_lease WHERE kind = %s AND {ALIVE} LIMIT 1", (kind,)).fetchone() is not None


def offer(connection: psycopg.Connection[Row], term_number: int) -> None:
    """Let a successor take the slot; the lease goes on."""
    connection.execute("UPDATE nodes_lease SET offered = true WHERE term_number = %s", (term_number,))


def has_successor(connection: psycopg.Connection[Row], term_number: int) -> bool:
    """Whether a successor has taken the slot that was offered."""
    found = connection.execute(
        f"""SELECT 1 FROM nodes_lease WHERE {ALIVE} AND term_number > %(term)s AND (kind, host, slot) =
            (SELECT kind, host, slot FROM nodes_lease WHERE term_number = %(term)s)""",
        {"term": term_number},
    )
    return found.fetchone() is not None


def give_back(connection: psycopg.Connection[Row], term_number: int) -> None:
    """End the lease, in order: the slot and what was claimed are free at once."""
    with connection.transaction():
        connection.execute(RELEASE, (term_number,))
        connection.execute("DELETE FROM nodes_lease WHERE term_number = %s", (term_number,))


def give_back_of(connection: psycopg.Connection[Row], host: str, pid: int, started: int) -> int:
    """End the leases of a process that was ended, named by its host, id and start; returns how many."""
    ended = connection.execute(
        "SELECT term_number FROM nodes_lease WHERE host = %s AND pid = %s AND pid_started = %s", (host, pid, started)
    ).fetchall()
    for row in ended:
        give_back(connection, row["term_number"])
    return len(ended)
