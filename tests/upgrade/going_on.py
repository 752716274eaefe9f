"""The console at work on an old database: rounds of good checks, and an alerts runner with a receiver in memory."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from django.db import connection
from psycopg.rows import dict_row

from alerts.delivery import Reply
from alerts.services import dispatch, outcomes, routing
from nodes.engine.enums import Verdict
from nodes.engine.types import Observation
from nodes.ledger import Result, advance, claim, store_results
from nodes.ledger.rows import Cursor
from nodes.models import NodeState, Pool
from tests.alerts.history import Receiver

NO_LEASE = 1_000_000  # no lease has this term number: its claims are free at once


@contextmanager
def ledger() -> Iterator[Cursor]:
    """The ledger's cursor on Django's connection, so that the test's transaction holds what it does."""
    with connection.cursor() as wrapper:
        cursor: Cursor = wrapper.cursor
        cursor.row_factory = dict_row
        yield cursor


def time_passes(until: datetime) -> None:
    """Every pool decides, with no check to look at."""
    with ledger() as cursor:
        for pool in Pool.objects.filter(removed_at=None):
            advance(cursor, pool.pk, now=until.timestamp())


def good_checks(begins: datetime, rounds: int, *, every: float = 10.0) -> datetime:
    """Rounds in which every node that is checked passes; returns when the last one ended."""
    now = begins
    for _ in range(rounds):
        now += timedelta(seconds=every)
        NodeState.objects.update(due_at=begins - timedelta(days=3))
        with ledger() as cursor:
            results: dict[int, list[Result]] = {}
            for each in claim(cursor, NO_LEASE, host="test", ahead=0, limit=1000).claims:
                seen = Observation(Verdict.PASS, "", 0.01, now.timestamp() - 0.1, now.timestamp())
                results.setdefault(each.pool, []).append(Result(each.node, each.term_number, seen))
            for pool, passed in sorted(results.items()):
                advance(cursor, pool, now=now.timestamp(), results=passed)
                store_results(cursor, passed)
    return now


@dataclass
class Alerts:
    """Routes and sends as the runner does; `posts` holds what arrived, by address."""

    now: datetime
    receiver: Receiver = field(default_factory=lambda: Receiver(lambda: Reply(200, {}, b"ok")))
    pager: Receiver = field(default_factory=Receiver)

    def route(self) -> None:
        while routing.route(self.now):
            dispatch.expire_superseded(self.now)

    def work(self, rounds: int = 60) -> None:
        """Until nothing is due any more, one message a destination and round."""
        for _ in range(rounds):
            self.now += timedelta(seconds=2)
            self.route()
            for leased in dispatch.claim(self.now, room=32, owner=uuid.uuid4()):
                pages = leased.endpoint is not None and leased.endpoint.kind == "pagerduty"
                outcome = dispatch.send_leased(leased, self.pager if pages else self.receiver, self.now.timestamp())
                outcomes.record(leased, outcome, began=self.now, duration=0.01, now=self.now)
