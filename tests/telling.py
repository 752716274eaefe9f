"""Reported calls as they are counted, without the way over HTTP: on Django's connection, so also inside a test's transaction."""

from __future__ import annotations

from nodes import operations
from nodes.engine.reporting import Report
from nodes.engine.types import Member
from nodes.ledger import reported
from nodes.ledger.reported import Counted, Told


def report_outcomes(node_id: int, told: Report) -> Member:
    """Count one report; the node after it."""
    with operations.ledger() as cursor:
        answer = reported.count(cursor, operations.pool_of(node_id), [Told(node_id, told)])[0]
    assert isinstance(answer, Counted)
    return answer.node
