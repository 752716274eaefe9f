"""The three truths over the whole course of a failure: page, tab, favicon, API and metrics say the same at each step."""

from __future__ import annotations

import time
from collections.abc import Callable

import psycopg
import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse

from nodes import operations
from nodes.engine.enums import AdminState
from nodes.engine.service import Service
from nodes.ledger.rows import Row
from nodes.models import ApiToken, BreakerPolicy, FailoverPolicy, FleetState, Node, NodeState, Pool
from tests.api.scraping import Scrape
from tests.integration.checking import see

pytestmark = [pytest.mark.integration, pytest.mark.django_db(transaction=True, serialized_rollback=True)]

Check = Callable[..., None]


class Reader:
    """Everybody who reads the truth of the pool api."""

    def __init__(self) -> None:
        self.client = Client()
        self.client.force_login(User.objects.create_user("vera"))
        token = ApiToken(name="balancer", scopes=["shares"])
        self.bearer = f"Bearer {token.issue()}"
        token.save()

    def told(self) -> tuple[str, str, str]:
        """Truth, state and first line, when all of them agree."""
        answer = self.client.get(reverse("nodes:dashboard"))
        verdict, lamps = answer.context["headline"], answer.context["head"].lamps
        api = Client().get(reverse("nodes:shares", args=["api"]), headers={"authorization": self.bearer}).json()
        metrics = Scrape(self.client.get("/metrics").content.decode())
        lit = [each.value for each in Service if metrics("failover_pool_service", pool="api", state=each.value) == 1]
        page = answer.content.decode()
        facts = self.client.get(reverse("nodes:pool", args=["api"])).context["facts"]
        assert {facts.service, api["service"]} == {verdict.service}
        assert lit == [verdict.service]
        assert [lamp.service for lamp in lamps if lamp.pools] == [each for each in lit if each != Service.UNKNOWN]
        assert facts.status == api["state"]
        assert f"favicon-{api['service']}.svg" in page
        assert f"<title>{verdict.title} · " in page or not verdict.title
        return api["service"], api["state"], verdict.first.as_text(0.0).replace("\N{NO-BREAK SPACE}", " ")


@pytest.fixture
def reader(pool: Pool) -> Reader:
    """Checks mark after two failures; none is stale before two minutes, so that a slow machine changes nothing."""
    slow = dict.fromkeys(("interval", "fast_interval", "down_interval"), 60)
    FailoverPolicy.objects.update(failure_threshold=2, recovery_threshold=2, **slow)
    BreakerPolicy.objects.update(failure_threshold=50)
    return Reader()


@pytest.fixture
def check(connection: psycopg.Connection[Row], pool: Pool, reader: Reader) -> Check:
    """Every node is checked once, a second after the last time; those that are not named pass."""
    now = time.time() - 30.0

    def once(**verdicts: str) -> None:
        nonlocal now
        now += 1.0
        see(connection, pool, dict.fromkeys("abc", "pass") | verdicts, now)

    return once


def test_a_failure_from_its_first_bad_check_to_its_end(pool: Pool, reader: Reader, check: Check) -> None:
    assert reader.told() == ("unknown", "unknown", "api is not in service yet: no node has passed a check")
    check()
    assert reader.told() == ("served", "healthy", "api is served")
    check(a="fail")  # suspect
    assert reader.told() == ("served", "healthy", "api is served")
    operations.pause(pool.pk, actor="ada", reason="change freeze", until=None)
    check(a="fail")
    assert reader.told() == ("users_hit", "failover pending", "api still sends 33.34 % to a: a fails: refused")
    operations.resume(pool.pk, actor="ada")
    assert reader.told() == ("less_reserve", "degraded", "api is served by b and c: a fails: refused")
    check()
    assert reader.told() == ("less_reserve", "recovering", "api is served by b and c: a is recovering")
    check()
    assert reader.told() == ("served", "healthy", "api is served")
    assert list(NodeState.objects.order_by("pk").values_list("share", flat=True)) == [3334, 3333, 3333]


def test_a_pool_that_nobody_is_left_to_serve(reader: Reader, check: Check) -> None:
    check()
    for _ in range(2):
        check(a="fail", b="fail", c="fail")
    assert reader.told() == ("users_hit", "down", "api is down: all 3 nodes fail: refused")
    check(a="fail", b="fail")
    assert reader.told()[0] == "users_hit"  # one good check is no recovery
    check(a="fail", b="fail")
    assert reader.told() == ("less_reserve", "degraded", "api is served by c: a and b fail: refused")


def test_what_a_person_takes_out_is_no_alarm(reader: Reader, check: Check) -> None:
    check()
    operations.set_admin_state(Node.objects.get(name="a").pk, AdminState.MAINTENANCE, actor="ada", reason="new kernel")
    assert reader.told() == ("served", "maintenance", "api is served")


def test_nothing_is_claimed_while_no_check_has_a_result(reader: Reader, check: Check) -> None:
    check()
    FleetState.objects.update(missing_told=True)
    assert reader.told() == ("unknown", "unknown", "The console cannot tell: no check has had a result for too long")


def test_a_row_that_cannot_be_read_is_no_claim_either(reader: Reader, check: Check) -> None:
    check()
    NodeState.objects.filter(node__name="b").update(health="glowing")
    why = "a row of it cannot be read: 'glowing' is not a valid Health"
    assert reader.told() == ("unknown", "unknown", f"The console cannot tell how api is served: {why}")


def test_a_silent_node_is_less_reserve_and_a_silent_pool_is_unknown(reader: Reader, check: Check) -> None:
    check()
    NodeState.objects.filter(node__name="a").update(stale=True)
    assert reader.told() == ("less_reserve", "stale", "api is served by all 3 nodes: a has no fresh check")
    NodeState.objects.update(stale=True)
    assert reader.told()[:2] == ("unknown", "stale")
