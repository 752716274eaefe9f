"""Who is told what: whole stories, each with the exact list of what PagerDuty and Slack got and who was woken (*)."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator

import psycopg
import pytest

from nodes import operations
from nodes.engine.enums import AdminState
from nodes.ledger.checkers import Sighting
from nodes.ledger.rows import Row
from nodes.models import BreakerPolicy, Check, Event, FailoverPolicy, Incident, Node, NodeState, Pool
from tests.integration.test_checkers import ALL_FAIL, RIGHT, Host, ago
from tests.integration.told import Duty

pytestmark = [pytest.mark.integration, pytest.mark.django_db(transaction=True, serialized_rollback=True)]


@pytest.fixture
def duty(connection: psycopg.Connection[Row], pool: Pool) -> Duty:
    """The pool api of a, b and c is up; checks fail a node after two, and do not open its breaker."""
    FailoverPolicy.objects.update(failure_threshold=2, recovery_threshold=2, fast_interval=1)
    BreakerPolicy.objects.update(failure_threshold=50)
    made = Duty(connection, pool)
    made.wait(3)
    return made


def shares() -> list[int]:
    return list(NodeState.objects.order_by("pk").values_list("share", flat=True))


def test_three_nodes_fail_one_after_the_other(duty: Duty) -> None:
    """The pager's last word was that all had moved to the second, which was down as well."""
    duty.wait(3, a="fail")
    duty.wait(3, a="fail", b="fail")
    duty.wait(3, a="fail", b="fail", c="fail")
    assert shares() == [0, 0, 10_000]
    duty.wait(5, b="fail", c="fail")
    duty.wait(5)
    assert duty.pager() == [
        "* trigger #1: api: 1 of 3 nodes down, all traffic on b and c",
        "* trigger #1/2: api: 2 of 3 nodes down, all traffic on c",
        "* trigger #1/3: api: 3 of 3 nodes down, all traffic still on c, which is down: no other node can take it",
        "resolve #1/3",
        "resolve #1/2",
        "resolve #1",
    ]
    assert (duty.woken, duty.still_open) == (3, 0)
    assert duty.chat() == [
        "🔴 Critical: api: 1 of 3 nodes down, all traffic on b and c",
        "🔴 Critical: api: 2 of 3 nodes down, all traffic on c",
        "🔴 Critical: api: 3 of 3 nodes down, all traffic still on c, which is down: no other node can take it",
        "🟢 Resolved: api is no longer down: a is eligible again",
        "🟢 Resolved: api: a, b and c were down for 15 s; traffic is at its weights",
    ]


def test_three_nodes_fail_one_after_the_other_while_two_recover(duty: Duty) -> None:
    duty.wait(3, a="fail")
    duty.wait(3, a="fail", b="fail")
    duty.wait(1, b="fail")
    duty.wait(4, c="fail")
    assert shares() == [5000, 5000, 0]
    duty.wait(5)
    assert duty.pager() == [
        "* trigger #1: api: 1 of 3 nodes down, all traffic on b and c",
        "* trigger #1/2: api: 2 of 3 nodes down, all traffic on c",
        "resolve #1/2",
        "trigger #1: api: 1 of 3 nodes down, all traffic on a and b",
        "resolve #1",
    ]
    assert (duty.woken, duty.still_open) == (2, 0)


def test_all_nodes_fail_at_once(duty: Duty) -> None:
    duty.wait(4, a="fail", b="fail", c="fail")
    assert duty.pager() == [
        "* trigger #1: api: 3 of 3 nodes down, all traffic still on a, b and c, which are down: no other node can take it"
    ]
    duty.wait(5)
    assert duty.pager()[1:] == ["resolve #1"]
    assert (duty.woken, duty.still_open, len(duty.chat())) == (1, 0, 2)


def test_a_node_that_fails_half_of_its_checks_wakes_twice_an_hour_and_hides_nobody(duty: Duty) -> None:
    chance = random.Random(10)
    for second in range(0, 3600, 10):
        half = "fail" if chance.random() < 0.5 else "pass"
        really = "fail" if 1200 <= second < 3000 else "pass"
        duty.wait(10, step=10, a=half, b=really)
    duty.wait(700, step=10)
    flapping = Incident.objects.get(node__name="a")
    assert Incident.objects.exclude(failures__node__name="b").count() == 2  # one before it flapped, one while it did
    woke = [line for line in duty.pager() if line.startswith("*")]
    assert woke == [
        "* trigger #1: api: 1 of 3 nodes down, all traffic on b and c",
        "* trigger #2: api: a is flapping: failed 2 times in 1 min, down now, all traffic on b and c",
        "* trigger #3: api: 2 of 3 nodes down, all traffic on c",
    ]
    assert duty.still_open == 0
    assert flapping.closed_at is not None


def test_two_nodes_that_calls_take_out_page_and_a_reporter_that_dies_is_told(duty: Duty) -> None:
    """With reported calls on, a dying node paged nobody; one that waits for calls which never come held 1 % for ever."""
    BreakerPolicy.objects.update(failure_threshold=5)
    for node in ("a", "b"):
        for _ in range(5):
            duty.report(node, bad=1)
        duty.wait(5)
    assert shares() == [0, 0, 10_000]
    duty.wait(640, step=20)
    assert shares() == [100, 100, 9800]
    duty.wait(3100, step=20)
    assert shares() == [3334, 3333, 3333]
    assert duty.pager() == [
        "* trigger #1: api: 1 of 3 nodes down, all traffic on b and c",
        "* trigger #1/2: api: 2 of 3 nodes down, all traffic on c",
        "resolve #1/2",
        "resolve #1",
    ]
    said = [title.partition(":")[0] for title in duty.chat() if "waits for calls" in title]
    assert said == ["🟠 Warning", "🟠 Warning", "🟢 Resolved", "🟢 Resolved"]
    assert (duty.woken, duty.still_open) == (2, 0)


def test_maintenance_is_entered_and_left_while_a_node_is_failed(duty: Duty) -> None:
    duty.wait(3, a="fail")
    duty.set_admin("a", AdminState.MAINTENANCE)
    duty.wait(20, a="fail")
    duty.set_admin("a", AdminState.ENABLED)
    duty.wait(5, a="fail")
    duty.wait(5)
    assert duty.pager() == ["* trigger #1: api: 1 of 3 nodes down, all traffic on b and c", "resolve #1"]
    assert duty.chat() == [
        "🔴 Critical: api: 1 of 3 nodes down, all traffic on b and c",
        "🟢 Resolved: api: a was down for 2 s; traffic is at its weights",
        "🟠 Warning: api: 1 of 3 nodes down, all traffic on b and c",  # without a share: nobody is woken
        "🟢 Resolved: api: a was down for 29 s; traffic is at its weights",
    ]
    assert duty.woken == 1


# A mass outage --------------------------------------------------------------------------------------------------------

POOLS, EACH = 20, 50  # of the outage that is real; to be one page, a fleet of five nodes a pool is wide enough


@pytest.fixture(params=[EACH])
def fleet(request: pytest.FixtureRequest) -> list[Pool]:
    """Pools of so many nodes."""
    breaker = BreakerPolicy.objects.create(name="wide", failure_threshold=50)
    failover = FailoverPolicy.objects.create(name="wide", failure_threshold=2, recovery_threshold=2, interval=10)
    made = []
    for number in range(POOLS):
        pool = Pool.objects.create(name=f"p{number:02d}", slug=f"p{number:02d}", breaker_policy=breaker, failover_policy=failover)
        nodes = Node.objects.bulk_create(
            Node(pool=pool, name=f"n{number:02d}-{each:02d}", address="127.0.0.1") for each in range(request.param)
        )
        Check.objects.bulk_create(Check(node=node) for node in nodes)
        operations.configuration_saved(pool, actor="setup", before={}, after={})
        made.append(pool)
    return made


def all_of(fleet: list[Pool], verdict: str) -> dict[str, str]:
    return {name: verdict for pool in fleet for name in pool.nodes.values_list("name", flat=True)}


def test_a_mass_outage_that_is_real_is_a_page_a_pool(connection: psycopg.Connection[Row], fleet: list[Pool]) -> None:
    duty = Duty(connection, *fleet)
    duty.check()
    duty.wait(3, **all_of(fleet, "fail"))
    duty.deliver(3 * POOLS)
    duty.wait(20, step=10, **all_of(fleet, "fail"))
    assert duty.pager() == [
        f"* trigger #{number + 1}: p{number:02d}: {EACH} of {EACH} nodes down, all traffic still on {EACH} nodes, which are down: "
        "no other node can take it"
        for number in range(POOLS)
    ]
    duty.wait(20, step=5)
    duty.deliver(3 * POOLS)
    assert sorted(duty.pager()[POOLS:]) == sorted(f"resolve #{number + 1}" for number in range(POOLS))
    assert (duty.woken, duty.still_open, len(duty.chat())) == (POOLS, 0, 2 * POOLS)


@pytest.fixture
def look(fleet: list[Pool]) -> Iterator[Callable[[Sighting], None]]:
    """The only checker sees this; its lease is kept, as its runner would between two checks of the whole fleet."""
    host = Host("a")

    def seen(sighting: Sighting) -> None:
        host.connection.execute(
            "UPDATE nodes_lease SET deadline = now() + interval '6 s' WHERE term_number = %s", (host.term_number,)
        )
        host.look(sighting)

    yield seen
    host.connection.close()


@pytest.mark.parametrize("fleet", [5], indirect=True)
def test_one_that_only_the_checker_sees_is_one_page(
    connection: psycopg.Connection[Row], fleet: list[Pool], look: Callable[[Sighting], None]
) -> None:
    duty = Duty(connection, *fleet)
    duty.now = time.time()
    duty.check()
    look(ALL_FAIL)
    for _ in range(3):
        duty.now += 1.0
        duty.check(**all_of(fleet, "fail"))
    ago(11)
    look(ALL_FAIL)
    duty.now = time.time()
    duty.wait(2)
    assert Incident.objects.count() == 0
    assert [line.rpartition("/")[0] for line in duty.pager()] == ["* trigger fleet/no_checker_believed"]
    look(RIGHT)
    ago(11)
    look(RIGHT)
    duty.now = time.time()
    duty.wait(2)
    assert [line.rpartition("/")[0] for line in duty.pager()[1:]] == ["resolve fleet/no_checker_believed"]
    assert (duty.woken, duty.still_open) == (1, 0)
    assert Event.objects.filter(type="node_marked_failed").count() == 0
