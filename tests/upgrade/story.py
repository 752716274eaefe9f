"""A few days of a console, played by hand: what checks saw, what people did, what receivers answered, under a clock of its own.

At its end everything is under way: nodes in every state, incidents, messages, and events that the alerts have not looked at.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

from django.db import transaction
from django.utils import timezone

from alerts.delivery import Reply
from alerts.models import Destination
from alerts.services import destinations, dispatch, outcomes, routing, test_message
from nodes import operations, rollups
from nodes.engine.enums import AdminState, EventType, Mode, Verdict
from nodes.engine.event_types import event
from nodes.engine.reporting import Calls, Report
from nodes.engine.types import Observation
from nodes.ledger import Result, advance, claim, store_results
from nodes.ledger.connections import connect
from nodes.ledger.history import append
from nodes.ledger.rows import Cursor
from nodes.models import Incident, Node, NodeState, Pool, Runner
from nodes.rollups import histogram
from nodes.runner.counters import BUCKETS
from tests.telling import report_outcomes
from tests.upgrade import inventory
from tests.upgrade.inventory import ADMIN, OLD_ROOM_URL, WEBHOOK_URL

BEGINS = datetime(2026, 11, 23, 6, tzinfo=UTC)
ORDINARY_DAYS = 2
OPERATOR = "olga"
LATENCY = 0.012  # s
NO_LEASE = 1_000_000  # no lease has this term number: its claims are free at once
BAD = {"fail": "connection refused", "warn": "slow: 0.9 s", "unknown": "no answer from our own resolver"}


class Console:
    """The doors of the console at an instant that `wait` moves on."""

    def __init__(self, begins: datetime) -> None:
        self.now = begins
        self.seeing: dict[str, str] = {}  # node -> what its checks see; the others pass
        self.idle: set[str] = set()  # pools that are not checked for now
        self.away: dict[str, int] = {}  # address -> the status with which it turns a message down
        self._ledger = connect("story")

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
            NodeState.objects.update(due_at=self.now - timedelta(seconds=1))
            with self.ledger() as cursor:
                self._round(cursor)

    def _round(self, cursor: Cursor) -> None:
        names = dict(Node.objects.values_list("pk", "name"))
        results: dict[int, list[Result]] = {}
        for each in claim(cursor, NO_LEASE, host="test", ahead=0, limit=100).claims:
            verdict = self.seeing.get(names[each.node], "pass")
            if verdict != "none":
                results.setdefault(each.pool, []).append(Result(each.node, each.term_number, self._seen(verdict, each.node)))
        idle = set(Pool.objects.filter(name__in=self.idle).values_list("pk", flat=True))
        for pool, seen in sorted(results.items()):
            if pool in idle:
                continue
            advance(cursor, pool, now=self.now.timestamp(), results=seen)
            store_results(cursor, seen)

    def _seen(self, verdict: str, node: int) -> Observation:
        at = self.now.timestamp()
        return Observation(Verdict(verdict), BAD.get(verdict, ""), LATENCY + node / 1000, at - 0.1, at)

    def time_passes(self, pool: str) -> None:
        with self.ledger() as cursor:
            advance(cursor, Pool.objects.get(name=pool).pk, now=self.now.timestamp())

    def report(self, node: str, *, success: int = 0, failure: int = 0, slow: int = 0, load: float | None = None) -> None:
        self.wait(1)
        calls = (Calls(success, failure, self.now.timestamp(), slow),) if success or failure else ()
        report_outcomes(pk(node), Report(calls, load))

    def route(self) -> None:
        """Everything that happened, to notifications."""
        while routing.route(self.now):
            dispatch.expire_superseded(self.now)

    def send(self, rounds: int = 40) -> None:
        """What is due, as an alerts runner does; a destination gets one message a round."""
        for _ in range(rounds):
            self.wait(1)
            leased = dispatch.claim(self.now, room=32, owner=uuid.uuid4())
            for each in leased:
                outcome = dispatch.send_leased(each, self._post, self.now.timestamp())
                outcomes.record(each, outcome, began=self.now, duration=0.04, now=self.now + timedelta(seconds=0.04))
            self.route()
            dispatch.expire_superseded(self.now)

    def _post(self, url: str, body: bytes, headers: Mapping[str, str]) -> Reply:
        accepted = 202 if "enqueue" in url else 200
        return Reply(self.away.get(url, accepted), {}, b"ok" if url not in self.away else b"not now")

    def test_message(self, destination: str) -> None:
        test_message.send_test(Destination.objects.get(name=destination), actor=ADMIN, now=self.now, post=self._post)


def pk(node: str) -> int:
    return Node.objects.get(name=node, removed_at=None).pk


def incident(pool: str) -> int:
    return Incident.objects.get(pool__name=pool, closed_at=None).pk


@contextmanager
def _clock(now: Callable[[], datetime]) -> Iterator[None]:
    """Django's clock is the story's, so that what people do happens on its days."""
    real = timezone.now
    timezone.now = now
    try:
        yield
    finally:
        timezone.now = real


def tell() -> None:
    """Play all of it into an empty database that is migrated."""
    console = Console(BEGINS)
    with _clock(lambda: console.now):
        _first_day(console)
        for day in range(1, ORDINARY_DAYS + 1):
            _an_ordinary_day(console, BEGINS + timedelta(days=day))
        console.now = BEGINS + timedelta(days=ORDINARY_DAYS + 1)
        rollups.keep_partitions(console.now)
        rollups.roll_up(console.now)
        for chapter in (_people_act, _nodes_fail, _calls_are_reported, _edge_is_paused, _console_has_troubles, _left_unrouted):
            chapter(console)
        _how_nodes_end_up(console)
        _runners(console)


def _first_day(console: Console) -> None:
    rollups.keep_partitions(console.now)
    inventory.declare()
    console.check()
    console.idle = {"models", "search", "edge", "web", "db", "mail"}
    console.test_message("ops room")
    console.test_message("on call")
    destinations.remove(Destination.objects.get(name="former").pk, console.now)
    operations.remove_pool(Pool.objects.get(name="old").pk, actor=ADMIN)
    console.check(every=60)
    operations.remove_node(pk("batch-3"), actor=ADMIN, reason="broken for good")
    with transaction.atomic():
        node = Node.objects.create(
            pool=Pool.objects.get(name="batch"), name="batch-3", address="batch-3b.nodes.example", capacity=40.0
        )
        node.checks.create(path="/health")
        operations.configuration_saved(node, actor=ADMIN, before={}, after={"name": "batch-3"})
    console.check(2)
    console.route()
    console.send(3)


@transaction.atomic
def _add_node(pool: str, name: str) -> None:
    node = Node.objects.create(pool=Pool.objects.get(name=pool), name=name, address=f"{name}.nodes.example", capacity=40.0)
    node.checks.create(path="/health")
    operations.configuration_saved(node, actor=ADMIN, before={}, after={"name": name})


def _an_ordinary_day(console: Console, begins: datetime) -> None:
    """One incident, paged, acknowledged and over; a warning; an unknown."""
    console.now = begins
    rollups.keep_partitions(begins)
    console.check(2, batch_3="warn", batch_2="unknown")
    console.check(4, batch_3="pass", batch_2="pass", batch_1="fail")
    console.route()
    console.send(4)
    operations.acknowledge(incident("batch"), actor=OPERATOR, note="on it")
    console.route()
    console.send(3)
    console.check(3, batch_1="pass")
    console.route()
    console.send(4)
    operations.fail_over(pk("batch-2"), actor=OPERATOR, reason="a new kernel")
    operations.fail_back(pk("batch-2"), actor=OPERATOR, reason="done")
    rollups.roll_up(begins + timedelta(hours=20))


def _people_act(console: Console) -> None:
    console.idle = set()
    console.check(2)
    operations.set_admin_state(pk("web-5"), AdminState.DRAINING, actor=OPERATOR, reason="new kernel")
    operations.set_admin_state(pk("edge-4"), AdminState.MAINTENANCE, actor=OPERATOR, reason="disk is changed")
    operations.set_admin_state(pk("edge-5"), AdminState.DISABLED, actor=OPERATOR, reason="not rented yet")
    tomorrow = console.now + timedelta(days=1)
    operations.force_breaker(pk("models-3"), Mode.FORCED_OPEN, actor=OPERATOR, reason="bad answers", until=tomorrow)
    operations.force_breaker(pk("models-4"), Mode.METRICS_ONLY, actor=OPERATOR, reason="to be watched", until=None)
    operations.force_breaker(pk("models-5"), Mode.FORCED_CLOSED, actor=OPERATOR, reason="the last one", until=None)
    console.check()


def _nodes_fail(console: Console) -> None:
    """Failures that are on their way to every state; the audit's receiver is down, the old room is gone."""
    console.away = {WEBHOOK_URL: 503, OLD_ROOM_URL: 404}
    console.check(4, web_2="fail", web_4="fail", db_1="fail")
    console.route()
    console.send(10)
    operations.acknowledge(incident("web"), actor=OPERATOR, note="rebooting it")
    operations.acknowledge(incident("db"), actor=OPERATOR, note="the disk is full")
    console.check(4, web_4="pass", db_1="pass")
    console.route()
    console.send(10)


def _calls_are_reported(console: Console) -> None:
    for _ in range(2):
        console.report("models-1", success=2, failure=9)
        console.report("models-2", success=9, failure=3, slow=2)
        console.report("search-1", success=8, failure=1)
        console.report("search-2", success=4, failure=4)
    console.check()
    for _ in range(3):
        console.report("web-1", success=30, load=91.0)
        console.report("batch-2", success=10, load=38.5)
    console.report("web-2", load=12.0)
    console.route()
    console.send(8)


def _edge_is_paused(console: Console) -> None:
    """A failover that is refused: its incident stays open, its share where it is."""
    operations.pause(Pool.objects.get(name="edge").pk, actor=OPERATOR, reason="the network is changed", until=None)
    console.check(4, edge_1="fail")
    console.route()
    console.send(6)


def _console_has_troubles(console: Console) -> None:
    """Low capacity, checks that are late, a console cut off: all told, so that their ends have something to resolve."""
    operations.force_breaker(pk("mail-2"), Mode.FORCED_OPEN, actor=OPERATOR, reason="its queue is long", until=None)
    console.check(4, batch_1="fail", batch_2="fail")
    _tell(console, EventType.CHECKS_LATE)
    console.wait(5)
    _tell(console, EventType.CHECKER_ISOLATED)
    console.route()
    console.send(12)
    console.wait(5)


def _tell(console: Console, told: EventType) -> None:
    """What is told of a checker, as if its runners had seen it."""
    with console.ledger() as cursor:
        append(cursor, event(told, f"checker-1: {told.value}", detail={"checker": "checker-1"}), console.now.timestamp())


def _left_unrouted(console: Console) -> None:
    """The ends of all that, and more, which the alerts have not looked at yet."""
    operations.release_breaker(pk("mail-2"), actor=OPERATOR, reason="its queue is empty")
    _tell(console, EventType.CHECKER_REJOINED)
    _tell(console, EventType.CHECKS_ON_TIME)
    console.report("batch-2", success=10, load=11.0)
    console.check(4, batch_1="pass", batch_2="pass")
    _tell(console, EventType.CHECKS_LATE)
    operations.acknowledge(incident("edge"), actor=OPERATOR, note="seen, the network is being changed")
    operations.pause(None, actor=ADMIN, reason="a look around", until=None)
    operations.resume(None, actor=ADMIN)
    pool = Pool.objects.get(name="web")
    pool.runbook = "https://runbooks.example/web/2"
    pool.save(update_fields=["runbook"])
    before = {"runbook": "https://runbooks.example/web"}
    operations.configuration_saved(pool, actor=ADMIN, before=before, after={"runbook": pool.runbook})


def _how_nodes_end_up(console: Console) -> None:
    """The last checks: a node recovering, on trial, open, silent, never seen, just failed over; and one message on its way."""
    operations.set_admin_state(pk("edge-4"), AdminState.ENABLED, actor=OPERATOR)
    operations.set_admin_state(pk("edge-4"), AdminState.MAINTENANCE, actor=OPERATOR, reason="the disk is noisy")
    console.seeing["mail-3"] = "none"
    _add_node("mail", "mail-3")
    console.check(2, web_3="fail", search_1="none", mail_1="warn")
    console.check(2, models_2="fail")
    console.check(1, web_3="pass")
    console.report("models-1", success=1, failure=12)
    console.report("models-1", success=1, failure=12)
    with transaction.atomic():
        waiting = dispatch.claim(console.now + timedelta(minutes=2), room=1, owner=uuid.uuid4())
    assert waiting, "a sender that died has left a message on its way"


def _runners(console: Console) -> None:
    for kind, slot in (("checks", 0), ("checks", 1), ("alerts", 0), ("web", 0)):
        Runner.objects.create(
            host="checker-1", kind=kind, slot=slot, pid=4000 + slot, started_at=console.now - timedelta(minutes=5),
            seen_at=console.now, checks=1234, late=3, stale_results=1, lateness_p50=0.01, lateness_p99=0.2,
            lateness_histogram=[20] * histogram.BUCKETS, latency_buckets=[95] * (len(BUCKETS) + 1),
            latency_sum=4.5, verdicts={"pass": 1200, "fail": 34},
        )  # fmt: skip  # a row in a few lines
