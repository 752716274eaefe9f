"""Counters over a life of the console: none falls, and each of their series is there from the start, at 0."""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from datetime import timedelta
from itertools import cycle

import psycopg
import pytest
from django.db import transaction
from django.utils import timezone
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from alerts.delivery import Accepted, Outcome, Refused, RetryAfter
from alerts.models import Destination
from alerts.rules import Kind
from alerts.services import destinations, dispatch, outcomes, routing
from nodes import operations
from nodes.engine.enums import AdminState, ChangeKind, Guard, Mode, Verdict
from nodes.engine.types import Observation
from nodes.ledger import runners
from nodes.ledger.connections import connect
from nodes.ledger.leases import Slot
from nodes.ledger.rows import Row
from nodes.models import Check, FailoverPolicy, Node, NodeState
from nodes.rollups import keep_partitions, roll_up
from nodes.runner.counters import Counters as RunnerCounters
from tests.api.conftest import Ask
from tests.api.scraping import Scrape
from tests.pages import fleet

FAILS = (Verdict.FAIL, "connection refused")
OUTCOMES = (Accepted(200), RetryAfter(None, "503", status=503), Refused("bad request", status=400))
EXAMPLES = settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


class Life:
    """A pool of three nodes with a slow start and a cool-down, and two destinations; each move takes its time."""

    def __init__(self) -> None:
        self.now = timezone.now()
        self.pool = fleet.pool("Models", "models", ["m-1", "m-2", "m-3"], self.now)
        FailoverPolicy.objects.update(slow_start=40.0, cooldown=20.0, max_failed_percent=50)
        for kind in ("slack", "webhook"):
            Destination.objects.create(name=kind, kind=kind, address=f"https://{kind}.test/x", key="whsec_" + "A" * 32)
        self.paused = False
        self._outcomes: Iterator[Outcome] = cycle(OUTCOMES)
        self.check()

    def check(self, **seen: tuple[Verdict, str]) -> None:
        """Three rounds in which only those fail that are named, as m_1."""
        failing = {name.replace("_", "-"): what for name, what in seen.items()}
        self.now = fleet.rounds(self.pool, self.now, 3, failing)

    def one_fails(self) -> None:
        self.check(m_1=FAILS)

    def two_fail(self) -> None:
        self.check(m_1=FAILS, m_2=FAILS)

    def recover(self) -> None:
        for _ in range(4):  # and the share grows
            self.check()

    def pause_or_resume(self) -> None:
        if self.paused:
            operations.resume(self.pool.pk, actor="ada")
        else:
            operations.pause(self.pool.pk, actor="ada", reason="night", until=None)
        self.paused = not self.paused

    def force_and_release(self) -> None:
        node = self._node("m-3")
        operations.force_breaker(node.pk, Mode.FORCED_OPEN, actor="ada", reason="test", until=None)
        self.check()
        operations.release_breaker(node.pk, actor="ada")

    def reset(self) -> None:
        operations.reset_breaker(self._node("m-1").pk, actor="ada")

    def maintain(self) -> None:
        for state in (AdminState.MAINTENANCE, AdminState.ENABLED):
            operations.set_admin_state(self._node("m-2").pk, state, actor="ada", override=frozenset(Guard))

    def replace_node(self) -> None:
        """Remove a node, and add another of its name."""
        node = self._node("m-2")
        operations.remove_node(node.pk, actor="ada", override=frozenset(Guard))
        Check.objects.create(node=Node.objects.create(pool=self.pool, name="m-2", address="10.0.0.9"))
        operations.configuration_saved(self.pool, actor="ada", before={}, after={})

    def replace_pool(self) -> None:
        """Remove the pool, and add another of its slug and with its nodes."""
        operations.remove_pool(self.pool.pk, actor="ada")
        self.pool = fleet.pool("Models", "models", ["m-1", "m-2", "m-3"], self.now)
        self.paused = False

    def send(self) -> None:
        """Route, supersede, and try what is due, with each outcome in turn."""
        routing.route(self.now)
        dispatch.expire_superseded(self.now)
        for _ in range(4):
            self.now += timedelta(seconds=5)
            for leased in dispatch.claim(self.now, room=4, owner=uuid.uuid4()):
                outcome = next(self._outcomes)
                outcomes.record(leased, outcome, began=self.now, duration=0.1, now=self.now)

    def lose_a_sender(self) -> None:
        """A message is leased and never recorded."""
        routing.route(self.now)
        dispatch.claim(self.now, room=4, owner=uuid.uuid4())
        self.now += timedelta(seconds=dispatch.LEASE + 1)

    def remove_destination(self) -> None:
        for each in Destination.objects.filter(kind="slack", removed_at=None):
            destinations.leave(each.pk, self.now, actor="ada", although_only=True)
            destinations.finish_leaving(self.now + destinations.LONGEST_LEAVING)

    def clock_goes_back(self) -> None:
        self.now -= timedelta(minutes=10)

    def years_pass(self) -> None:
        """Long enough for retention to drop all that it ever drops."""
        self.now += timedelta(days=500)
        roll_up(self.now)
        keep_partitions(self.now)

    def _node(self, name: str) -> Node:
        return Node.objects.get(name=name, pool=self.pool, removed_at=None)


MOVES: tuple[Callable[[Life], None], ...] = (
    Life.check,
    Life.one_fails,
    Life.two_fail,
    Life.recover,
    Life.pause_or_resume,
    Life.force_and_release,
    Life.reset,
    Life.maintain,
    Life.replace_node,
    Life.replace_pool,
    Life.send,
    Life.lose_a_sender,
    Life.remove_destination,
    Life.clock_goes_back,
    Life.years_pass,
)


def play(moves: Iterable[Callable[[Life], None]], scrape: Ask) -> Scrape:
    """Play the moves, scrape after each; returns the last scrape."""
    with transaction.atomic():
        life = Life()
        before = scrape()
        for move in moves:
            with suppress(operations.Refused):
                move(life)
            after = scrape()
            assert before.counters.keys() == after.counters.keys(), move
            assert {
                each: (value, after.counters[each]) for each, value in before.counters.items() if after.counters[each] < value
            } == {}, move
            before = after
        transaction.set_rollback(True)
    return before


@pytest.mark.django_db
@EXAMPLES
@given(moves=st.lists(st.sampled_from(MOVES), max_size=8))
def test_no_counter_falls_and_none_is_born_late(scrape: Ask, moves: list[Callable[[Life], None]]) -> None:
    play(moves, scrape)


@pytest.mark.django_db
def test_a_whole_life_moves_every_kind_of_counter(scrape: Ask) -> None:
    refused = (Life.pause_or_resume, Life.one_fails, Life.pause_or_resume, Life.recover)
    moved = (Life.one_fails, Life.send, Life.lose_a_sender, Life.send, Life.recover, Life.one_fails, Life.one_fails, Life.recover)
    again = (Life.recover, Life.one_fails, Life.send)  # messages enough for each of the outcomes
    told = play((*refused, *moved, Life.replace_node, Life.send, Life.replace_pool, *again, Life.years_pass), scrape)
    still = {
        family.name
        for family in told.families.values()
        if family.type == "counter" and not any(each.value for each in family.samples)
    }
    no_runner_ran = {"failover_checks", "failover_checks_late", "failover_results_stale", "failover_loop_stalls"}
    assert still == no_runner_ran | {"failover_requests_refused"}  # nor was there a server
    results = {key: told("failover_failovers_total", result=key, trigger="recovery") for key in ("completed", "failed")}
    assert all(results.values()), "a ramp ended both ways"


@pytest.mark.django_db
def test_every_series_of_a_counter_is_there_before_anything_happened(scrape: Ask) -> None:
    told = scrape().counters
    assert set(told.values()) == {0.0}
    combinations = Counter(name for name, _ in told)
    assert combinations["failover_failovers_total"] == 3 * len(ChangeKind)
    assert combinations["failover_refusals_total"] == len(Guard)
    assert combinations["failover_checks_total"] == len(Verdict)
    assert combinations["failover_notifications_total"] == len(Kind)
    assert combinations["failover_notifications_failed_total"] == len(Kind) * 3
    assert combinations["failover_notifications_suppressed_total"] == 2


@pytest.mark.django_db
def test_a_new_node_is_there_at_0_and_its_name_goes_on_counting(scrape: Ask) -> None:
    life = Life()
    transitions = {"pool": "models", "node": "m-2", "to": "open"}
    assert scrape()("failover_breaker_transitions_total", **transitions) == 0
    NodeState.objects.filter(node__name="m-2").update(breaker_times_opened=4)
    life.replace_node()
    assert scrape()("failover_breaker_transitions_total", **transitions) == 4
    NodeState.objects.filter(node__name="m-2", node__removed_at=None).update(breaker_times_opened=1)
    life.replace_pool()
    assert scrape()("failover_breaker_transitions_total", **transitions) == 5


@pytest.mark.integration
@pytest.mark.django_db(transaction=True, serialized_rollback=True)
def test_two_terms_of_a_slot_report_and_no_count_is_lost(scrape: Ask) -> None:
    slot = Slot("checks", "here", 0)

    def report(runner: psycopg.Connection[Row]) -> None:
        counters = RunnerCounters()
        counters.observed([Observation(Verdict.PASS, "", 0.1, 0.0, 0.1)])
        with runner.transaction(), runner.cursor() as cursor:
            counters.report(cursor, slot, timezone.now(), stalls=1, loop_lag=0.2)

    with connect("leaving") as leaving, connect("coming") as coming:
        runners.sign(leaving, kind="checks", host="here", slot=0, pid=1)
        coming.execute("SET lock_timeout = '50ms'")
        with leaving.transaction(), leaving.cursor() as cursor:
            runners.totals(cursor, slot.host, slot.number)
            with pytest.raises(psycopg.errors.LockNotAvailable):  # it reads no counts that are about to change
                report(coming)
        report(leaving)
        report(coming)
    told = scrape()
    assert told("failover_checks_total", result="pass") == 2
    assert told("failover_check_duration_seconds_count") == 2
    assert told("failover_check_loop_lag_seconds") == 0.2
