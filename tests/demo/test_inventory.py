"""The demo in the inventory: added once, marked, and taken out by one click."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import Group, User
from django.test import Client
from django.urls import reverse

from alerts.models import Destination
from failover_console import demo
from failover_console.demo import inventory, ports
from failover_console.demo.identity import identity
from failover_console.demo.layout import SLACK_PATH
from nodes.models import Check, Event, Node, Pool
from tests.pressing import press

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def data_directory(tmp_path: Path, settings: Any) -> Path:
    """Where this test's demo remembers its ports."""
    settings.DATA_DIR = tmp_path
    return tmp_path


def browser(role: str) -> Client:
    person = User.objects.create_user(role)
    person.groups.add(Group.objects.get(name=role))
    client = Client()
    client.force_login(person)
    return client


def test_it_is_added_once() -> None:
    for _ in range(2):
        demo.add()

    assert dict(Pool.objects.values_list("slug", "strategy")) == {"api": "weighted", "db": "active_passive", "models": "weighted"}
    assert Node.objects.count() == Check.objects.count() == 9
    assert sorted(Destination.objects.values_list("kind", flat=True)) == ["pagerduty", "slack"]
    assert demo.installed()


def test_the_console_says_that_there_is_a_demo_and_only_an_admin_may_remove_it() -> None:
    demo.add()

    for role, sees in (("viewer", False), ("operator", False), ("admin", True)):
        client = browser(role)
        body = client.get(reverse("nodes:dashboard")).content.decode()
        assert "Demo fleet." in body
        assert ("Remove the demo" in body) is sees
        if not sees:
            assert client.post(reverse("demo:remove")).status_code == 403
    assert demo.installed()


def test_one_click_takes_it_out_and_keeps_its_history() -> None:
    demo.add()
    client = browser("admin")

    answer = press(client, reverse("demo:remove"), script=False)

    assert "The demo fleet is removed" in answer.content.decode()
    assert not demo.installed()
    assert not Pool.objects.filter(removed_at=None).exists()
    assert not Destination.objects.filter(removed_at=None).exists()
    assert "Demo fleet." not in client.get(reverse("nodes:dashboard")).content.decode()
    assert Event.objects.filter(type="node_removed", actor="admin").count() == 9


def test_a_look_does_not_remove_it() -> None:
    demo.add()

    client = browser("admin")
    assert "Remove the demo?" in client.get(reverse("demo:remove")).content.decode()
    assert client.post(reverse("demo:remove"), {"offered": "of another day"}).status_code == 409
    assert demo.installed()


def test_a_node_of_ones_own_in_a_demo_pool_stays_with_its_pool() -> None:
    demo.add()
    pool = Pool.objects.get(slug="api")
    mine = Node.objects.create(pool=pool, name="mine", address="10.0.0.1")
    pool.refresh_from_db()

    demo.remove()

    assert not demo.installed()
    assert list(Pool.objects.filter(removed_at=None)) == [pool]
    assert Node.objects.get(removed_at=None) == mine


def test_it_can_be_added_again_after_it_was_removed() -> None:
    demo.add()
    demo.remove()

    demo.add()

    assert Node.objects.filter(removed_at=None).count() == 9


def test_its_nodes_checks_and_receiver_follow_a_port_that_moved(data_directory: Path) -> None:
    demo.add()
    moved = ports.remembered(data_directory)
    moved |= {"api-2": moved["api-2"] + 1, "receiver": moved["receiver"] + 1}

    inventory.lead_to(moved)

    assert inventory.ports() == {name: port for name, port in moved.items() if name not in ("switches", "receiver")}
    receiver = f"http://127.0.0.1:{moved['receiver']}"
    slack, pagerduty = Destination.objects.order_by("-kind")
    assert (slack.address, pagerduty.base_url) == (receiver + SLACK_PATH, receiver)
    told = Event.objects.filter(type="config_changed", actor="demo").order_by("id").values_list("message", flat=True)
    assert list(told) == [
        "demo edited node api-2: port",
        "demo edited destination Demo Slack: address",
        "demo edited destination Demo PagerDuty: base_url",
    ]


def test_what_leads_there_already_or_was_pointed_elsewhere_stays(data_directory: Path) -> None:
    demo.add()
    Node.objects.filter(name="api-1").update(address="10.0.0.5", port=443)
    Check.objects.filter(node__name="api-2").update(body_contains="all is well")
    Destination.objects.filter(kind="pagerduty").update(base_url="https://events.eu.pagerduty.com")

    inventory.lead_to(ports.remembered(data_directory))

    assert Node.objects.get(name="api-1").port == 443
    assert Check.objects.get(node__name="api-2").body_contains == "all is well"
    assert Destination.objects.get(kind="pagerduty").base_url == "https://events.eu.pagerduty.com"
    assert not Event.objects.filter(type="config_changed").exists()


def test_the_checks_ask_for_our_own_servers_also_after_the_directory_moved(settings: Any, data_directory: Path) -> None:
    demo.add()
    before = identity()
    settings.DATA_DIR = data_directory / "elsewhere"

    inventory.lead_to(ports.remembered(data_directory))

    assert identity() != before
    assert set(Check.objects.values_list("body_contains", flat=True)) == {identity()}


def test_the_banner_leads_to_our_own_switches_and_to_nobody_elses(data_directory: Path) -> None:
    demo.add()
    client = browser("viewer")
    switches = f"http://127.0.0.1:{ports.remembered(data_directory)['switches']}/?of=demo+"
    assert switches in client.get(reverse("nodes:dashboard")).content.decode()

    Node.objects.update(port=1)  # another console on this database runs the servers

    assert "Demo fleet." not in client.get(reverse("nodes:dashboard")).content.decode()
