"""One action for many nodes and pools: asked with all of its consequence, done in one go or not at all, undone the same way."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from urllib.parse import parse_qs, urlsplit

import pytest
from django.test import Client
from django.urls import reverse

from nodes import operations
from nodes.engine.enums import AdminState
from nodes.models import Event, Node, NodeState, Pool, PoolState
from tests.pages import fleet

ADDRESS = "/together/"
FRAGMENT = {"HX-Request": "true", "HX-Target": "asking"}
_OFFERED = re.compile(r'name="offered" value="(\w*)"')


@pytest.fixture
def two(db: None, now: datetime) -> dict[str, int]:
    """Two healthy pools of three nodes; the ids of all nodes by name."""
    for name in ("east", "west"):
        fleet.rounds(fleet.pool(name, name, [f"{name}-{n}" for n in (1, 2, 3)], now), now - timedelta(seconds=20), 3)
    return dict(Node.objects.values_list("name", "pk"))


def asked(client: Client, **fields: object) -> str:
    answer = client.get(ADDRESS, fields, headers=FRAGMENT)
    assert answer.status_code == 200, answer.content
    return answer.content.decode()


def pressed(client: Client, dialog: str, **fields: object) -> str:
    offered = _OFFERED.search(dialog)
    assert offered, dialog
    answer = client.post(ADDRESS, {**fields, "offered": offered.group(1)}, headers=FRAGMENT)
    return str(answer.content.decode())


def states(*names: str) -> set[str]:
    return set(NodeState.objects.filter(node__name__in=names).values_list("admin_state", flat=True))


def shares() -> dict[str, int]:
    return dict(NodeState.objects.values_list("node__name", "share"))


def test_many_are_drained_in_one_go_and_undone(operator: Client, two: dict[str, int]) -> None:
    fields = {"action": "drain", "node": [two["east-1"], two["east-2"], two["west-3"]]}
    dialog = asked(operator, **fields)
    assert "Drain 3 nodes?" in dialog
    assert "<h3>east</h3>" in dialog
    assert "<h3>west</h3>" in dialog
    assert shares()["east-1"] > 0, "asking does nothing"
    told = pressed(operator, dialog, **fields)
    assert "east-1, east-2 and west-3 are draining now; the share of east-1, east-2 and west-3 has moved." in told
    assert states("east-1", "east-2", "west-3") == {"draining"}
    assert shares() | {"west-1": 0, "west-2": 0} == dict.fromkeys(two, 0) | {"east-3": 10_000}
    undo = re.search(r'href="(/together/[^"]*)"', told)
    assert undo
    back = parse_qs(urlsplit(undo.group(1).replace("&amp;", "&")).query)
    again = {"action": back["action"][0], "node": back["node"]}
    pressed(operator, asked(operator, **again), **again)
    assert states(*two) == {"enabled"}


def test_a_pool_stands_for_its_nodes_and_who_is_so_already_is_told(operator: Client, two: dict[str, int]) -> None:
    operations.set_admin_state(two["east-3"], AdminState.MAINTENANCE, actor="li")
    east = Pool.objects.get(slug="east")
    operations.set_admin_state(two["east-2"], AdminState.MAINTENANCE, actor="li")
    fields = {"action": "enable", "pool": east.pk}
    told = pressed(operator, asked(operator, **fields), **fields)
    assert "east-2 and east-3 are enabled now; east-1 was so already." in told
    assert states("east-1", "east-2", "east-3") == {"enabled"}
    assert "so already" in operator.get(ADDRESS, fields, headers=FRAGMENT).content.decode() or "already" in asked(
        operator, **fields
    )


def test_what_would_leave_a_pool_without_traffic_is_refused_as_a_whole(operator: Client, two: dict[str, int]) -> None:
    fields = {"action": "drain", "node": [two["west-1"]], "pool": Pool.objects.get(slug="east").pk}
    dialog = asked(operator, **fields)
    assert "No other node is eligible" in dialog
    assert 'name="confirmed"' not in dialog
    operator.post(ADDRESS, {**fields, "offered": "of a while ago"}, headers=FRAGMENT)
    assert states(*two) == {"enabled"}


def test_nothing_of_it_is_done_when_any_of_it_would_be_something_else_by_now(operator: Client, two: dict[str, int]) -> None:
    fields = {"action": "drain", "node": [two["east-1"], two["west-1"]]}
    dialog = asked(operator, **fields)
    operations.set_admin_state(two["west-2"], AdminState.DRAINING, actor="li")
    events = Event.objects.count()
    again = pressed(operator, dialog, **fields)
    assert "has changed since you asked" in again
    assert states("east-1", "west-1") == {"enabled"}
    assert Event.objects.count() == events
    assert states("east-1", "west-1") == {"enabled"}
    pressed(operator, again, **fields)
    assert states("east-1", "west-1") == {"draining"}


def test_pools_are_paused_together_with_a_reason_and_undone(operator: Client, two: dict[str, int]) -> None:
    pools = list(Pool.objects.values_list("pk", flat=True))
    fields = {"action": "pause", "pool": pools}
    dialog = asked(operator, **fields)
    assert "Give a reason" in pressed(operator, dialog, **fields)
    told = pressed(operator, dialog, **fields, reason="change freeze", duration="900")
    assert "east and west: Automation is paused" in told
    assert {held["reason"] for held in PoolState.objects.values_list("paused", flat=True)} == {"change freeze"}
    assert "action=resume" in told
    resume = {"action": "resume", "pool": pools}
    pressed(operator, asked(operator, **resume), **resume)
    assert set(PoolState.objects.values_list("paused", flat=True)) == {None}


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"action": "drain"}, "Tick the pools or nodes first"),
        ({"action": "drain", "node": "x"}, "knows no such pool or node"),
        ({"action": "drain", "node": "9" * 30}, "knows no such pool or node"),
        ({"action": "drain", "node": "404404"}, "Tick the pools or nodes first"),
        ({"action": "explode", "node": "1"}, "knows no such action"),
        ({"action": "drain", "node": [str(n) for n in range(1, 500)]}, ""),
    ],
)
def test_what_cannot_be_is_a_sentence(operator: Client, two: dict[str, int], fields: dict[str, object], said: str) -> None:
    answer = operator.get(ADDRESS, fields, headers=FRAGMENT)
    assert answer.status_code in (200, 409)
    assert said in answer.content.decode()
    assert states(*two) == {"enabled"}


def test_a_whole_pool_is_what_automation_is_paused_for(operator: Client, two: dict[str, int]) -> None:
    answer = operator.get(ADDRESS, {"action": "pause", "node": two["east-1"]}, headers=FRAGMENT)
    assert "Tick pools to pause automation" in answer.content.decode()


def test_only_operators_may(viewer: Client, two: dict[str, int]) -> None:
    for answer in (viewer.get(ADDRESS, {"action": "drain", "node": 1}), viewer.post(ADDRESS, {"action": "drain", "node": 1})):
        assert answer.status_code == 403
    assert Client().get(ADDRESS).status_code == 302


def test_without_script_the_dialog_is_a_page_and_the_answer_leads_back(operator: Client, two: dict[str, int]) -> None:
    fields = {"action": "drain", "node": [two["east-1"], two["west-1"]]}
    page = operator.get(ADDRESS, fields).content.decode()
    assert "<title>Drain 2 nodes?" in page
    offered = _OFFERED.search(page)
    assert offered
    answer = operator.post(ADDRESS, {**fields, "offered": offered.group(1)}, follow=True)
    assert answer.redirect_chain == [(reverse("nodes:dashboard"), 302)]
    assert "east-1 and west-1 are draining now" in answer.content.decode()
