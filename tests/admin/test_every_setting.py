"""Every field of policies, pools and nodes: set by its form it changes what the engine does or what is shown.

Each row: what is stored first, what is changed, how to look, and what is seen before and after.  A field that is added to a form
and not to its table fails the last test.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import fields, replace
from typing import Any, NamedTuple

import pytest
from django.db import connection
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from psycopg.rows import dict_row

from nodes.engine import breaker as rules
from nodes.engine import health, types
from nodes.engine.breaker import Permit
from nodes.engine.enums import EventType, Health, Outcome, State, Verdict
from nodes.engine.reporting import Calls as ReportedCalls
from nodes.engine.reporting import Report, report
from nodes.engine.shares import ideal_shares
from nodes.forms.inventory import BreakerPolicyForm, FailoverPolicyForm, NodeForm, PoolForm
from nodes.ledger.pools import look
from nodes.models import BreakerPolicy, FailoverPolicy, Incident, NodeState, Pool
from nodes.runner import specs
from tests.admin.conftest import Fleet, errors, node_form, page, save
from tests.engine.pooling import AT_ONCE, NEVER_OPENS, Driver, make_pool

Look = Callable[["Fleet", Client], object]


class Setting(NamedTuple):
    """`first` is stored before `change`; `seen` is what `look` gives before and after."""

    change: Mapping[str, Any]
    look: Look
    seen: tuple[object, object]
    first: Mapping[str, Any] = {}


def engine_pool(pool: Pool) -> types.Pool:
    """The pool as a runner's ledger hands it to the engine."""
    with connection.cursor() as wrapper:
        wrapper.cursor.row_factory = dict_row
        return look(wrapper.cursor, pool.pk)[0]


# Breaker policies -----------------------------------------------------------------------------------------------------


class Calls:
    """Calls to a breaker of the stored policy, one a second; jitter is drawn at its largest."""

    def __init__(self, fleet: Fleet) -> None:
        self.policy = engine_pool(fleet.pool).members[0].breaker_policy
        self.now, self.breaker = 1_000_000.0, types.Breaker()

    def make(self, outcomes: str, *, wait: float = 1.0, duration: float | None = None) -> Calls:
        for letter in outcomes:
            self.now += wait
            asked, permit = rules.acquire(self.breaker, self.policy, self.now, jitter=1.0)
            if isinstance(permit, Permit):
                outcome = Outcome.FAILURE if letter == "f" else Outcome.SUCCESS
                asked, _ = rules.report(asked, self.policy, permit, outcome, self.now, jitter=1.0, duration=duration)
            self.breaker = asked
        return self

    def waited(self, seconds: float) -> State:
        return rules.tick(self.breaker, self.policy, self.now + seconds)[0].state


def state_after(outcomes: str, *, duration: float | None = None) -> Look:
    return lambda fleet, _: Calls(fleet).make(outcomes, duration=duration).breaker.state


def half_of_ten_slow(fleet: Fleet, _: Client) -> State:
    return Calls(fleet).make("p" * 5).make("p" * 5, duration=2).breaker.state


def after_a_trial(fleet: Fleet, _: Client) -> State:
    return Calls(fleet).make("fffff").make("p", wait=100.0).breaker.state


def wait_of_an_opening(fleet: Fleet, _: Client) -> float:
    return Calls(fleet).make("fffff").breaker.wait


def wait_of_a_reopening(fleet: Fleet, _: Client) -> float:
    return Calls(fleet).make("fffff").make("f", wait=100.0).breaker.wait


def ten_seconds_open(fleet: Fleet, _: Client) -> State:
    return Calls(fleet).make("fffff").waited(10.0)


def ten_seconds_of_a_trial(fleet: Fleet, _: Client) -> State:
    calls = Calls(fleet).make("fffff")
    calls.breaker, _permit = rules.acquire(calls.breaker, calls.policy, calls.now + 100.0)
    return rules.tick(calls.breaker, calls.policy, calls.now + 110.0)[0].state


def trials_told(fleet: Fleet, client: Client) -> object:
    NodeState.objects.filter(node=fleet.first).update(breaker_state="half_open")
    return client.get(reverse("nodes:shares", args=["api"])).json()["nodes"][0]["max_requests"]


def is_listed(model: str, name: str) -> Look:
    return lambda _fleet, client: name in client.get(page(model)).content.decode()


RATE = {"failure_rate": 0.5, "window_calls": 10}
SLOW = {"slow_call_rate": 0.5, "slow_call_duration": 1.0, "window_calls": 10}
MIXED = "pf" * 5  # half of ten calls, never two failures in a row
OPEN, CLOSED, HALF_OPEN = State.OPEN, State.CLOSED, State.HALF_OPEN

BREAKER: dict[str, Setting] = {
    "name": Setting({"name": "patient"}, is_listed("breakerpolicy", "patient"), (False, True)),
    "failure_threshold": Setting({"failure_threshold": 2}, state_after("ff"), (CLOSED, OPEN)),
    "success_threshold": Setting({"success_threshold": 1}, after_a_trial, (HALF_OPEN, CLOSED)),
    "timeout": Setting({"timeout": 5}, ten_seconds_open, (OPEN, HALF_OPEN)),
    "max_requests": Setting({"max_requests": 3}, trials_told, (1, 3)),
    "timeout_multiplier": Setting({"timeout_multiplier": 2}, wait_of_a_reopening, (30.0, 60.0)),
    "max_timeout": Setting({"max_timeout": 40}, wait_of_a_reopening, (90.0, 40.0), {"timeout_multiplier": 3}),
    "jitter": Setting({"jitter": 0.5}, wait_of_an_opening, (30.0, 45.0)),
    "trial_timeout": Setting({"trial_timeout": 5}, ten_seconds_of_a_trial, (HALF_OPEN, OPEN)),
    "failure_rate": Setting({"failure_rate": 0.5}, state_after(MIXED), (CLOSED, OPEN), {**RATE, "failure_rate": 0.9}),
    "slow_call_rate": Setting({"slow_call_rate": 0.5}, half_of_ten_slow, (CLOSED, OPEN), {**SLOW, "slow_call_rate": 0.9}),
    "slow_call_duration": Setting({"slow_call_duration": 5}, state_after("p" * 10, duration=2), (OPEN, CLOSED), SLOW),
    "window_calls": Setting({"window_calls": 20}, state_after("p" * 10 + "pf" * 5), (OPEN, CLOSED), RATE),
    "window_seconds": Setting(
        {"window_seconds": 100}, state_after("p" * 20 + "pf" * 6), (OPEN, CLOSED), {"failure_rate": 0.5, "window_seconds": 10}
    ),
    "minimum_calls": Setting({"minimum_calls": 4}, state_after("pfpf"), (CLOSED, OPEN), RATE),
}  # fmt: skip  # a table


# Failover policies ----------------------------------------------------------------------------------------------------


def driven(fleet: Fleet, *, tiers: bool = False, nodes: int = 4) -> Driver:
    """A pool that follows the stored guards, its nodes marked and back by one check, all of them up."""
    stored = engine_pool(fleet.pool)
    made = make_pool(nodes, policy=stored.policy, health=AT_ONCE, breaker=NEVER_OPENS, tiers=[1, 2] if tiers else None)
    return Driver(made).up()


def marked_after(fleet: Fleet, _: Client) -> int:
    return _checks_until(fleet, Verdict.FAIL, Health.HEALTHY, Health.FAILED)


def back_after(fleet: Fleet, _: Client) -> int:
    return _checks_until(fleet, Verdict.PASS, Health.FAILED, Health.HEALTHY)


def _checks_until(fleet: Fleet, verdict: Verdict, status: Health, goal: Health) -> int:
    policy, state = engine_pool(fleet.pool).members[0].health_policy, types.HealthState(status)
    for number in range(1, 20):
        state = health.observe(state, policy, types.Observation(verdict, started_at=1.0), 1.0)
        if state.status == goal:
            return number
    raise AssertionError("never")


def asked_every(status: Health, fails: int = 0) -> Look:
    def seconds(fleet: Fleet, _: Client) -> float:
        policy = engine_pool(fleet.pool).members[0].health_policy
        return health.interval_in_force(policy, types.HealthState(status, fails=fails))

    return seconds


def spec_of(name: str) -> Look:
    def value(fleet: Fleet, _: Client) -> object:
        with connection.cursor() as wrapper:
            wrapper.cursor.row_factory = dict_row
            return getattr(specs.load(wrapper.cursor)[fleet.first.pk], name)

    return value


def refusals(failing: str) -> Look:
    """By which guards failovers are refused when these nodes fail one after the other."""

    def seen(fleet: Fleet, _: Client) -> list[object]:
        driver = driven(fleet)
        for name in failing:
            driver.batch(f"{name}=f", repeat=True)
        return [event.detail["guard"] for event in driver.told(EventType.FAILOVER_REFUSED)]

    return seen


def tier_after(seconds: float, *, count: bool = False) -> Look:
    """The serving tier so long after the better one is back, or how often a person was told that it is due."""

    def seen(fleet: Fleet, _: Client) -> object:
        driver = driven(fleet, tiers=True)
        driver.batch("A=f", repeat=True)
        driver.batch("A=p", repeat=True)
        driver.batch(wait=seconds, repeat=True)
        return len(driver.told(EventType.FAILBACK_DUE)) if count else driver.pool.active_tier

    return seen


def balanced_after(seconds: float) -> Look:
    def seen(fleet: Fleet, _: Client) -> bool:
        driver = driven(fleet, nodes=2)
        driver.batch(repeat=True)
        driver.change("A", share=8_000)
        driver.change("B", share=2_000)
        driver.batch(wait=seconds, repeat=True)
        return driver.shares == [5_000, 5_000]

    return seen


def share_on_return(fleet: Fleet, _: Client) -> int:
    driver = driven(fleet, nodes=2)
    driver.batch("A=f", repeat=True)
    driver.batch("A=p", repeat=True)
    return driver.shares[0]


def flaps_after_a_minute(fleet: Fleet, _: Client) -> bool:
    driver = driven(fleet)
    for letter, wait in (("f", 1.0), ("p", 1.0), ("f", 60.0)):
        driver.batch(f"A={letter}", wait=wait, repeat=True)
    return driver.node("A").flapping is not None


def breaker_that_nobody_calls(fleet: Fleet, _: Client) -> State:
    """Of B, opened by calls, a while after the last of them."""
    policy = types.BreakerPolicy(failure_threshold=2, timeout=1.0, success_threshold=1)
    driver = Driver(make_pool(2, policy=engine_pool(fleet.pool).policy, breaker=policy)).up()
    driver.take(report(driver.pool, driver.fleet, driver.now, 2, Report((ReportedCalls(0, 2, driver.now),))))
    for wait in (2.0, 800.0, 1.0):
        driver.batch(wait=wait, repeat=True)
    return driver.node("B").breaker.state


def severity_of_a_failure(fleet: Fleet, _: Client) -> str:
    driver = driven(fleet)
    driver.batch("A=f", repeat=True)
    return driver.told(EventType.NODE_MARKED_FAILED)[0].severity.value


FAILOVER: dict[str, Setting] = {
    "name": Setting({"name": "calm"}, is_listed("failoverpolicy", "calm"), (False, True)),
    "interval": Setting({"interval": 30}, asked_every(Health.HEALTHY), (10.0, 30.0)),
    "fast_interval": Setting({"fast_interval": 1}, asked_every(Health.HEALTHY, 1), (2.0, 1.0)),
    "down_interval": Setting({"down_interval": 60}, asked_every(Health.FAILED), (10.0, 60.0)),
    "check_timeout": Setting({"check_timeout": 1}, spec_of("timeout"), (5.0, 1.0)),
    "failure_threshold": Setting({"failure_threshold": 2}, marked_after, (3, 2)),
    "recovery_threshold": Setting({"recovery_threshold": 4}, back_after, (2, 4)),
    "degraded_latency": Setting({"degraded_latency": 0.5}, spec_of("degraded_latency"), (None, 0.5)),
    "panic_threshold": Setting({"panic_threshold": 0.8}, refusals("A"), ([], ["panic"])),
    "max_failed_percent": Setting({"max_failed_percent": 10}, refusals("AB"), ([], ["max_failed_percent"])),
    "cooldown": Setting({"cooldown": 300}, refusals("AB"), ([], ["cooldown"])),
    "failback": Setting({"failback": "manual"}, tier_after(61.0, count=True), (0, 1)),
    "failback_delay": Setting({"failback_delay": 5}, tier_after(10.0), (2, 1)),
    "auto_rebalance": Setting({"auto_rebalance": False}, balanced_after(301.0), (True, False)),
    "rebalance_interval": Setting({"rebalance_interval": 20}, balanced_after(30.0), (False, True)),
    "slow_start": Setting({"slow_start": 100}, share_on_return, (5_000, 500)),
    "flapping_within": Setting({"flapping_within": 30}, flaps_after_a_minute, (True, False)),
    "heal_unreported_after": Setting({"heal_unreported_after": 700}, breaker_that_nobody_calls, (HALF_OPEN, CLOSED)),
    "page_on": Setting({"page_on": "impact"}, severity_of_a_failure, ("critical", "warning")),
}


# Pools and nodes ------------------------------------------------------------------------------------------------------


def answers(name: str, *args: str) -> Look:
    return lambda _fleet, client: client.get(reverse(name, args=args)).status_code


def shows(text: str) -> Look:
    return lambda fleet, client: text in client.get(Pool.objects.get(pk=fleet.pool.pk).get_absolute_url()).content.decode()


def runbook_of_an_incident(fleet: Fleet, client: Client) -> bool:
    now = timezone.now()
    given = {"severity": "critical", "summary": "alpha failed", "opened_at": now, "detected_at": now}
    opened, _ = Incident.objects.get_or_create(pool=fleet.pool, defaults=given)
    return "https://wiki.example/api" in client.get(reverse("nodes:incident", args=[opened.pk])).content.decode()


def receives_everything(fleet: Fleet, _: Client) -> object:
    """What the first node is to get, with the second in another tier."""
    pool = engine_pool(fleet.pool)
    members = tuple(replace(each, priority=index) for index, each in enumerate(pool.members, start=1))
    return ideal_shares(replace(pool, members=members))[fleet.first.pk]


def of_first(read: Callable[[types.Member], object]) -> Look:
    return lambda fleet, _: read(engine_pool(fleet.pool).members[0])


POOL: dict[str, Setting] = {
    "name": Setting({"name": "Edge"}, shows("Edge"), (False, True)),
    "slug": Setting({"slug": "edge"}, answers("nodes:pool", "edge"), (404, 200)),
    "strategy": Setting({"strategy": "active_passive"}, receives_everything, (5_000, 10_000)),
    "breaker_policy": Setting({"breaker_policy": "other"}, of_first(lambda node: node.breaker_policy.timeout), (30.0, 7.0)),
    "failover_policy": Setting({"failover_policy": "other"}, of_first(lambda node: node.health_policy.interval), (10.0, 33.0)),
    "runbook": Setting({"runbook": "https://wiki.example/api"}, runbook_of_an_incident, (False, True)),
}


def high_loads(fleet: Fleet, _: Client) -> int:
    pool, told = engine_pool(fleet.pool), 0
    for number in range(3):
        step = report(pool, types.Fleet(), 2e9 + number, fleet.first.pk, Report((), 90.0))
        pool, told = step.pool, told + sum(event.type == EventType.HIGH_LOAD for event in step.events)
    return told


def in_list(**query: str) -> Look:
    return lambda _fleet, client: "alpha" in {node.name for node in client.get(page("node"), query).context["cl"].result_list}


def ideal_of_first(fleet: Fleet, _: Client) -> int:
    return ideal_shares(engine_pool(fleet.pool))[fleet.first.pk]


def told_by_the_api(name: str) -> Look:
    return lambda _fleet, client: client.get(reverse("nodes:shares", args=["api"])).json()["nodes"][0][name]


NODE: dict[str, Setting] = {
    "name": Setting({"name": "gamma"}, told_by_the_api("name"), ("alpha", "gamma")),
    "address": Setting({"address": "10.0.0.9"}, spec_of("host"), ("alpha.example", "10.0.0.9")),
    "port": Setting({"port": 8080}, spec_of("port"), (443, 8080)),
    "weight": Setting({"weight": 300}, ideal_of_first, (5_000, 7_500)),
    "priority": Setting({"priority": 2}, ideal_of_first, (5_000, 0), {"strategy": "active_passive"}),
    "capacity": Setting({"capacity": 100}, high_loads, (0, 1)),
    "zone": Setting({"zone": "west"}, in_list(zone="west"), (False, True)),
    "tags": Setting({"tags": "blue"}, in_list(tag="blue"), (False, True)),
    **{override.name: FAILOVER[override.name] for override in fields(types.HealthPolicy)},
}


def see(setting: Setting, fleet: Fleet, client: Client, save: Callable[[Mapping[str, Any]], Any]) -> tuple[object, object]:
    """Save what comes first, look, save the change, look again."""
    if setting.first:
        assert save(setting.first).status_code == 302
    before = setting.look(fleet, client)
    answer = save({**setting.first, **setting.change})
    assert answer.status_code == 302, errors(answer)
    return before, setting.look(fleet, client)


@pytest.mark.parametrize("name", BREAKER)
def test_each_field_of_a_breaker_policy_has_an_effect(root: Client, fleet: Fleet, name: str) -> None:
    policy = fleet.pool.breaker_policy
    assert see(BREAKER[name], fleet, root, lambda given: save(root, policy, given)) == BREAKER[name].seen


@pytest.mark.parametrize("name", FAILOVER)
def test_each_field_of_a_failover_policy_has_an_effect(root: Client, fleet: Fleet, name: str) -> None:
    policy = fleet.pool.failover_policy
    assert see(FAILOVER[name], fleet, root, lambda given: save(root, policy, given)) == FAILOVER[name].seen


@pytest.mark.parametrize("name", POOL)
def test_each_field_of_a_pool_has_an_effect(root: Client, fleet: Fleet, name: str) -> None:
    others = {
        "breaker_policy": BreakerPolicy.objects.create(name="other", timeout=7).pk,
        "failover_policy": FailoverPolicy.objects.create(name="other", interval=33).pk,
    }
    change = {field: others.get(field, value) for field, value in POOL[name].change.items()}
    setting = POOL[name]._replace(change=change)
    assert see(setting, fleet, root, lambda given: save(root, fleet.pool, given)) == setting.seen


@pytest.mark.parametrize("name", NODE)
def test_each_field_of_a_node_has_an_effect(root: Client, fleet: Fleet, name: str) -> None:
    first = {**NODE[name].first}
    if strategy := first.pop("strategy", None):
        Pool.objects.update(strategy=strategy)
    setting = NODE[name]._replace(first=first)
    address = page("node", "change", fleet.first.pk)
    assert see(setting, fleet, root, lambda given: root.post(address, node_form(fleet.first, **given))) == setting.seen


def test_a_node_joins_the_pool_that_was_chosen(root: Client, fleet: Fleet) -> None:
    root.post(page("node", "add"), node_form(None, pool=fleet.pool, name="gamma", address="gamma.example"))
    assert [node.name for node in engine_pool(fleet.pool).members] == ["alpha", "beta", "gamma"]


def test_the_tables_name_every_field_of_the_forms() -> None:
    assert set(BREAKER) == set(BreakerPolicyForm.base_fields)
    assert set(FAILOVER) == set(FailoverPolicyForm.base_fields)
    assert set(POOL) == {*PoolForm.base_fields, "runbook"}
    assert {*NODE, "pool"} == set(NodeForm.base_fields)
