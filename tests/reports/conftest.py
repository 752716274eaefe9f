"""Histories small enough to be counted by hand, written through the models on one fixed day."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import connection

from nodes import reports
from nodes.models import Event, EventType, Failover, Failure, Incident, Node, Pool, RollupProgress
from nodes.reports import Row
from nodes.rollups import BUCKETS, bucket
from tests.pages import fleet

MIDNIGHT = datetime(2025, 6, 2, tzinfo=UTC)
DAY = timedelta(days=1)
LENGTHS = {"minute": timedelta(minutes=1), "hour": timedelta(hours=1), "day": DAY}


def at(clock: str) -> datetime:
    """An instant of the day, `at("10:30")` or `at("10:30:05.5")`."""
    hours, minutes, *seconds = clock.split(":")
    return MIDNIGHT + timedelta(hours=int(hours), minutes=int(minutes), seconds=float(seconds[0]) if seconds else 0)


class History:
    """A pool and what its nodes went through; nodes exist since a month unless said otherwise."""

    def __init__(self, name: str = "API", slug: str = "api") -> None:
        self.pool: Pool = fleet.pool(name, slug, [], MIDNIGHT)
        self.now = MIDNIGHT + 2 * DAY

    def node(self, name: str = "a", *, created: datetime = MIDNIGHT - 30 * DAY, removed: datetime | None = None) -> Node:
        node = Node.objects.create(pool=self.pool, name=name, address="10.0.0.1")
        Node.objects.filter(pk=node.pk).update(created_at=created, removed_at=removed)
        return node

    def incident(self, opened: datetime, detected: datetime, closed: datetime | None) -> Incident:
        fields = {"severity": "critical", "summary": "a node failed"}
        return Incident.objects.create(pool=self.pool, opened_at=opened, detected_at=detected, closed_at=closed, **fields)

    def failure(
        self,
        node: Node,
        first_bad: str | datetime,
        marked: str | datetime,
        recovered: str | datetime | None,
        *,
        moved: str | None = None,
        had_share: bool = True,
        incident: Incident | None = None,
    ) -> Incident:
        """One failure, by default with an incident of its own, which is returned."""
        bad, marked_at, recovered_at = (at(each) if isinstance(each, str) else each for each in (first_bad, marked, recovered))
        assert bad is not None
        assert marked_at is not None
        incident = incident or self.incident(bad, marked_at, recovered_at)
        Failure.objects.create(
            node=node, incident=incident, cause="health", had_share=had_share, first_bad_at=bad, marked_at=marked_at,
            moved_at=at(moved) if moved else None, recovered_at=recovered_at,
        )  # fmt: skip  # one row
        return incident

    def event(self, node: Node, kind: EventType, when: datetime, **detail: Any) -> None:
        fields = {"severity": "info", "actor": "engine", "message": kind.replace("_", " ")}
        Event.objects.create(pool=self.pool, node=node, type=kind, at=when, detail=detail, **fields)

    def becomes(self, node: Node, state: str, when: datetime) -> None:
        """A person changes the admin state."""
        self.event(node, EventType.ADMIN_STATE_CHANGED, when, before="enabled", after=state)

    def rolled(
        self, resolution: str, node: Node, start: datetime, count: int = 1, *, latencies: tuple[float, ...] = (), **seen: int
    ) -> None:
        """So many roll-ups in a row, each with these checks; passes are as many as latencies unless said otherwise."""
        length = LENGTHS[resolution]
        histogram = [sum(bucket(each) == index for each in latencies) or None for index in range(BUCKETS)]
        checks = {"passes": len(latencies), "warns": 0, "fails": 0, "unknowns": 0} | seen
        with connection.cursor() as cursor:
            cursor.execute(
                f"""INSERT INTO nodes_{resolution}rollup
                        (node_id, start, passes, warns, fails, unknowns, latency_sum, latency_max, histogram)
                    SELECT %s, %s + n * %s, %s, %s, %s, %s, %s, %s, %s FROM generate_series(0, %s) AS n""",
                [node.pk, start, length, *checks.values(), sum(latencies), max(latencies, default=None), histogram, count - 1],
            )

    def done(self, resolution: str, until: datetime) -> None:
        RollupProgress.objects.update_or_create(span=resolution, defaults={"done_until": until})

    def rows(self, start: datetime = MIDNIGHT, end: datetime = MIDNIGHT + DAY) -> list[Row]:
        return list(reports.report(start, end, now=self.now, pool=self.pool.slug).rows)

    def change(self, node: Node | None, kind: str, clock: str, *, status: str = "completed") -> None:
        """A change of shares, or the refusal of one."""
        self.epoch = getattr(self, "epoch", 0) + 1
        Failover.objects.create(
            kind=kind, status=status, pool=self.pool, node=node, epoch=None if status == "refused" else self.epoch, at=at(clock),
            actor="engine", reason="test", shares_before={}, shares_after={}, record={},
        )  # fmt: skip  # what it is on one line, what every one has on the next

    def of_node(self, start: datetime = MIDNIGHT, end: datetime = MIDNIGHT + DAY, *, name: str = "a") -> Row:
        """The row of a node, over the day unless said otherwise."""
        return next(row for row in self.rows(start, end) if row.node == name)

    def of_pool(self, start: datetime = MIDNIGHT, end: datetime = MIDNIGHT + DAY) -> Row:
        return next(row for row in self.rows(start, end) if row.node is None)


@pytest.fixture
def history(db: None) -> History:
    return History()
