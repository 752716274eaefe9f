"""Leases, against real PostgreSQL: a process that hangs loses its work as one that dies, and a clock that is set blocks nobody."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from datetime import timedelta

import psycopg
import pytest
from django.db import connection as django_connection
from django.db.models import F

from nodes.ledger import claim, lease_keeper, leases
from nodes.ledger.connections import connect
from nodes.ledger.lease_keeper import LeaseKeeper, LeaseLostError
from nodes.ledger.leases import LENGTH, Slot
from nodes.ledger.rows import Row
from nodes.models import Lease, Pool
from nodes.sign_of_life import started_at

pytestmark = [pytest.mark.integration, pytest.mark.django_db(transaction=True, serialized_rollback=True)]

SLOT = Slot("checks", "one", 0)
PATIENCE = 20  # s


def let_pass(seconds: float) -> None:
    """Age every lease, as if time had gone by."""
    Lease.objects.update(deadline=F("deadline") - timedelta(seconds=seconds))


def claimed(connection: psycopg.Connection[Row], term_number: int) -> int:
    with connection.transaction(), connection.cursor() as cursor:
        return len(claim(cursor, term_number, host="test", ahead=1, limit=10).claims)


def until(holds: Callable[[], bool]) -> bool:
    patience = threading.Event()
    return any(holds() or patience.wait(0.02) for _ in range(PATIENCE * 50)) or holds()


def took(connection: psycopg.Connection[Row], slot: Slot = SLOT) -> int:
    term_number = leases.take(connection, slot)
    assert term_number is not None
    return term_number


def test_a_slot_is_one_holders_until_the_lease_is_over(connection: psycopg.Connection[Row]) -> None:
    first = took(connection)
    assert leases.take(connection, SLOT) is None
    assert leases.take(connection, SLOT._replace(number=1)) is not None
    let_pass(LENGTH - 0.5)
    assert leases.take(connection, SLOT) is None
    let_pass(1.0)
    assert took(connection) > first


def test_a_lease_that_is_over_is_not_renewed_though_nobody_took_it(connection: psycopg.Connection[Row]) -> None:
    first = took(connection)
    let_pass(LENGTH - 1)
    assert leases.renew(connection, first)
    let_pass(LENGTH - 1)
    assert leases.renew(connection, first)
    let_pass(LENGTH + 0.5)
    assert not leases.renew(connection, first)
    assert took(connection) > first


def test_claims_are_free_when_the_lease_is_over_and_not_before(connection: psycopg.Connection[Row], pool: Pool) -> None:
    hung, other = took(connection), took(connection, SLOT._replace(host="two"))
    assert (claimed(connection, hung), claimed(connection, other)) == (3, 0)
    Lease.objects.filter(term_number=hung).update(deadline=F("deadline") - timedelta(seconds=LENGTH))
    assert claimed(connection, other) == 3


def test_what_is_given_back_is_free_at_once(connection: psycopg.Connection[Row], pool: Pool) -> None:
    first, other = took(connection), took(connection, SLOT._replace(host="two"))
    assert claimed(connection, first) == 3
    leases.give_back(connection, first)
    assert claimed(connection, other) == 3
    assert took(connection) > other


def test_a_process_that_was_ended_is_known_by_its_start_too(connection: psycopg.Connection[Row]) -> None:
    took(connection)
    started = started_at(os.getpid())
    assert leases.give_back_of(connection, "one", os.getpid(), started + 1) == 0  # a later process with its number
    assert leases.give_back_of(connection, "two", os.getpid(), started) == 0
    assert leases.give_back_of(connection, "one", os.getpid(), started) == 1
    took(connection)


def test_an_offered_slot_goes_to_one_successor_while_its_holder_works_on(connection: psycopg.Connection[Row], pool: Pool) -> None:
    first = took(connection)
    leases.offer(connection, first)
    assert not leases.has_successor(connection, first)
    second = took(connection)
    assert leases.take(connection, SLOT) is None
    assert leases.has_successor(connection, first)
    assert not leases.has_successor(connection, second)
    assert claimed(connection, first) == 3
    assert leases.renew(connection, first)
    assert claimed(connection, second) == 0


def test_a_clock_that_was_set_back_frees_what_the_dead_left(connection: psycopg.Connection[Row], pool: Pool) -> None:
    dead, other = took(connection), took(connection, SLOT._replace(host="two"))
    assert claimed(connection, dead) == 3
    Lease.objects.filter(term_number=dead).update(deadline=F("deadline") + timedelta(hours=1))
    assert claimed(connection, other) == 3
    took(connection)


@pytest.mark.parametrize("both", range(3))
def test_of_two_that_take_a_slot_at_once_one_gets_it(connection: psycopg.Connection[Row], both: int) -> None:
    ready, got = threading.Barrier(2), list[int | None]()

    def take() -> None:
        with connect("taker") as mine:
            ready.wait(PATIENCE)
            got.append(leases.take(mine, SLOT))

    takers = [threading.Thread(target=take) for _ in range(2)]
    for each in takers:
        each.start()
    for each in takers:
        each.join(PATIENCE)
    assert sorted(number is None for number in got) == [False, True]


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leases of a second, renewed five times as often."""
    for name, value in {"LENGTH": 1.0, "RENEW_EVERY": 0.1, "LONGEST_TURN": 0.5, "RETRY": 0.05}.items():
        monkeypatch.setattr(lease_keeper, name, value)


@pytest.fixture
def keeper(connection: psycopg.Connection[Row], quick: None) -> Iterator[LeaseKeeper]:
    made = LeaseKeeper.take(connection, SLOT)
    assert made is not None
    yield made
    made.close()


def deadline() -> object:
    return Lease.objects.values_list("deadline", flat=True).get()


def test_a_keeper_renews_while_the_loop_turns(keeper: LeaseKeeper) -> None:
    seen = {deadline()}

    def renewed() -> bool:
        keeper.turned()
        seen.add(deadline())
        return len(seen) > 3

    assert until(renewed)
    keeper.check()


def test_a_loop_that_stands_still_loses_the_lease_and_may_not_act(keeper: LeaseKeeper) -> None:
    assert until(lambda: not keeper.held)
    with pytest.raises(LeaseLostError, match="slot 0"):
        keeper.check()
    let_pass(1.0)

    def told() -> bool:
        keeper.turned()  # it turns again: what is over is over
        return keeper.lost

    assert until(told)
    with connect("successor") as other:
        assert until(lambda: leases.take(other, SLOT) is not None)


def test_a_session_that_was_ended_costs_no_lease(keeper: LeaseKeeper, connection: psycopg.Connection[Row]) -> None:
    def ended() -> bool:
        keeper.turned()
        found = connection.execute(
            "SELECT pg_terminate_backend(pid) AS done FROM pg_stat_activity WHERE application_name = 'failover lease'"
        )
        return bool(found.fetchall())

    assert until(ended)
    seen = {deadline()}

    def renewed() -> bool:
        keeper.turned()
        seen.add(deadline())
        return len(seen) > 2

    assert until(renewed)
    keeper.check()


def test_a_database_that_is_away_costs_the_lease_in_time(
    keeper: LeaseKeeper, connection: psycopg.Connection[Row], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(django_connection.settings_dict, "HOST", "/nowhere")
    connection.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'failover lease'")

    def over() -> bool:
        keeper.turned()
        return not keeper.held

    assert until(over)
    assert not keeper.lost  # nobody said so: it may be ours still, but it is not acted upon
