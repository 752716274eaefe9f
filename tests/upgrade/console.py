"""A console driven by hand: checks, reports of calls, people and receivers, under a clock of its own."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from django.utils import timezone

from alerts.delivery import Reply
from alerts.models import Destination
from alerts.services import dispatch, routing, trial
from nodes import operations
from nodes.engine.enums import Verdict
from nodes.engine.reporting import Calls, Report
from nodes.engine.types import Observation
from nodes.ledger import Result, advance, claim, open_session, store_results
from nodes.ledger.claims import release
from nodes.ledger.connections import connect
from nodes.ledger.rows import Cursor
from nodes.models import Incident, Node, NodeState, Pool

LATENCY = 0.012  # s
LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)  # due by the database's clock, whatever the day on which this runs
BAD = {"fail": "connection refused", "warn": "slow: 0.9 s", "unknown": "no answer from our own resolver"}


@dataclass(frozen=True)
class Arrived:
    """What a receiver accepted."""

    url: str
    body: dict[str, Any]
    headers: Mapping[str, str]


class Console:
    """The doors of the console at an instant that `wait` moves on."""

    def __init__(self, begins: datetime) -> None:
        self.now = begins
        self.seeing: dict[str, str] = {}  # node -> what its checks see; the others pass
        self.idle: set[str] = set()  # pools that are not checked for now
        self.away: dict[str, int] = {}  # address -> the status with which it turns a message down
        self.arrived: list[Arrived] = []
        self._ledger = connect("story")
        self._session = open_session(self._ledger)

    def wait(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)

    @contextmanager
    def ledger(self) -> Iterator[Cursor]:
        with self._ledger.transaction(), self._ledger.cursor() as cursor:
            yield cursor

    def check(self, rounds: int = 1, *, every: float = 10.0, **seeing: str) -> None:
        """All nodes of all pools, one round after the other; `web_2="fail"` is seen from now on."""
        self.seeing |= {name.replace("_", "-"): verdict for name, verdict in seeing.items()}
        for _ in range(rounds):
            self.wait(every)
            NodeState.objects.update(due_at=LONG_AGO)
            with self.ledger() as cursor:
                self._round(cursor)

    def _round(self, cursor: Cursor) -> None:
        names = dict(Node.objects.values_list("pk", "name"))
        results: dict[int, list[Result]] = {}
        for each in claim(cursor, self._session, ahead=0, limit=100).claims:
            verdict = self.seeing.get(names[each.node], "pass")
            if verdict != "none":
                results.setdefault(each.pool, []).append(Result(each.node, each.token, self._seen(verdict, each.node)))
        idle = set(Pool.objects.filter(name__in=self.idle).values_list("pk", flat=True))
        for pool, seen in sorted(results.items()):
            if pool in idle:
                continue
            advance(cursor, pool, now=self.now.timestamp(), results=seen)
            store_results(cursor, seen)
        release(cursor, self._session)

    def _seen(self, verdict: str, node: int) -> Observation:
        at = self.now.timestamp()
        return Observation(Verdict(verdict), BAD.get(verdict, ""), LATENCY + node / 1000, at - 0.1, at)

    def time_passes(self, pool: str) -> None:
        with self.ledger() as cursor:
            advance(cursor, Pool.objects.get(name=pool).pk, now=self.now.timestamp())

    def report(self, node: str, *, success: int = 0, failure: int = 0, slow: int = 0, load: float | None = None) -> None:
        self.wait(1)
        calls = (Calls(success, failure, self.now.timestamp(), slow),) if success or failure else ()
        operations.report_outcomes(pk(node), Report(calls, load))

    def route(self) -> None:
        """Everything that happened, to notifications."""
        while routing.route(self.now):
            dispatch.tidy(self.now)

    def send(self, rounds: int = 40) -> None:
        """What is due, as an alerts runner does; a destination gets one message a round."""
        for _ in range(rounds):
            self.wait(1)
            leased = dispatch.claim(self.now, room=32, owner=uuid.uuid4())
            for each in leased:
                outcome = dispatch.send_leased(each, self._post, self.now.timestamp())
                dispatch.record(each, outcome, began=self.now, duration=0.04, now=self.now + timedelta(seconds=0.04))
            self.route()
            dispatch.tidy(self.now)

    def _post(self, url: str, body: bytes, headers: Mapping[str, str]) -> Reply:
        if url in self.away:
            return Reply(self.away[url], {}, b"not now")
        self.arrived.append(Arrived(url, json.loads(body), headers))
        return Reply(202 if "enqueue" in url else 200, {}, b"ok")

    def test_message(self, destination: str, actor: str) -> None:
        trial.send_test(Destination.objects.get(name=destination), actor=actor, now=self.now, post=self._post)

    def close(self) -> None:
        self._ledger.close()


def pk(node: str) -> int:
    return Node.objects.get(name=node, removed_at=None).pk


def incident(pool: str) -> int:
    return Incident.objects.get(pool__name=pool, closed_at=None).pk


@contextmanager
def clock(now: Callable[[], datetime]) -> Iterator[None]:
    """Django's clock is the console's, so that what people do and see happens on its days."""
    real = timezone.now
    timezone.now = now
    try:
        yield
    finally:
        timezone.now = real
