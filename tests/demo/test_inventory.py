"""The demo in the inventory: added once, marked, and taken out by one click."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import Group, User
from django.test import Client
from django.urls import reverse

from alerts.models import Destination
from failover_console import demo
from nodes.models import Check, Event, Node, Pool

pytestmark = pytest.mark.django_db


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

    answer = client.post(reverse("demo:remove"), follow=True)

    assert "The demo fleet is removed" in answer.content.decode()
    assert not demo.installed()
    assert not Pool.objects.filter(removed_at=None).exists()
    assert not Destination.objects.filter(removed_at=None).exists()
    assert "Demo fleet." not in client.get(reverse("nodes:dashboard")).content.decode()
    assert Event.objects.filter(type="node_removed", actor="admin").count() == 9


def test_a_look_does_not_remove_it() -> None:
    demo.add()

    assert browser("admin").get(reverse("demo:remove")).status_code == 405
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
