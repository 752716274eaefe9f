"""Checkers in the ledger: leases, evidence and isolations of two hosts as rows, and what they do to claims and to automation."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from nodes import operations
from nodes.engine.enums import Verdict
from nodes.engine.types import Observation
from nodes.ledger import Result, advance, checkers, claim, leases, runners
from nodes.ledger.checkers import Sighting, Standing
from nodes.ledger.connections import connect
from nodes.ledger.leases import Slot
from nodes.models import Checker, Event, FleetState, Node, NodeState, Outbox, Pool

pytestmark = [pytest.mark.integration, pytest.mark.django_db(transaction=True, serialized_rollback=True)]

ALL_FAIL = Sighting(observed=9, failing=9, pools=(1, 2, 3), asked=9, asked_failing=9, askable=True)
RIGHT = Sighting(observed=9, asked=9, askable=True)


class Host:
    """A checker with one runner, on a connection of its own."""

    def __init__(self, name: str, slot: int = 0) -> None:
        self.slot = Slot("checks", name, slot)
        self.connection = connect(name)
        taken = leases.take(self.connection, self.slot)
        assert taken is not None
        self.term_number = taken
        runners.sign(self.connection, kind="checks", host=name, slot=slot, pid=1, anew=True)
        checkers.begin(self.connection, name, self.term_number)

    def look(self, sighting: Sighting = Sighting(observed=9)) -> Standing:  # noqa: B008 - a frozen value
        standing = checkers.look(self.connection, self.slot, self.term_number, sighting)
        assert standing is not None
        return standing

    def claim(self) -> dict[str, tuple[int, int, tuple[str, ...]]]:
        """Node -> (id, term number, witnesses)."""
        names = dict(Node.objects.values_list("pk", "name"))
        with self.connection.cursor() as cursor:
            found = claim(cursor, self.term_number, host=self.slot.host, ahead=1, limit=100).claims
        return {names[each.node]: (each.node, each.term_number, each.seen_by) for each in found}

    def see(self, pool: Pool, **verdicts: str) -> None:
        """Claim what is due and give these verdicts; what is not named is given back."""
        now = time.time()
        claims = self.claim()
        with self.connection.transaction(), self.connection.cursor() as cursor:
            results = [
                Result(node, term, Observation(Verdict(verdicts[name]), "refused", 0.01, now, now, self.slot.host))
                for name, (node, term, _) in claims.items()
                if name in verdicts
            ]
            advance(cursor, pool.pk, results=results)
            cursor.execute("UPDATE nodes_nodestate SET owner = NULL WHERE owner = %s", (self.term_number,))

    def die(self) -> None:
        leases.give_back(self.connection, self.term_number)
        self.connection.close()


@pytest.fixture
def hosts() -> Iterator[list[Host]]:
    made: list[Host] = []
    yield made
    for each in made:
        each.connection.close()


@pytest.fixture
def a(hosts: list[Host], pool: Pool) -> Host:
    hosts.append(Host("a"))
    return hosts[-1]


@pytest.fixture
def b(hosts: list[Host], pool: Pool) -> Host:
    hosts.append(Host("b"))
    return hosts[-1]


def ago(seconds: float) -> None:
    """Let isolations have begun, and looked right, so long before."""
    with connect("test") as connection:
        connection.execute(
            """UPDATE nodes_checker SET since = since - make_interval(secs => %(s)s),
                                        clear_since = clear_since - make_interval(secs => %(s)s)""",
            {"s": seconds},
        )
        connection.execute("UPDATE nodes_fleetstate SET nobody_since = nobody_since - make_interval(secs => %s)", (seconds,))


def shares() -> dict[str, int]:
    return dict(NodeState.objects.values_list("node__name", "share"))


def told(*types: str) -> list[tuple[str, str]]:
    return list(Event.objects.filter(type__in=types).order_by("pk").values_list("type", "actor"))


BELIEF = ("checker_isolated", "checker_rejoined", "no_checker_believed", "checker_believed")


def test_the_only_checker_that_sees_all_fail_blocks_automation_until_it_looks_right(a: Host, pool: Pool) -> None:
    a.see(pool, a="pass", b="pass", c="pass")
    assert a.look() == Standing(believed=1)
    standing = a.look(ALL_FAIL)
    assert (standing.isolated, standing.believed, standing.shadow, standing.changed) == (True, 0, False, True)
    assert standing.healthy == set(Node.objects.values_list("pk", flat=True))
    for _ in range(3):
        NodeState.objects.update(due_at="2020-01-01T00:00Z")
        a.see(pool, b="fail")
    assert (shares()["b"], told("node_marked_failed", "failover_refused")) == (3333, [])

    ago(11)
    a.look(ALL_FAIL)
    assert told(*BELIEF) == [("no_checker_believed", "engine")]
    a.look(RIGHT)
    ago(11)
    a.look(RIGHT)
    assert told(*BELIEF) == [("no_checker_believed", "engine"), ("checker_believed", "engine")]
    with a.connection.transaction(), a.connection.cursor() as cursor:
        advance(cursor, pool.pk)
    assert shares()["b"] == 0
    assert len(told("node_marked_failed")) == 1


def test_another_that_is_believed_goes_on_and_the_isolated_one_asks_in_the_shadow(a: Host, b: Host, pool: Pool) -> None:
    b.see(pool, a="pass", b="pass", c="pass")
    assert b.look().believed == 2
    standing = a.look(ALL_FAIL)
    assert (standing.shadow, standing.believed) == (True, 1)
    assert FleetState.objects.get().isolated is None
    NodeState.objects.update(due_at="2020-01-01T00:00Z")
    b.see(pool, b="fail")
    with a.connection.cursor() as cursor:
        asked, _ = checkers.askable(cursor, "a", limit=20)
    assert set(asked) == set(Node.objects.exclude(name="b").values_list("pk", flat=True))


def test_what_one_sees_alone_is_left_to_the_other_and_counts_with_it(a: Host, b: Host, pool: Pool) -> None:
    b.see(pool, a="pass", b="pass", c="pass")
    b.look()
    for _ in range(2):
        NodeState.objects.update(due_at="2020-01-01T00:00Z")
        a.see(pool, b="fail")
    assert NodeState.objects.get(node__name="b").health == "healthy"
    NodeState.objects.update(due_at="2020-01-01T00:00Z")
    assert "b" not in a.claim()
    assert b.claim()["b"][2] == ("a",)


def test_after_the_wait_the_same_checker_may(a: Host, b: Host, pool: Pool) -> None:
    b.see(pool, a="pass", b="pass", c="pass")
    b.look()
    for _ in range(2):
        NodeState.objects.update(due_at="2020-01-01T00:00Z")
        a.see(pool, b="fail")
    NodeState.objects.update(due_at="2020-01-01T00:00Z", confirm_until="2020-01-01T00:00Z")
    a.see(pool, b="fail")
    assert shares()["b"] == 0
    assert "seen by one checker only" in Event.objects.get(type="node_marked_failed").message


def test_when_the_other_is_gone_nobody_is_waited_for(a: Host, b: Host, pool: Pool) -> None:
    b.see(pool, a="pass", b="pass", c="pass")
    b.look()
    NodeState.objects.update(due_at="2020-01-01T00:00Z")
    a.see(pool, b="fail")
    b.die()
    assert a.look().believed == 1
    NodeState.objects.update(due_at="2020-01-01T00:00Z")
    a.see(pool, b="fail")
    assert shares()["b"] == 0


def test_contradictions_are_counted_for_the_one_that_was_wrong(a: Host, b: Host, pool: Pool) -> None:
    b.look()
    nodes = list(Node.objects.values_list("pk", flat=True))
    with b.connection.cursor() as cursor:
        for number in range(5):
            checkers.note_answer(cursor, "a", nodes[number % 2], confirmed=False)
    assert a.look().shadow
    assert Checker.objects.get(host="a").healthy == sorted(nodes[:2])


def test_two_runners_of_a_host_speak_with_one_voice(a: Host, hosts: list[Host], pool: Pool) -> None:
    hosts.append(Host("a", 1))
    half = Sighting(observed=4, failing=3, pools=(1,))
    assert not a.look(half).isolated
    assert hosts[-1].look(Sighting(observed=4, failing=3, pools=(2,))).isolated


def test_the_last_isolation_outlives_its_host_and_the_next_one_takes_it_over(a: Host, hosts: list[Host], pool: Pool) -> None:
    a.see(pool, a="pass", b="pass", c="pass")
    a.look(ALL_FAIL)
    healthy = Checker.objects.get(host="a").healthy
    a.die()
    hosts.append(Host("c"))
    standing = hosts[-1].look(ALL_FAIL)
    assert (standing.isolated, standing.believed) == (True, 0)
    assert Checker.objects.get(host="c").healthy == healthy
    assert Checker.objects.get(host="a").doubt == ""


def test_a_person_believes_a_checker_and_what_waited_is_marked_at_once(a: Host, pool: Pool) -> None:
    a.see(pool, a="pass", b="pass", c="pass")
    a.look(ALL_FAIL)
    for _ in range(2):
        NodeState.objects.update(due_at="2020-01-01T00:00Z")
        a.see(pool, b="fail")
    operations.believe_checker("a", actor="olga")
    assert told(*BELIEF) == [("checker_rejoined", "olga")]
    assert Outbox.objects.filter(event__type="checker_rejoined").exists()
    with a.connection.transaction(), a.connection.cursor() as cursor:
        advance(cursor, pool.pk)
    assert shares()["b"] == 0
    assert not a.look(ALL_FAIL).isolated  # as long as the same speaks against it
    with pytest.raises(operations.Refused, match="not isolated"):
        operations.believe_checker("a", actor="olga")


def test_a_doubt_of_another_version_is_one_all_the_same(a: Host, pool: Pool) -> None:
    Checker.objects.filter(host="a").update(doubt="sunspots", reason="too many", since="2026-01-01T00:00Z")
    assert a.look(ALL_FAIL).isolated


def test_late_checks_are_each_checkers_own(a: Host, b: Host, pool: Pool) -> None:
    with a.connection.cursor() as cursor:
        cursor.execute("UPDATE nodes_runner SET lateness_p99 = CASE host WHEN 'a' THEN 1.5 ELSE 0.01 END")
        checkers.judge_lateness(cursor, "a")
        cursor.execute("UPDATE nodes_checker SET turning_since = turning_since - interval '6 seconds'")
        assert checkers.judge_lateness(cursor, "a")
        assert not checkers.judge_lateness(cursor, "b")
        assert not checkers.judge_lateness(cursor, "a")
        cursor.execute("UPDATE nodes_runner SET lateness_p99 = 0.01")
        checkers.judge_lateness(cursor, "a")
        cursor.execute("UPDATE nodes_checker SET turning_since = turning_since - interval '61 seconds'")
        assert checkers.judge_lateness(cursor, "a")
    found = Event.objects.filter(type__startswith="checks_").order_by("pk")
    assert list(found.values_list("type", "severity", "detail__checker")) == [
        ("checks_late", "warning", "a"), ("checks_on_time", "info", "a"),
    ]  # fmt: skip  # one a line


def test_a_runner_whose_lease_is_over_is_heard_no_more(a: Host, pool: Pool) -> None:
    a.see(pool, a="pass", b="pass", c="pass")
    a.look(ALL_FAIL)
    with connect("test") as connection:
        leases.give_back(connection, a.term_number)
    assert checkers.look(a.connection, a.slot, a.term_number, RIGHT) is None
    assert FleetState.objects.get().isolated is not None


def test_a_new_term_leaves_the_count_of_the_believed_as_it_is(a: Host, b: Host, pool: Pool) -> None:
    assert (a.look().believed, b.look().believed) == (2, 2)
    checkers.begin(b.connection, "b", b.term_number)
    assert FleetState.objects.get().believed == 2
