"""Bulk actions: a reason is asked for, each node is decided on its own, and the refusal is a sentence."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import Group, User
from django.test import Client
from django.utils import timezone

from nodes.models import Event, Node, NodeState
from tests.admin.conftest import Fleet, page, said


def submit(client: Client, action: str, *nodes: Node, **more: Any) -> Any:
    form = {"action": action, "_selected_action": [node.pk for node in nodes], **more}
    return client.post(page("node"), form, follow=True)


def admin_states() -> dict[str, str]:
    return dict(NodeState.objects.values_list("node__name", "admin_state"))


@pytest.mark.parametrize("action", ["drain", "maintenance", "disable"])
def test_an_action_that_moves_traffic_asks_for_the_reason_first(operator: Client, fleet: Fleet, action: str) -> None:
    body = submit(operator, action, fleet.first).content.decode()
    assert 'name="reason"' in body
    assert admin_states()["alpha"] == "enabled"


@pytest.mark.parametrize(("action", "state"), [("drain", "draining"), ("maintenance", "maintenance"), ("disable", "disabled")])
def test_the_action_is_done_and_recorded_with_who_and_why(operator: Client, fleet: Fleet, action: str, state: str) -> None:
    response = submit(operator, action, fleet.first, apply="1", reason="new kernel")
    assert f"Now {state}: alpha." in said(response)
    assert admin_states() == {"alpha": state, "beta": "enabled"}
    event = Event.objects.get(type="admin_state_changed")
    assert (event.actor, event.node) == ("otto", fleet.first)
    assert "new kernel" in f"{event.message} {event.detail}"
    assert dict(NodeState.objects.values_list("node__name", "share")) == {"alpha": 0, "beta": 10_000}


def test_the_last_eligible_node_is_kept_unless_that_is_overridden(operator: Client, fleet: Fleet) -> None:
    response = submit(operator, "drain", fleet.first, fleet.second, apply="1", reason="all of it")
    assert "beta:" in said(response)
    assert admin_states() == {"alpha": "draining", "beta": "enabled"}
    submit(operator, "drain", fleet.second, apply="1", reason="all of it", override="on")
    assert admin_states()["beta"] == "draining"


def test_enable_needs_no_reason(operator: Client, fleet: Fleet) -> None:
    submit(operator, "drain", fleet.first, apply="1", reason="new kernel")
    assert "Now enabled: alpha." in said(submit(operator, "enable", fleet.first))
    assert admin_states()["alpha"] == "enabled"


def test_check_now_makes_nodes_due_and_leaves_disabled_ones_out(operator: Client, fleet: Fleet) -> None:
    later = timezone.now() + timedelta(hours=1)
    NodeState.objects.update(due_at=later)
    NodeState.objects.filter(node=fleet.second).update(admin_state="disabled")
    response = submit(operator, "check_now", fleet.first, fleet.second)
    assert "Nodes that are checked now: 1." in said(response)
    assert "disabled: 1" in said(response)
    assert NodeState.objects.get(node=fleet.first).due_at < later
    assert NodeState.objects.get(node=fleet.second).due_at == later


def test_staff_without_the_right_to_operate_has_no_actions(client: Client, fleet: Fleet) -> None:
    reader = User.objects.create_user("rhea", password="-", is_staff=True)
    reader.groups.add(Group.objects.get(name="viewer"))
    client.force_login(reader)
    submit(client, "drain", fleet.first, apply="1", reason="mine")
    assert admin_states()["alpha"] == "enabled"
