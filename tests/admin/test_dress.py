"""The admin as a part of the console: its overview, history beside the form, what the next node keeps, what was removed."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from nodes.models import Event, Node, NodeState, Pool
from tests.admin.conftest import Fleet, add_node, node_form, page

INDEX = "admin:index"


def body(client: Client, address: str, **query: str) -> str:
    answer = client.get(address, query)
    assert answer.status_code == 200
    return str(answer.content.decode())


def listed(client: Client, model: str, **query: str) -> set[str]:
    return {str(row) for row in client.get(page(model), query).context["cl"].result_list}


def test_the_overview_has_its_parts_in_the_order_of_setting_up(root: Client, fleet: Fleet) -> None:
    shown = body(root, reverse(INDEX))
    titles = ["Pools", "Failover policies", "Breaker policies", "Destinations", "Rules", "Users", "API tokens"]
    assert re.findall(r'<h2 id="part-\d+"><a [^>]*>([^<]+)', shown) == titles
    assert "2\N{NO-BREAK SPACE}nodes" in shown
    assert f'href="{page("node", "add")}?pool={fleet.pool.pk}"' in shown
    assert len(set(re.findall(r' id="([^"]+)"', shown))) == len(re.findall(r' id="([^"]+)"', shown))


def test_the_overview_shows_an_operator_no_users_and_nothing_to_add(operator: Client, fleet: Fleet) -> None:
    shown = body(operator, reverse(INDEX))
    assert "API tokens" not in shown
    assert page("user") not in shown
    assert "/add/" not in shown


def test_the_overview_asks_as_much_for_many_pools_as_for_few(
    root: Client, fleet: Fleet, django_assert_max_num_queries: Any
) -> None:
    body(root, reverse(INDEX))
    with django_assert_max_num_queries(20) as few:
        body(root, reverse(INDEX))
    for number in range(20):
        add_node(fleet.pool, f"more-{number}")
    with django_assert_max_num_queries(len(few)):
        body(root, reverse(INDEX))


def test_history_stands_beside_the_form_and_after_it(admin: Client, fleet: Fleet) -> None:
    Event.objects.create(
        at=timezone.now(), type="node_degraded", severity="info", pool=fleet.pool, node=fleet.first, actor="engine", message="slow"
    )
    for address in (page("node", "change", fleet.first.pk), page("pool", "change", fleet.pool.pk)):
        form, beside = body(admin, address).split('<div class="col beside">')
        assert 'name="_save"' in form
        assert "slow" in beside
        assert "slow" not in form


def test_a_state_in_the_list_has_its_shape_and_its_word(operator: Client, fleet: Fleet) -> None:
    NodeState.objects.filter(node=fleet.first).update(health="failed")
    assert re.search(r'class="state bad"><svg [^>]*><use href="[^"]*#failed"/></svg>failed', body(operator, page("node")))


def test_each_cell_of_a_list_has_the_name_of_its_column(operator: Client, fleet: Fleet) -> None:
    assert re.search(r'<td data-label="Zone"[^>]*>north</td>', body(operator, page("node")))


def test_forms_and_console_lead_to_each_other(admin: Client, fleet: Fleet) -> None:
    for model, row in (("node", fleet.first), ("pool", fleet.pool)):
        assert f'href="{row.get_absolute_url()}"' in body(admin, page(model, "change", row.pk)).partition('<div class="page')[0]
    for policy in (fleet.pool.breaker_policy, fleet.pool.failover_policy):
        assert fleet.pool.get_absolute_url() in body(admin, page(str(policy._meta.model_name), "change", policy.pk))


def test_the_next_node_keeps_what_nodes_of_a_pool_share(admin: Client, fleet: Fleet) -> None:
    told = {"port": 8443, "weight": 50, "zone": "north", "tags": "gpu,big"}
    form = node_form(None, pool=fleet.pool, name="gamma", address="gamma.example", _addanother="on", **told)
    following = admin.post(page("node", "add"), form)["Location"]
    assert urlsplit(following).path == page("node", "add")
    assert parse_qs(urlsplit(following).query)["pool"] == [str(fleet.pool.pk)]
    shown = admin.get(following).context["adminform"].form
    assert {name: str(shown[name].value()) for name in told} == {name: str(value) for name, value in told.items()}
    assert str(shown["pool"].value()) == str(fleet.pool.pk)
    assert not shown["name"].value()
    assert not shown["address"].value()


def test_a_node_is_added_to_the_pool_that_the_link_names_and_its_port_is_left_to_its_check(admin: Client, fleet: Fleet) -> None:
    shown = admin.get(page("node", "add"), {"pool": fleet.pool.pk}).context["adminform"].form
    assert (str(shown["pool"].value()), shown["port"].value()) == (str(fleet.pool.pk), None)


@pytest.fixture
def removed(fleet: Fleet) -> Node:
    Node.objects.filter(pk=fleet.first.pk).update(removed_at=timezone.now())
    return fleet.first


def test_what_was_removed_is_listed_for_who_asks(admin: Client, fleet: Fleet, removed: Node) -> None:
    Pool.objects.create(
        name="Old", slug="old", removed_at=timezone.now(), breaker_policy=fleet.pool.breaker_policy,
        failover_policy=fleet.pool.failover_policy,
    )  # fmt: skip  # one row
    assert listed(admin, "node") == {"beta"}
    assert listed(admin, "node", removed="yes") == {"alpha"}
    assert listed(admin, "pool") == {"API"}


def test_what_was_removed_is_read_and_not_edited(root: Client, fleet: Fleet, removed: Node) -> None:
    address = page("node", "change", removed.pk)
    shown = body(root, address)
    assert "nothing of it can be changed" in shown
    assert 'name="_save"' not in shown
    assert root.post(address, node_form(removed, weight=1)).status_code == 403
    assert root.post(page("node", "delete", removed.pk), {"reason": "again"}).status_code == 404
    assert Node.objects.get(pk=removed.pk).weight == removed.weight


def test_no_act_is_offered_for_what_was_removed(operator: Client, fleet: Fleet, removed: Node) -> None:
    assert 'name="action"' in body(operator, page("node"))
    assert 'name="action"' not in body(operator, page("node"), removed="yes")
    operator.post(f"{page('node')}?removed=yes", {"action": "enable", "_selected_action": [removed.pk]})
    operator.post(page("node"), {"action": "enable", "_selected_action": [removed.pk]})
    assert not Event.objects.filter(node=removed).exists()


def test_the_theme_is_the_readers_own(admin: Client, fleet: Fleet) -> None:
    assert "data-theme" not in body(admin, page("node"))
    admin.cookies["theme"] = "dark"
    shown = body(admin, page("node"))
    assert 'data-theme="dark"' in shown
    assert "admin/js/theme.js" not in shown


def test_a_token_that_is_shown_once_stays_on_the_page(admin: Client, db: None) -> None:
    given = {"name": "lb", "scopes": ["shares"], "every_pool": "on", "never_expires": "on"}
    answer = admin.post(page("apitoken", "add"), given, follow=True)
    said = re.findall(r'<li class="says [^"]*"[^>]*>.*?</li>', answer.content.decode(), re.DOTALL)
    assert any("shown only now" in each for each in said)
    assert "data-leaves" not in answer.content.decode()
