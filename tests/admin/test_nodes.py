"""The list and the page of nodes: live state, filters, panels."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.utils import timezone

from nodes.models import Event, NodeState
from tests.admin.conftest import Fleet, add_node, page


def names(response: Any) -> set[str]:
    return {node.name for node in response.context["cl"].result_list}


def test_the_list_shows_live_state(operator: Client, fleet: Fleet) -> None:
    NodeState.objects.filter(node=fleet.first).update(health="failed", breaker_state="open", share=3_334, admin_state="maintenance")
    body = operator.get(page("node")).content.decode()
    for word in ("failed", "open", "33.34\N{NO-BREAK SPACE}%", "maintenance", "alpha.example:443"):
        assert word in body


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ({"state__health__exact": "failed"}, {"alpha"}),
        ({"state__breaker_state__exact": "open"}, {"alpha"}),
        ({"state__admin_state__exact": "draining"}, {"alpha"}),
        ({"zone": "south"}, {"beta"}),
        ({"tag": "gpu"}, {"alpha"}),
        ({"q": "beta.exam"}, {"beta"}),
        ({"q": "API"}, {"alpha", "beta"}),
    ],
)
def test_the_list_can_be_narrowed(operator: Client, fleet: Fleet, query: dict[str, str], found: set[str]) -> None:
    NodeState.objects.filter(node=fleet.first).update(health="failed", breaker_state="open", admin_state="draining")
    assert names(operator.get(page("node"), query)) == found


def test_more_nodes_take_no_more_queries(operator: Client, fleet: Fleet, django_assert_max_num_queries: Any) -> None:
    for number in range(30):
        add_node(fleet.pool, f"more-{number}")
    with django_assert_max_num_queries(14):
        assert len(names(operator.get(page("node")))) == 32


def test_a_removed_node_is_not_listed(operator: Client, fleet: Fleet) -> None:
    fleet.first.removed_at = timezone.now()
    fleet.first.save(update_fields=["removed_at"])
    assert names(operator.get(page("node"))) == {"beta"}


def test_the_page_shows_the_last_checks_and_events(admin: Client, fleet: Fleet) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO nodes_checkresult VALUES (%s, %s, 'f', 0.25, 'refused: <b>nobody</b> listens')",
            [fleet.first.pk, timezone.now()],
        )
    Event.objects.create(
        at=timezone.now(),
        type="node_degraded",
        severity="info",
        pool=fleet.pool,
        node=fleet.first,
        actor="engine",
        message="alpha is slow",
    )
    body = admin.get(page("node", "change", fleet.first.pk)).content.decode()
    assert "refused: &lt;b&gt;nobody&lt;/b&gt; listens" in body
    assert "250\N{NO-BREAK SPACE}ms" in body
    assert "alpha is slow" in body


def test_a_pool_lists_its_nodes_with_the_way_to_each(admin: Client, fleet: Fleet) -> None:
    body = admin.get(page("pool", "change", fleet.pool.pk)).content.decode()
    assert page("node", "change", fleet.first.pk) in body
    assert "50.00\N{NO-BREAK SPACE}%" in body


def test_the_list_of_pools_counts_the_healthy_nodes(admin: Client, fleet: Fleet) -> None:
    NodeState.objects.filter(node=fleet.first).update(health="failed")
    assert "1 of 2" in admin.get(page("pool")).content.decode()
