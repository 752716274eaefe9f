"""A resolver that is away, as its user meets it: the running product asks a name server on loopback that answers nothing."""

from __future__ import annotations

import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from datetime import timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from nodes.egress.names import KEPT
from nodes.ledger import checkers
from nodes.ledger.checkers import Sighting
from nodes.ledger.clock import database_now
from nodes.models import Event, FailoverPolicy, NodeState, Pool
from tests import nameserver
from tests.integration.silences import hear, later, live, look, told
from tests.integration.test_checkers import Host
from tests.nameserver import NameServer
from tests.product import Product, eventually, running

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]

SILENT = "our resolver did not answer for b.example in time"
SEES_TROUBLE = Sighting(resolver_trouble="our resolver did not answer for a.example in time")
SEES_ANSWERS = Sighting(resolver_answers=True)


# In rows --------------------------------------------------------------------------------------------------------------


@pytest.fixture
def a(pool: Pool) -> Iterator[Host]:
    made = Host("a")
    yield made
    made.connection.close()


@pytest.fixture
def other(a: Host) -> Iterator[Host]:
    """The second runner of the same host."""
    made = Host("a", slot=1)
    yield made
    made.connection.close()


def judge(host: Host, seconds: float = 11.0) -> bool:
    """Judge, let so many seconds pass, and judge again."""
    with host.connection.cursor() as cursor:
        checkers.judge_resolver(cursor, host.slot.host)
        cursor.execute(
            "UPDATE nodes_checker SET resolver_turning_since = resolver_turning_since - make_interval(secs => %s)", (seconds,)
        )
        return checkers.judge_resolver(cursor, host.slot.host)


@pytest.mark.django_db(transaction=True, serialized_rollback=True)
def test_what_one_runner_is_answered_counts_for_its_host(a: Host, other: Host) -> None:
    a.look(SEES_TROUBLE)
    other.look(SEES_ANSWERS)
    assert not judge(a)
    other.look(SEES_TROUBLE)
    assert judge(a)
    other.look(SEES_ANSWERS)
    assert judge(a)
    events = Event.objects.filter(type__startswith="resolver").order_by("pk")
    assert [(each.type, each.severity, each.detail["checker"]) for each in events] == [
        ("resolver_down", "warning", "a"),
        ("resolver_answers", "info", "a"),
    ]


@pytest.mark.django_db(transaction=True, serialized_rollback=True)
def test_silence_whose_cause_is_told_is_listed_there_and_critical_once_it_is_most_of_a_pool(a: Host, pool: Pool) -> None:
    FailoverPolicy.objects.update(interval=10.0)
    hear(a.connection, pool, "a", "b", "c")
    live()
    later(70)
    hear(a.connection, pool, "a")
    silent = {"last_verdict": "unknown", "last_message": SILENT, "checked_at": database_now()}
    NodeState.objects.filter(node__name="b").update(**silent)
    NodeState.objects.filter(node__name="c").update(observed_at=database_now())
    a.look(SEES_TROUBLE)
    with a.connection.cursor() as cursor:
        assert not checkers.judge_resolver(cursor, "a")
    assert not look(a.connection)  # b is silent, and the cause is about to be told
    assert judge(a)
    assert not look(a.connection)  # and is told already
    NodeState.objects.filter(node__name="c").update(**silent, observed_at=database_now() - timedelta(seconds=70))
    a.look(SEES_TROUBLE)
    with a.connection.cursor() as cursor:
        assert [checkers.judge_resolver(cursor, "a") for _ in range(2)] == [True, False]
    assert not look(a.connection)
    assert [(each.type, each.severity) for each in Event.objects.exclude(type__in=("node_added", "rebalanced")).order_by("pk")][
        -2:
    ] == [
        ("resolver_down", "warning"),
        ("resolver_down", "critical"),
    ]
    assert Event.objects.filter(type="resolver_down").latest("pk").detail["nodes"] == sorted(
        NodeState.objects.filter(node__name__in=("b", "c")).values_list("pk", flat=True)
    )
    a.look(SEES_ANSWERS)
    assert judge(a)
    assert look(a.connection)  # what is silent still, though names are answered, is told by itself
    assert told()[-2:] == [("resolver_answers", None), ("checks_missing", "api")]


# In the product -------------------------------------------------------------------------------------------------------

in_the_product = pytest.mark.skipif(
    not nameserver.can_tell(Path(tempfile.mkdtemp())), reason="a resolver of its own, and a name server, need root"
)


@pytest.fixture(scope="module")
def resolver() -> Iterator[NameServer]:
    with nameserver.serving() as server:
        yield server


@pytest.fixture(scope="module")
def product(resolver: NameServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Product]:
    """The demo, whose nodes have names."""
    within = nameserver.asking_it(tmp_path_factory.mktemp("resolver"))
    with running("--demo", within=tuple(within)) as product:
        yield product


@pytest.fixture
def since(product: Product, resolver: NameServer) -> int:
    """The last event before a test, in which all nodes are well by their names."""
    rename(product, "nodes.example")
    began = time.monotonic()
    known = "both runners know all names, and the nodes are well"
    eventually(lambda: well(product) == 9 and sum(known_to_both(resolver, began).values()) == 9, 120, known)
    away = "SELECT 1 FROM nodes_checker WHERE resolver_told"
    eventually(lambda: not product.rows(away), 60, "what a test before did to it is over")
    return int(product.rows("SELECT max(id) AS n FROM nodes_event")[0]["n"])


def rename(product: Product, zone: str, only: str = "%") -> None:
    product.do(f"UPDATE nodes_node SET address = name || '.{zone}' WHERE name LIKE %s", only)
    product.do("UPDATE nodes_fleetstate SET config_version = config_version + 1")


def known_to_both(resolver: NameServer, began: float) -> dict[str, bool]:
    """Whether each name was asked twice within the time for which a process keeps an answer: so by two of them."""
    asked: dict[str, list[float]] = defaultdict(list)
    for at, name in resolver.asked_at:
        if at > began and name.endswith(".nodes.example"):
            asked[name].append(at)
    return {name: any(later - at < KEPT - 1 for at, later in pairwise(times)) for name, times in asked.items()}


def well(product: Product) -> int:
    found = product.rows("SELECT count(*) AS n FROM nodes_nodestate WHERE health = 'healthy' AND last_verdict = 'pass'")
    return int(found[0]["n"])


def events(product: Product, kind: str, since: int) -> list[dict[str, Any]]:
    return product.rows("SELECT severity, message FROM nodes_event WHERE type = %s AND id > %s ORDER BY id", kind, since)


@in_the_product
def test_while_the_resolver_hangs_nodes_stay_well_and_a_dead_one_fails_over(
    product: Product, resolver: NameServer, since: int
) -> None:
    resolver.swallows = {""}
    down = eventually(lambda: events(product, "resolver_down", since), 60, "that the resolver is away is told")
    assert [each["severity"] for each in down] == ["warning"]
    assert ".nodes.example" in down[0]["message"]  # it hangs, or the system says after a while that it failed
    eventually(lambda: "resolver" in str(product.received()), 30, "a message says so")
    assert events(product, "node_marked_failed", since) == []
    product.switch("api-3", "refuse")
    eventually(lambda: events(product, "failover_started", since), 30, "the share of a node that dies meanwhile moves")
    assert len(events(product, "node_marked_failed", since)) == 1
    product.switch("api-3", "healthy")
    resolver.swallows = set()
    eventually(lambda: events(product, "resolver_answers", since), 60, "that it answers again is told")
    eventually(lambda: well(product) == 9, 90, "all nodes are well again")


@in_the_product
def test_names_that_were_never_answered_silence_a_pool_and_fail_nobody(product: Product, resolver: NameServer, since: int) -> None:
    resolver.swallows = {""}
    rename(product, "new.example", "api-%")
    grave = eventually(
        lambda: [each for each in events(product, "resolver_down", since) if each["severity"] == "critical"], 120, "it is critical"
    )
    assert "have none and are not watched" in grave[0]["message"]
    verdicts = product.rows(
        "SELECT s.last_verdict FROM nodes_nodestate s JOIN nodes_node n ON n.id = s.node_id WHERE n.name LIKE 'api-%%'"
    )
    assert {each["last_verdict"] for each in verdicts} == {"unknown"}
    for kind in ("node_marked_failed", "failover_started", "checks_missing"):
        assert events(product, kind, since) == []
    resolver.swallows = set()
    eventually(lambda: well(product) == 9, 60, "all nodes are well once it answers")
