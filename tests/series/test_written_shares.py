"""Each change of shares that the ledger commits is one row, and that row is the state."""

from __future__ import annotations

from contextlib import suppress
from datetime import datetime, timedelta

import pytest
from django.db import transaction
from django.utils import timezone
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nodes import operations
from nodes.engine import commands, types
from nodes.engine.enums import AdminState, Guard, Verdict
from nodes.engine.step import Refused, Step
from nodes.ledger.pools import transact
from nodes.models import Failover, Node, Pool, PoolState, SharePoint
from nodes.series import shares_over
from tests.pages import fleet
from tests.series.ledger import Watched, held, slowly
from tests.upgrade.going_on import ledger

pytestmark = pytest.mark.django_db

NAMES = ("a", "b", "c")
FAILS = (Verdict.FAIL, "refused")
ANY = frozenset(Guard)


def begun(now: datetime) -> Pool:
    """A pool whose three nodes hold their shares."""
    made = fleet.pool("api", "api", NAMES, now)
    fleet.observe(made, now)
    return made


def test_first_shares_are_a_row_with_its_decision() -> None:
    made = begun(timezone.now())
    point = SharePoint.objects.get()
    assert (point.shares, point.epoch) == (held(made.pk), PoolState.objects.get().epoch)
    assert point.failover == Failover.objects.order_by("epoch").last()


def test_checks_that_change_no_share_write_no_row() -> None:
    now = timezone.now()
    made = begun(now)
    fleet.rounds(made, now + timedelta(seconds=5), 5)
    assert SharePoint.objects.count() == 1


def test_two_nodes_that_lose_their_shares_in_one_transaction_are_one_row() -> None:
    now = timezone.now()
    made = begun(now)
    fleet.rounds(made, now + timedelta(seconds=5), 3, {"a": FAILS, "b": FAILS})
    first, last = SharePoint.objects.order_by("pk")
    assert last.shares == {str(Node.objects.get(name="c").pk): 10_000}
    assert last.epoch - first.epoch == Failover.objects.filter(kind="failover", epoch__isnull=False).count()


def test_each_step_of_a_slow_start_is_a_row_of_the_same_decision() -> None:
    now = timezone.now()
    made = begun(now)
    slowly(100.0)
    later = fleet.rounds(made, now + timedelta(seconds=5), 3, {"a": FAILS})
    fleet.rounds(made, later, 40)
    node = str(Node.objects.get(name="a").pk)
    recovery = Failover.objects.get(kind="recovery")
    steps = [point.shares.get(node, 0) for point in SharePoint.objects.filter(failover=recovery).order_by("pk")]
    assert len(steps) == 10
    assert steps == sorted(steps)
    assert steps[-1] in (3333, 3334)


def test_a_refused_failover_writes_no_row() -> None:
    now = timezone.now()
    made = begun(now)
    operations.pause(made.pk, actor="olga", reason="")
    fleet.rounds(made, now + timedelta(seconds=5), 3, {"a": FAILS})
    assert Failover.objects.filter(status="refused").exists()
    assert SharePoint.objects.count() == 1


def test_a_pool_that_cannot_be_read_holds_nothing_once_it_is_removed() -> None:
    made = begun(timezone.now())
    Pool.objects.filter(pk=made.pk).update(strategy="unheard-of")
    operations.remove_pool(made.pk, actor="olga")
    assert [point.shares for point in SharePoint.objects.order_by("pk")][1:] == [{}]


ROUND = st.tuples(st.just("checks"), st.sets(st.sampled_from(NAMES), max_size=2))
STATES = (AdminState.ENABLED, AdminState.ENABLED, AdminState.DRAINING, AdminState.MAINTENANCE, AdminState.DISABLED)
ACT = st.tuples(st.sampled_from(STATES), st.sampled_from(NAMES)) | st.tuples(st.just("rebalance"), st.none())
# Three rounds of checks fail a node or bring it back, so checks come in threes, each with an act of a person.
ACTS = st.lists(st.tuples(ROUND, ACT), min_size=3, max_size=6).map(
    lambda turns: [each for checks, ordered in turns for each in (checks, checks, checks, ordered)]
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(ACTS, st.sampled_from([0.0, 40.0]))
def test_whatever_happens_every_change_is_one_row_that_equals_the_state(acts: list[tuple[str, object]], slow: float) -> None:
    with transaction.atomic():
        now = timezone.now()
        made = begun(now)
        slowly(slow)
        watched = Watched(made.pk)
        for what, whom in acts:
            now += timedelta(seconds=5)
            act(made, what, whom, now)
            watched.look()
        transaction.set_rollback(True)


def act(made: Pool, what: str, whom: object, now: datetime) -> None:
    if what == "checks":
        assert isinstance(whom, set)
        fleet.observe(made, now, dict.fromkeys(whom, FAILS))
        return

    def ordered(pool: types.Pool, held: types.Fleet, _: object, at: float) -> Step:
        if what == "rebalance":
            return commands.rebalance(pool, held, at, "olga")
        node = next(each.id for each in pool.members if each.name == whom)
        return commands.set_admin(pool, held, at, node, AdminState(what), "olga", override=ANY)

    with suppress(Refused), ledger() as cursor:
        transact(cursor, made.pk, ordered, now=now.timestamp())


def test_a_clock_that_is_set_back_makes_no_row_older_than_the_one_before() -> None:
    now = timezone.now()
    made = begun(now)
    act(made, AdminState.DRAINING, "a", now - timedelta(seconds=30))
    first, last = SharePoint.objects.order_by("pk")
    assert last.at == first.at
    assert shares_over(made.pk, now - timedelta(hours=1), now + timedelta(hours=1)).points[-1].epoch == last.epoch
