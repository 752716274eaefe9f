"""What the engine remembers of its decisions lies in the rows, against real PostgreSQL."""

from __future__ import annotations

import time
from dataclasses import replace

import psycopg
import pytest

from nodes import operations
from nodes.engine import commands, reporting
from nodes.engine.enums import AdminState, Guard, Mode
from nodes.engine.reporting import Calls, Report
from nodes.engine.step import Refused, Step
from nodes.engine.types import Fleet
from nodes.engine.types import Pool as EnginePool
from nodes.ledger import advance
from nodes.ledger.pools import look, transact
from nodes.ledger.rows import Row
from nodes.models import Event, Failover, FailoverPolicy, Node, NodeState, Pool, PoolState
from tests.integration.checking import see

pytestmark = [pytest.mark.integration, pytest.mark.django_db(transaction=True, serialized_rollback=True)]
ALL_WELL = {"a": "pass", "b": "pass", "c": "pass"}


def shares() -> list[int]:
    return list(NodeState.objects.order_by("node__name").values_list("share", flat=True))


def pk(name: str) -> int:
    return Node.objects.get(name=name).pk


def report(connection: psycopg.Connection[Row], pool: Pool, name: str, calls: tuple[int, int], now: float) -> None:
    """Calls of this node, how many ended well and badly, at an instant."""
    told, node = Report((Calls(*calls, now),)), pk(name)

    def act(engine: EnginePool, fleet: Fleet, _seen: object, at: float) -> Step:
        return reporting.report(engine, fleet, at, node, told)

    with connection.transaction(), connection.cursor() as cursor:
        transact(cursor, pool.pk, act, now=now)


def wait(connection: psycopg.Connection[Row], pool: Pool, now: float) -> None:
    with connection.transaction(), connection.cursor() as cursor:
        advance(cursor, pool.pk, now=now)


def loud(kind: str) -> list[str]:
    return list(Event.objects.filter(type=kind).order_by("pk").values_list("severity", flat=True))


def test_the_engine_reads_back_what_it_wrote(connection: psycopg.Connection[Row], pool: Pool) -> None:
    see(connection, pool, ALL_WELL, time.time())
    written: list[EnginePool] = []

    def act(engine: EnginePool, _fleet: Fleet, _seen: object, _now: float) -> Step:
        first, *others = engine.members
        health = replace(first.health, fault="refused", results=0b1011, alternating=True)
        trial = reporting.Trial(heard_at=12.5, starved=True, by_checks=True)
        first = replace(first, health=health, trial=trial, enabled_by="ada")
        written.append(replace(engine, members=(first, *others), down=True))
        return Step(written[0])

    with connection.transaction(), connection.cursor() as cursor:
        transact(cursor, pool.pk, act)
        assert look(cursor, pool.pk)[0] == written[0]


def test_a_failure_of_an_older_version_knows_the_guard_that_was_told_last(connection: psycopg.Connection[Row], pool: Pool) -> None:
    now = time.time()
    FailoverPolicy.objects.update(panic_threshold=0.9)
    see(connection, pool, ALL_WELL, now)
    see(connection, pool, {"b": "fail"}, now + 1)
    see(connection, pool, {"b": "fail"}, now + 2)
    state = NodeState.objects.get(node__name="b")
    assert state.failure is not None
    new = ("told_guards", "verified", "unverified_told")
    state.failure = {name: value for name, value in state.failure.items() if name not in new}
    state.save(update_fields=["failure"])

    see(connection, pool, {"b": "fail"}, now + 3)

    with connection.transaction(), connection.cursor() as cursor:
        failure = look(cursor, pool.pk)[0].members[1].failure
    assert failure is not None
    assert failure.told_guards == (Guard.PANIC,)
    assert Failover.objects.filter(status="refused").count() == 1


def test_guards_that_take_turns_leave_one_refusal_each(connection: psycopg.Connection[Row], pool: Pool) -> None:
    now = time.time()
    FailoverPolicy.objects.update(panic_threshold=0.9)
    see(connection, pool, ALL_WELL, now)
    see(connection, pool, {"b": "fail"}, now + 1)
    see(connection, pool, {"b": "fail"}, now + 2)
    for _ in range(3):
        operations.pause(pool.pk, actor="ada", reason="freeze")
        operations.resume(pool.pk, actor="ada")

    assert sorted(Failover.objects.filter(status="refused").values_list("refused_by", flat=True)) == ["panic", "paused"]
    assert sorted(loud("failover_refused")) == ["critical", "warning"]


def test_forcing_open_moves_what_a_guard_held_and_leaves_nobody_only_by_an_override(
    connection: psycopg.Connection[Row], pool: Pool
) -> None:
    now = time.time()
    FailoverPolicy.objects.update(panic_threshold=0.9)
    see(connection, pool, ALL_WELL, now)
    see(connection, pool, {"b": "fail"}, now + 1)
    see(connection, pool, {"b": "fail"}, now + 2)
    operations.force_breaker(pk("b"), Mode.FORCED_OPEN, actor="ada", reason="real", until=None)
    assert shares() == [5001, 0, 4999]
    told = Event.objects.get(type="breaker_forced")
    assert told.failover is not None
    assert (told.failover.kind, told.failover.actor) == ("manual", "ada")

    operations.force_breaker(pk("a"), Mode.FORCED_OPEN, actor="ada", reason="real", until=None)
    with pytest.raises(Refused):
        operations.force_breaker(pk("c"), Mode.FORCED_OPEN, actor="ada", reason="real", until=None)
    nobody = frozenset({Guard.NO_CANDIDATE})
    operations.force_breaker(pk("c"), Mode.FORCED_OPEN, actor="ada", reason="real", until=None, override=nobody)
    assert (shares(), PoolState.objects.get().down, loud("pool_down")) == ([0, 0, 0], True, ["critical"])


def test_a_breaker_that_waits_for_calls_is_told_and_a_person_lets_checks_heal_it(
    connection: psycopg.Connection[Row], pool: Pool
) -> None:
    now = time.time() - 1000.0
    see(connection, pool, ALL_WELL, now)
    report(connection, pool, "b", (0, 5), now + 1)
    see(connection, pool, ALL_WELL, now + 32)
    wait(connection, pool, now + 633)
    assert (loud("breaker_opened"), loud("trial_starved"), shares()[1]) == (["critical"], ["warning"], 100)

    operations.carry_out(pool.pk, lambda p, f, now: commands.heal_unreported(p, f, now, pk("b"), "ada", "no reporter today"))
    state = NodeState.objects.get(node__name="b")
    assert state.trial == {"heard_at": None, "starved": False, "by_checks": True}
    ended = Event.objects.get(type="trial_starved_ended")
    assert (ended.actor, ended.message) == (
        "ada", "b no longer waits for calls alone: checks count as its trials now, by ada: no reporter today",
    )  # fmt: skip  # what is compared, side by side

    for _ in range(2):
        see(connection, pool, ALL_WELL, time.time())
    assert shares() == [3334, 3333, 3333]
    assert NodeState.objects.get(node__name="b").trial is None


def test_a_node_that_a_person_enabled_takes_its_share_in_a_paused_pool(connection: psycopg.Connection[Row], pool: Pool) -> None:
    see(connection, pool, ALL_WELL, time.time())
    operations.set_admin_state(pk("b"), AdminState.DISABLED, actor="ada")
    operations.pause(pool.pk, actor="ada", reason="freeze")
    operations.set_admin_state(pk("b"), AdminState.ENABLED, actor="ada")
    assert (shares(), NodeState.objects.get(node__name="b").enabled_by) == ([5001, 0, 4999], "ada")

    see(connection, pool, ALL_WELL, time.time())

    assert (shares(), NodeState.objects.get(node__name="b").enabled_by) == ([3334, 3333, 3333], "")
    assert Failover.objects.latest("pk").actor == "ada"
