"""Removing takes a node or a pool out of service; its history stays."""

from __future__ import annotations

from django.test import Client
from django.utils import timezone

from nodes.models import Event, Node, NodeState, Pool
from tests.admin.conftest import Fleet, page, said


def test_removal_is_asked_for_first(admin: Client, fleet: Fleet) -> None:
    body = admin.get(page("node", "delete", fleet.first.pk)).content.decode()
    assert "stay in the history" in body
    assert Node.objects.get(pk=fleet.first.pk).removed_at is None


def test_a_removed_node_keeps_its_history_and_frees_its_name(admin: Client, fleet: Fleet) -> None:
    Event.objects.create(
        at=timezone.now(), type="node_degraded", severity="info", node=fleet.first, actor="engine", message="slow once"
    )
    response = admin.post(page("node", "delete", fleet.first.pk), {"reason": "scrapped"}, follow=True)
    assert "its history is kept" in said(response)
    assert Node.objects.get(pk=fleet.first.pk).removed_at is not None
    assert Event.objects.filter(message="slow once", node=fleet.first).exists()
    assert Event.objects.filter(type="node_removed", actor="ada").exists()
    assert NodeState.objects.get(node=fleet.second).share == 10_000
    Node.objects.create(pool=fleet.pool, name="alpha", address="alpha2.example")


def test_the_last_eligible_node_is_removed_only_by_override(admin: Client, fleet: Fleet) -> None:
    admin.post(page("node", "delete", fleet.first.pk), {"reason": "scrapped"})
    refused = admin.post(page("node", "delete", fleet.second.pk), {"reason": "scrapped"})
    assert refused.status_code == 200
    assert said(refused)
    assert Node.objects.get(pk=fleet.second.pk).removed_at is None
    admin.post(page("node", "delete", fleet.second.pk), {"reason": "scrapped", "override": "on"})
    assert Node.objects.get(pk=fleet.second.pk).removed_at is not None


def test_a_removed_pool_takes_its_nodes_with_it(admin: Client, fleet: Fleet) -> None:
    admin.post(page("pool", "delete", fleet.pool.pk), {"reason": "retired"})
    assert Pool.objects.get(pk=fleet.pool.pk).removed_at is not None
    assert not Node.objects.filter(removed_at=None).exists()


def test_there_is_no_bulk_removal(root: Client, fleet: Fleet) -> None:
    root.post(page("node"), {"action": "delete_selected", "_selected_action": [fleet.first.pk], "post": "yes"})
    assert Node.objects.filter(removed_at=None).count() == 2
