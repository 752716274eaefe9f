"""What would do nothing is refused by its form, in a sentence, or said."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from django.test import Client

from tests.admin.conftest import Fleet, add_node, errors, node_form, page, save

IDLE_BREAKER: dict[str, Mapping[str, Any]] = {
    "Nothing makes the wait longer": {"max_timeout": 60},
    "A timeout of 0 does not grow": {"timeout": 0, "jitter": 0.5},
    "The wait cannot grow": {"timeout": 400, "timeout_multiplier": 2},
    "It counts with a rate alone": {"minimum_calls": 50},
    "No duration is longer than a year": {"timeout": 1e300},
}
IDLE_FAILOVER: dict[str, Mapping[str, Any]] = {
    "Nothing is rebalanced at an interval": {"auto_rebalance": False, "rebalance_interval": 20},
    "No answer is ever that slow": {"degraded_latency": 6},
    "No duration is longer than a year": {"cooldown": 1e300},
}


@pytest.mark.parametrize("sentence", IDLE_BREAKER)
def test_what_does_nothing_in_a_breaker_policy_is_refused(root: Client, fleet: Fleet, sentence: str) -> None:
    assert sentence in errors(save(root, fleet.pool.breaker_policy, IDLE_BREAKER[sentence]))


@pytest.mark.parametrize("sentence", IDLE_FAILOVER)
def test_what_does_nothing_in_a_failover_policy_is_refused(root: Client, fleet: Fleet, sentence: str) -> None:
    assert sentence in errors(save(root, fleet.pool.failover_policy, IDLE_FAILOVER[sentence]))


def test_what_does_nothing_for_a_node_is_refused(root: Client, fleet: Fleet) -> None:
    address = page("node", "change", fleet.first.pk)
    assert "Tiers count in an active/passive pool" in errors(root.post(address, node_form(fleet.first, priority=2)))
    pushed = root.post(address, node_form(fleet.first, {"kind": "push"}, degraded_latency=0.5))
    assert "No answer of a push check is slow" in errors(pushed)


def test_a_weight_that_brings_nothing_is_said(root: Client, fleet: Fleet) -> None:
    add_node(fleet.pool, "gamma", weight=10_000)
    add_node(fleet.pool, "delta", weight=10_000)
    answer = root.post(page("node", "change", fleet.first.pk), node_form(fleet.first, weight=1), follow=True)
    assert "receives no traffic beside the others" in "\n".join(map(str, answer.context["messages"]))
