"""Checks as a runner applies them."""

from __future__ import annotations

import itertools

import psycopg

from nodes.engine.enums import Verdict
from nodes.engine.types import Observation
from nodes.ledger import Result, advance, claim, leases
from nodes.ledger.leases import Slot
from nodes.ledger.rows import Row
from nodes.models import Node, Pool

_slots = itertools.count()


def lease(connection: psycopg.Connection[Row]) -> int:
    """A lease of a slot that nobody else has: its term number."""
    term_number = leases.take(connection, Slot("checks", "test", next(_slots)))
    assert term_number is not None
    return term_number


def observe(connection: psycopg.Connection[Row], pool: Pool, name: str, observation: Observation) -> None:
    """Claim the node of this name, and apply what was seen of it."""
    term_number = lease(connection)
    with connection.transaction(), connection.cursor() as cursor:
        cursor.execute("UPDATE nodes_nodestate SET due_at = '2020-01-01', owner = NULL")
        node = Node.objects.get(pool=pool, name=name)
        each = next(c for c in claim(cursor, term_number, host="test", ahead=1, limit=100).claims if c.node == node.pk)
        advance(cursor, pool.pk, now=observation.started_at, results=[Result(each.node, each.term_number, observation)])


def see(connection: psycopg.Connection[Row], pool: Pool, verdicts: dict[str, str], now: float) -> None:
    """Claim every node and apply these verdicts; nodes that are not named are given back."""
    term_number = lease(connection)
    with connection.transaction(), connection.cursor() as cursor:
        cursor.execute("UPDATE nodes_nodestate SET due_at = '2020-01-01', owner = NULL")
        names = dict(Node.objects.values_list("pk", "name"))
        claims = {names[c.node]: c for c in claim(cursor, term_number, host="test", ahead=1, limit=100).claims}
        results = [
            Result(
                claims[name].node,
                claims[name].term_number,
                Observation(Verdict(verdict), "refused" if verdict == "fail" else "", 0.01, now, now),
            )
            for name, verdict in verdicts.items()
        ]
        advance(cursor, pool.pk, now=now, results=results)
