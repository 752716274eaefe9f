"""Policies that cannot work are refused with a sentence that says why; doubtful ones are saved with a warning."""

from __future__ import annotations

from typing import Any

from django.forms.models import model_to_dict
from django.test import Client

from nodes.models import BreakerPolicy, Event, FailoverPolicy, Node
from tests.admin.conftest import Fleet, errors, page


def save(client: Client, policy: BreakerPolicy | FailoverPolicy, **changed: Any) -> Any:
    stored = {name: value for name, value in model_to_dict(policy).items() if value is not None and value is not False}
    return client.post(page(type(policy).__name__.lower(), "change", policy.pk), stored | changed, follow=True)


def test_a_longest_wait_below_the_wait_is_refused(admin: Client, fleet: Fleet) -> None:
    assert "longest wait must not be below the timeout" in errors(
        save(admin, fleet.pool.breaker_policy, timeout=60, max_timeout=30)
    )
    assert BreakerPolicy.objects.get().timeout == 30.0


def test_a_timeout_that_reaches_the_interval_is_refused(admin: Client, fleet: Fleet) -> None:
    assert "timeout" in errors(save(admin, fleet.pool.failover_policy, interval=5, check_timeout=5))
    assert FailoverPolicy.objects.get().interval == 10.0


def test_a_policy_that_breaks_what_a_node_overrides_is_refused_by_its_name(admin: Client, fleet: Fleet) -> None:
    Node.objects.filter(pk=fleet.first.pk).update(check_timeout=4.0)
    assert "With what node alpha of API overrides" in errors(save(admin, fleet.pool.failover_policy, interval=3))


def test_a_pool_refuses_a_policy_that_its_nodes_cannot_follow(admin: Client, fleet: Fleet) -> None:
    Node.objects.filter(pk=fleet.first.pk).update(check_timeout=4.0)
    fast = FailoverPolicy.objects.create(name="fast", interval=1.0)
    pool = fleet.pool
    form = {
        "name": pool.name,
        "slug": pool.slug,
        "strategy": pool.strategy,
        "breaker_policy": pool.breaker_policy_id,
        "failover_policy": fast.pk,
    }
    assert "With what node alpha" in errors(admin.post(page("pool", "change", pool.pk), form))


def test_an_edit_of_a_policy_is_an_event(admin: Client, fleet: Fleet) -> None:
    save(admin, fleet.pool.breaker_policy, failure_threshold=7)
    detail = Event.objects.get(type="config_changed").detail
    assert (detail["before"], detail["after"]) == ({"Failure threshold": "5"}, {"Failure threshold": "7"})


def test_an_edit_of_a_pool_names_the_policies(admin: Client, fleet: Fleet) -> None:
    calm = FailoverPolicy.objects.create(name="calm", interval=60.0)
    pool = fleet.pool
    form = {
        "name": pool.name,
        "slug": pool.slug,
        "strategy": pool.strategy,
        "breaker_policy": pool.breaker_policy_id,
        "failover_policy": calm.pk,
    }
    admin.post(page("pool", "change", pool.pk), form)
    detail = Event.objects.get(type="config_changed").detail
    assert (detail["before"], detail["after"]) == ({"Failover policy": "failover"}, {"Failover policy": "calm"})


def test_a_policy_in_use_cannot_be_deleted(admin: Client, fleet: Fleet) -> None:
    admin.post(page("breakerpolicy", "delete", fleet.pool.breaker_policy_id), {"post": "yes"})
    assert BreakerPolicy.objects.exists()


def test_the_deletion_of_a_policy_is_an_event(admin: Client) -> None:
    spare = BreakerPolicy.objects.create(name="spare")
    admin.post(page("breakerpolicy", "delete", spare.pk), {"post": "yes"})
    assert not BreakerPolicy.objects.exists()
    assert Event.objects.get(type="config_changed").message == "ada deleted breaker policy spare"
