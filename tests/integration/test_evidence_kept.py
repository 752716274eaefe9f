"""What a check saw is kept with the failure that it belongs to, and how long a node asks to be left alone is obeyed."""

from __future__ import annotations

import time
from typing import Any

import psycopg
import pytest

from nodes.engine.enums import Verdict
from nodes.engine.types import Observation
from nodes.ledger.rows import Row
from nodes.models import Failure, Incident, NodeState, Pool
from tests.integration.checking import observe, see

pytestmark = [pytest.mark.integration, pytest.mark.django_db(transaction=True, serialized_rollback=True)]


def failing(at: float, message: str = "answered 500, expected 200-299", **fields: Any) -> Observation:
    evidence = {"checks": [{"message": message, "hops": [{"body": f"seen {at:.0f}"}]}]}
    return Observation(Verdict.FAIL, message, 0.01, at, at, evidence=evidence, **fields)


def kept() -> str:
    evidence = Failure.objects.get().evidence
    return str(evidence["checks"][0]["hops"][0]["body"])


def test_the_last_failing_check_of_a_failure_is_kept(connection: psycopg.Connection[Row], pool: Pool) -> None:
    now = float(int(time.time()))
    see(connection, pool, {"a": "pass", "b": "pass", "c": "pass"}, now)
    observe(connection, pool, "b", failing(now + 1))
    assert not Failure.objects.exists()
    observe(connection, pool, "b", failing(now + 2))
    assert (kept(), Failure.objects.get().incident) == (f"seen {now + 2:.0f}", Incident.objects.get())

    observe(connection, pool, "b", failing(now + 10))
    assert kept() == f"seen {now + 2:.0f}"  # the same, and not a minute later
    observe(connection, pool, "b", failing(now + 11, "connection refused"))
    assert kept() == f"seen {now + 11:.0f}"
    observe(connection, pool, "b", failing(now + 80, "connection refused"))
    assert kept() == f"seen {now + 80:.0f}"

    observe(connection, pool, "b", Observation(Verdict.PASS, "", 0.01, now + 90, now + 90))
    assert kept() == f"seen {now + 80:.0f}"


@pytest.mark.parametrize(("asked", "earliest", "latest"), [(None, 2, 2), (1, 2, 2), (7, 7, 7), (3600, 10, 10)])
def test_a_node_that_asks_to_be_left_alone_is_up_to_the_plain_interval(
    connection: psycopg.Connection[Row], pool: Pool, asked: float | None, earliest: float, latest: float
) -> None:
    now = time.time() + 60
    see(connection, pool, {"a": "pass", "b": "pass", "c": "pass"}, now)
    observe(connection, pool, "b", failing(now + 1, retry_after=asked))  # asked anew after 2 s otherwise
    wait = NodeState.objects.get(node__name="b").due_at.timestamp() - (now + 1)
    assert earliest - 0.01 <= wait <= latest + 0.01
