"""One bad row costs its own place on a page and nothing else: every page answers, whatever stands in a row of another pool."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from nodes.models import (
    ApiToken,
    BreakerPolicy,
    Check,
    CheckResult,
    Event,
    Failover,
    FailoverPolicy,
    FleetState,
    Incident,
    Node,
    NodeState,
    Pool,
    PoolState,
)
from tests.pages import fleet

Spoil = Callable[[], object]


def node(**columns: object) -> Spoil:
    return lambda: NodeState.objects.filter(node__name="api-2").update(**columns)


def failover_policy(**columns: object) -> Spoil:
    return lambda: FailoverPolicy.objects.filter(name="own").update(**columns)


def breaker_policy(**columns: object) -> Spoil:
    return lambda: BreakerPolicy.objects.filter(name="own").update(**columns)


def _seal_with_a_lost_key() -> None:
    """What another key sealed, as the column holds it."""
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE nodes_check SET headers = 'garbage' WHERE node_id = (SELECT id FROM nodes_node WHERE name = 'api-2')"
        )


def pool_state(**columns: object) -> Spoil:
    return lambda: PoolState.objects.filter(pool__slug="public-api").update(**columns)


BAD: dict[str, Spoil] = {
    "strategy": lambda: Pool.objects.filter(slug="public-api").update(strategy="quantum"),
    "failback": failover_policy(failback="sometimes"),
    "admin state": node(admin_state="asleep"),
    "health": node(health="so-so"),
    "breaker state": node(breaker_state="ajar"),
    "breaker mode": node(breaker_mode="telepathic"),
    "breaker opened by": node(breaker_opened_by="ghosts", breaker_state="open"),
    "a secret without its key": _seal_with_a_lost_key,
    "last verdict": node(last_verdict="maybe"),
    "guard of a failure": node(failure={"cause": "health", "refused_by": "astrology", "receivers": []}),
    "shape of a failure": node(failure=["of", "another", "version"]),
    "shape of a ramp": node(ramp={"colour": "red"}),
    "shape of a load": node(load={"colour": "red"}),
    "kind of a load": node(load=7),
    "shape of a window": node(breaker_window={"colour": "red"}),
    "shape of reported calls": node(breaker_reported=["x", "y", "z"]),
    "shape of trials": node(breaker_trials={"colour": "red"}),
    "shape of a pause": pool_state(paused={"colour": "red"}),
    "shape of the fleet's pause": lambda: FleetState.objects.update(paused={"colour": "red"}),
    "shape of the isolation": lambda: FleetState.objects.update(isolated=[1, 2]),
    "a threshold of zero": failover_policy(failure_threshold=0),
    "an endless interval": failover_policy(interval=float("inf")),
    "an interval that is no number": failover_policy(interval=float("nan")),
    "a negative interval": failover_policy(interval=-5.0),
    "an endless cool-down": failover_policy(cooldown=float("inf")),
    "an endless wait": node(breaker_wait=float("inf"), breaker_state="open"),
    "two windows": breaker_policy(window_calls=5, window_seconds=5.0, failure_rate=0.5),
    "severity of an incident": lambda: Incident.objects.update(severity="shrill"),
    "kind of a decision": lambda: Failover.objects.update(kind="levitation"),
    "status of a decision": lambda: Failover.objects.update(status="pending"),
    "guard of a decision": lambda: Failover.objects.update(refused_by="astrology"),
    "shape of a decision": lambda: Failover.objects.update(record=["of", "another", "version"]),
    "shape of a decision's steps": lambda: Failover.objects.update(record={"steps": [{"when": 1}]}),
    "severity of an event": lambda: Event.objects.update(severity="shrill"),
    "type of an event": lambda: Event.objects.update(type="quantum_flux"),
    "verdict of a result": lambda: CheckResult.objects.update(verdict="z"),
    "kind of a check": lambda: Check.objects.filter(node__name="api-2").update(kind="seance"),
    "no state of a node": lambda: NodeState.objects.filter(node__name="api-2").delete(),
    "no state of a pool": lambda: PoolState.objects.filter(pool__slug="public-api").delete(),
}


@pytest.fixture
def admin(db: None) -> Client:
    """It answers 500 as a server does, instead of raising."""
    client = Client(raise_request_exception=False)
    client.force_login(User.objects.create_superuser("root"))
    return client


@pytest.fixture
def pools(api: Pool, now: datetime) -> Pool:
    """The pool to be spoiled has policies of its own; the other shares none of its rows."""
    breaker, failover = BreakerPolicy.objects.create(name="own"), FailoverPolicy.objects.create(name="own", interval=5.0)
    Pool.objects.filter(pk=api.pk).update(breaker_policy=breaker, failover_policy=failover)
    other = fleet.pool("Search", "search", ["search-1", "search-2"], now)
    fleet.rounds(other, now - timedelta(seconds=20), 4)
    return api


def addresses() -> list[str]:
    found = ["/", "/events/", "/incidents/", "/reports/", "/reports.csv", "/reports.json", "/healthz", "/alerts/"]
    found += ["/alerts/destinations/", "/admin/", "/admin/nodes/pool/add/", "/admin/nodes/node/add/"]
    found += [f"/failovers/{failover.pk}/" for failover in Failover.objects.all()]
    found += [f"/incidents/{incident.pk}/" for incident in Incident.objects.all()]
    for pool in Pool.objects.all():
        found += [f"/pools/{pool.slug}/", reverse("admin:nodes_pool_change", args=[pool.pk])]
    for each in Node.objects.all():
        found += [f"/nodes/{each.pk}/", reverse("admin:nodes_node_change", args=[each.pk])]
    for policy in (*BreakerPolicy.objects.all(), *FailoverPolicy.objects.all()):
        found.append(reverse(f"admin:nodes_{policy._meta.model_name}_change", args=[policy.pk]))
    return found + [f"/admin/nodes/{name}/" for name in ("pool", "node", "breakerpolicy", "failoverpolicy", "event", "incident")]


@pytest.mark.integration
@pytest.mark.parametrize("bad", BAD)
def test_every_page_answers(pools: Pool, admin: Client, bad: str) -> None:
    token = ApiToken(name="all", scopes=["metrics", "shares"])
    bearer = {"authorization": f"Bearer {token.issue()}"}
    token.save()
    BAD[bad]()
    broken = [address for address in addresses() if admin.get(address).status_code >= 500]
    for_programs = ("/metrics", "/api/v1/pools/public-api/shares", "/api/v1/pools/search/shares", "/health/checks")
    broken += [address for address in for_programs if admin.get(address, headers=bearer).status_code == 500]
    assert broken == []


@pytest.mark.integration
def test_what_cannot_be_read_says_so_in_its_place(pools: Pool, admin: Client) -> None:
    BAD["health"]()
    page = admin.get("/pools/public-api/").content.decode()
    assert "its row cannot be read: &#x27;so-so&#x27; is not a valid Health" in page
    assert "This pool cannot be decided: ValueError: &#x27;so-so&#x27; is not a valid Health" in page
    assert "cannot be read" not in admin.get("/pools/search/").content.decode()


@pytest.mark.integration
def test_a_pool_that_cannot_be_decided_comes_first_on_the_dashboard(pools: Pool, admin: Client) -> None:
    Pool.objects.filter(slug="search").update(strategy="quantum")
    page = admin.get("/").content.decode()
    assert "Whether users are hit is not known." in page
    assert "is served: a row of it cannot be read: &#x27;quantum&#x27; is not a valid Strategy</h1>" in page
    other = Pool.objects.get(slug="search")
    assert page.index(f'id="pool-{other.pk}"') < page.index(f'id="pool-{pools.pk}"')


@pytest.mark.integration
def test_acts_on_it_are_refused_with_the_reason(pools: Pool, admin: Client) -> None:
    BAD["health"]()
    failed = Node.objects.get(name="api-2")
    for address in (f"/nodes/{failed.pk}/act/", "/pools/public-api/act/"):
        for action in ("drain", "disable", "fail_over", "fail_back", "reset", "force_open", "pause", "resume", "rebalance"):
            answer = admin.post(address, {"action": action, "reason": "a look"}, follow=True)
            assert answer.status_code in (200, 409), (address, action)
    assert "This pool cannot be decided: ValueError: &#x27;so-so&#x27; is not a valid Health" in answer.content.decode()


@pytest.mark.integration
def test_a_policy_of_two_pools_can_be_edited_though_one_of_them_cannot_be_decided(pools: Pool, admin: Client) -> None:
    BAD["health"]()
    Pool.objects.filter(slug="public-api").update(failover_policy=Pool.objects.get(slug="search").failover_policy_id)
    policy = Pool.objects.get(slug="search").failover_policy
    address = reverse("admin:nodes_failoverpolicy_change", args=[policy.pk])
    form = admin.get(address).context["adminform"].form
    given = {name: "" if value is None else value for name, value in form.initial.items()} | {"interval": "7.5"}
    assert admin.post(address, given).status_code == 302
    policy.refresh_from_db()
    assert policy.interval == 7.5


@pytest.mark.integration
@pytest.mark.parametrize("bad", ["health", "strategy", "shape of a failure", "severity of an incident", "an endless interval"])
def test_it_can_be_removed_and_all_that_was_open_ends(pools: Pool, admin: Client, bad: str) -> None:
    incident = Incident.objects.get()
    BAD[bad]()
    PoolState.objects.filter(pool=pools).update(undecided_since=timezone.now(), undecided_told=True, undecided_why="bad")
    answer = admin.post(reverse("admin:nodes_pool_delete", args=[pools.pk]), {"reason": "it is bad"})
    assert answer.status_code == 302
    assert Node.objects.filter(pool=pools, removed_at=None).count() == 0
    incident.refresh_from_db()
    assert incident.closed_at is not None
    ends = Event.objects.filter(pool=pools, type__in=("incident_closed", "pool_decided", "low_capacity_ended"))
    assert sorted(ends.values_list("type", flat=True)) == sorted({"incident_closed", "pool_decided", *_low_capacity(pools)})
    assert not NodeState.objects.filter(pool_id=pools.pk).exclude(share=0).exists()
    assert not NodeState.objects.filter(pool_id=pools.pk).exclude(admin_state="disabled").exists()


def _low_capacity(pool: Pool) -> list[str]:
    return ["low_capacity_ended"] if Event.objects.filter(pool=pool, type="low_capacity").exists() else []
