"""Edits: recorded as events, never a reset of live state, secrets never shown, what cannot work refused with a sentence."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from nodes.models import Check, Event, Node, NodeState, Pool
from nodes.models.checks import push_digest
from tests.admin.conftest import Fleet, errors, node_form, page, said


def edit(client: Client, node: Node, *checks: dict[str, Any], **changed: Any) -> Any:
    return client.post(page("node", "change", node.pk), node_form(node, *checks, **changed), follow=True)


def latest_edit() -> dict[str, Any]:
    return Event.objects.filter(type="config_changed").latest("pk").detail


def test_an_edit_is_an_event_with_who_what_before_and_after(admin: Client, fleet: Fleet) -> None:
    edit(admin, fleet.first, weight=250)
    event = Event.objects.get(type="config_changed")
    assert (event.actor, event.node, event.pool) == ("ada", fleet.first, fleet.pool)
    assert (event.detail["before"], event.detail["after"]) == ({"Weight": "100"}, {"Weight": "250"})


def test_saving_without_a_change_records_nothing(admin: Client, fleet: Fleet) -> None:
    edit(admin, fleet.first)
    assert not Event.objects.exists()


def test_an_edit_never_resets_live_state(admin: Client, fleet: Fleet) -> None:
    NodeState.objects.filter(node=fleet.second).update(
        fails=2, share=4_999, breaker_state="half_open", breaker_failures=3, token=77
    )
    before = NodeState.objects.filter(node=fleet.second).values(
        "fails", "share", "breaker_state", "breaker_failures", "token", "health"
    )
    kept = before.get()
    edit(admin, fleet.second, zone="west", interval=30)
    assert Node.objects.get(pk=fleet.second.pk).zone == "west"
    assert before.get() == kept


def test_a_new_node_gets_its_state_and_its_event(admin: Client, fleet: Fleet) -> None:
    form = node_form(None, pool=fleet.pool, name="gamma", address="gamma.example")
    response = admin.post(page("node", "add"), form, follow=True)
    node = Node.objects.get(name="gamma")
    assert response.status_code == 200
    assert (node.state.health, node.state.share) == ("unknown", 0)
    assert node.checks.get().kind == "http"
    assert Event.objects.filter(type="node_added", node=node, actor="ada").exists()


def test_a_node_stays_in_its_pool(admin: Client, fleet: Fleet) -> None:
    body = admin.get(page("node", "change", fleet.first.pk)).content.decode()
    assert 'name="pool"' not in body


def test_headers_go_in_and_never_come_out(admin: Client, fleet: Fleet) -> None:
    edit(admin, fleet.first, {"request_headers": "X-Key: hunter2"})
    assert fleet.first.checks.get().headers == "X-Key: hunter2"
    body = admin.get(page("node", "change", fleet.first.pk)).content.decode()
    assert "Set, hidden" in body
    assert "hunter2" not in body
    assert latest_edit()["after"] == {"http check: Request headers": "changed"}


def test_headers_left_empty_are_kept(admin: Client, fleet: Fleet) -> None:
    Check.objects.filter(node=fleet.first).update(headers="X-Key: hunter2")
    edit(admin, fleet.first, {"request_headers": "", "path": "/health"})
    check = fleet.first.checks.get()
    assert (check.headers, check.path) == ("X-Key: hunter2", "/health")


def test_headers_can_be_forgotten(admin: Client, fleet: Fleet) -> None:
    Check.objects.filter(node=fleet.first).update(headers="X-Key: hunter2")
    edit(admin, fleet.first, {"clear_headers": "on"})
    assert fleet.first.checks.get().headers == ""


def test_a_push_check_gets_a_secret_that_is_shown_once(admin: Client, fleet: Fleet) -> None:
    response = edit(admin, fleet.first, {"kind": "push"})
    shown = said(response)
    found = re.search(r"Authorization: Bearer ([\w-]{20,})", shown)
    assert found is not None
    assert push_digest(found[1]) == fleet.first.checks.get().push_digest
    assert f"/push/{fleet.first.pk}/ with it" in shown
    assert "/push/" not in said(edit(admin, fleet.first, {"kind": "push", "grace": 9}))


def test_a_new_push_secret_replaces_the_old_one(admin: Client, fleet: Fleet) -> None:
    edit(admin, fleet.first, {"kind": "push"})
    old = fleet.first.checks.get().push_digest
    edit(admin, fleet.first, {"kind": "push", "new_secret": "on"})
    assert fleet.first.checks.get().push_digest != old
    assert latest_edit()["after"] == {"push check: Push secret": "changed"}


@pytest.mark.parametrize(
    ("checks", "sentence"),
    [
        ([{"DELETE": "on"}], "A node needs a check"),
        ([{}, {"kind": "tcp"}], "Several checks need a composite check"),
        ([{"kind": "composite"}], "add at least one"),
        ([{"kind": "composite"}, {"kind": "composite"}, {}], "one composite check at the most"),
        ([{"kind": "composite"}, {"kind": "push"}, {"kind": "push"}], "one push check at the most"),
        ([{"path": "no slash"}], "A path begins with /"),
        ([{"request_headers": "no colon"}], "Line 1 is not"),
        ([{"request_headers": "A: b\nX: bell\x07"}], "Line 2 is not"),
        ([{"request_headers": "Host: elsewhere"}], "written by the check itself"),
    ],
)
def test_checks_that_cannot_work_are_refused(admin: Client, fleet: Fleet, checks: list[dict[str, Any]], sentence: str) -> None:
    assert sentence in errors(edit(admin, fleet.first, *checks))
    assert not Event.objects.exists()


def test_a_status_set_that_nobody_can_read_is_refused(admin: Client, fleet: Fleet) -> None:
    assert "expected_status" in errors(edit(admin, fleet.first, {"expected_status": "fine"}))


def test_a_composite_with_children_is_accepted(admin: Client, fleet: Fleet) -> None:
    edit(admin, fleet.first, {"kind": "composite", "quorum": "any"}, {"kind": "tcp"}, {"kind": "tls"})
    assert sorted(fleet.first.checks.values_list("kind", flat=True)) == ["composite", "tcp", "tls"]
    assert latest_edit()["after"]["tls check: Kind"] == "tls"


@pytest.mark.parametrize("address", ["http://alpha.example", "alpha .example", "alpha.example/health"])
def test_an_address_is_a_host_and_nothing_else(admin: Client, fleet: Fleet, address: str) -> None:
    assert "Only the host name or IP address" in errors(edit(admin, fleet.first, address=address))


def test_a_node_that_overrides_the_interval_below_the_timeout_is_refused(admin: Client, fleet: Fleet) -> None:
    refused = errors(edit(admin, fleet.first, interval=2, check_timeout=3))
    assert "timeout" in refused
    assert Node.objects.get(pk=fleet.first.pk).interval is None


def test_weight_nought_is_saved_with_a_warning(admin: Client, fleet: Fleet) -> None:
    assert "never receives traffic" in said(edit(admin, fleet.first, weight=0))


def test_a_page_opens_when_the_key_of_its_secret_is_gone(admin: Client, fleet: Fleet, settings: Any) -> None:
    Check.objects.filter(node=fleet.first).update(headers="X-Key: hunter2")
    settings.ENCRYPTION_KEYS = ["MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE="]
    assert admin.get(page("node", "change", fleet.first.pk)).status_code == 200
    edit(admin, fleet.first, {"request_headers": "X-Key: new"})
    assert fleet.first.checks.get().headers == "X-Key: new"


def latest_message() -> str:
    return Event.objects.filter(type="config_changed").latest("pk").message


def test_what_is_added_is_told_as_added_by_the_labels_of_its_form(admin: Client, fleet: Fleet) -> None:
    given = {"name": "Edge", "slug": "edge", "strategy": "weighted"}
    policies = {"breaker_policy": fleet.pool.breaker_policy_id, "failover_policy": fleet.pool.failover_policy_id}
    admin.post(page("pool", "add"), given | policies)
    assert latest_message() == "ada added pool Edge: Breaker policy, Failover policy, Name, Slug"
    admin.post(page("node", "add"), node_form(None, pool=fleet.pool, name="gamma", address="gamma.example"))
    assert latest_message() == "ada added node gamma: Address, Name, Pool, Port, http check: Kind"


def test_an_edit_names_fields_by_their_labels(admin: Client, fleet: Fleet) -> None:
    edit(admin, fleet.first, {"expected_status": "204"}, check_timeout=1)
    assert latest_message() == "ada edited node alpha: Check timeout, http check: Expected status"


@pytest.mark.parametrize(
    ("address", "sentence"),
    [
        ("alpha.example:8080", "write alpha.example here and 8080 there"),
        ("[::1]:8080", "write [::1] here and 8080 there"),
        ("10.0.0.1:80", "write 10.0.0.1 here and 80 there"),
        ("user@alpha.example", "no host name and no IP address"),
        ("a..b", "each part between dots"),
        ("straße.example", "write the name as DNS has it"),
    ],
)
def test_an_address_that_is_none_is_refused_with_what_to_do(admin: Client, fleet: Fleet, address: str, sentence: str) -> None:
    assert sentence in errors(edit(admin, fleet.first, address=address))


@pytest.mark.parametrize("address", ["[2001:db8::1]", "2001:db8::1", "bücher.example", "under_score.example", "10.0.0.1"])
def test_names_and_addresses_of_every_kind_are_taken(admin: Client, fleet: Fleet, address: str) -> None:
    edit(admin, fleet.first, address=address)
    assert Node.objects.get(pk=fleet.first.pk).address == address.strip("[]")


@pytest.mark.parametrize(
    ("check", "port"),
    [({}, 80), ({"use_tls": "on"}, 443), ({"kind": "tls"}, 443), ({"kind": "tcp", "port": 5432}, 5432)],
)
def test_the_port_of_a_new_node_follows_the_scheme(admin: Client, fleet: Fleet, check: dict[str, Any], port: int) -> None:
    form = node_form(None, check, pool=fleet.pool, name="gamma", address="gamma.example", port="")
    admin.post(page("node", "add"), form)
    assert Node.objects.get(name="gamma").port == port
    body = admin.get(page("node", "add")).content.decode()
    assert 'value="443"' not in body


def test_a_check_without_a_scheme_needs_a_port(admin: Client, fleet: Fleet) -> None:
    form = node_form(None, {"kind": "tcp"}, pool=fleet.pool, name="gamma", address="gamma.example", port="")
    assert "Give the node its port" in errors(admin.post(page("node", "add"), form))


def test_plain_http_on_the_port_of_https_is_said(admin: Client, fleet: Fleet) -> None:
    assert "Plain HTTP is asked on port 443" in said(edit(admin, fleet.first, zone="west"))


def test_a_removed_pool_is_not_offered(admin: Client, fleet: Fleet) -> None:
    Pool.objects.create(
        name="Gone",
        slug="gone",
        removed_at="2026-01-01T00:00Z",
        breaker_policy=fleet.pool.breaker_policy,
        failover_policy=fleet.pool.failover_policy,
    )
    assert "Gone" not in admin.get(page("node", "add")).content.decode()
    for name in ("nodes:events", "nodes:incidents"):
        assert "Gone" not in admin.get(reverse(name)).content.decode()
        assert "Gone" in admin.get(reverse(name), {"pool": "gone"}).content.decode()  # its history is kept


def test_the_address_of_a_push_check_inside_a_composite_is_shown_once(admin: Client, fleet: Fleet) -> None:
    assert "/push/" in said(edit(admin, fleet.first, {"kind": "composite"}, {"kind": "tcp"}, {"kind": "push"}))
