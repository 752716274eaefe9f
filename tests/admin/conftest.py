"""A small fleet and one browser for each role."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import pytest
from django.contrib.auth.models import Group, User
from django.forms.models import model_to_dict
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from nodes.models import BreakerPolicy, Check, FailoverPolicy, Health, Node, NodeState, Pool, PoolState


class Fleet(NamedTuple):
    pool: Pool
    first: Node
    second: Node


def add_node(pool: Pool, name: str, **declared: Any) -> Node:
    node = Node.objects.create(pool=pool, name=name, address=f"{name}.example", **declared)
    Check.objects.create(node=node)
    NodeState.objects.create(
        node=node,
        pool_id=pool.pk,
        due_at=timezone.now(),
        health=Health.HEALTHY,
        ever_able=True,
        share=5_000,
        observed_at=timezone.now(),
    )
    return node


@pytest.fixture
def fleet(db: None) -> Fleet:
    pool = Pool.objects.create(
        name="API",
        slug="api",
        breaker_policy=BreakerPolicy.objects.create(name="breaker"),
        failover_policy=FailoverPolicy.objects.create(name="failover"),
    )
    PoolState.objects.create(pool=pool, epoch=3)
    return Fleet(pool, add_node(pool, "alpha", zone="north", tags=["gpu"]), add_node(pool, "beta", zone="south"))


def _browser(name: str, group: str = "", **user: Any) -> Client:
    person = User.objects.create_user(name, password="-", **user)
    if group:
        person.groups.add(Group.objects.get(name=group))
    client = Client()
    client.force_login(person)
    return client


@pytest.fixture
def viewer(db: None) -> Client:
    return _browser("vera", "viewer")


@pytest.fixture
def operator(db: None) -> Client:
    return _browser("otto", "operator")


@pytest.fixture
def admin(db: None) -> Client:
    return _browser("ada", "admin")


@pytest.fixture
def root(db: None) -> Client:
    return _browser("root", is_superuser=True, is_staff=True)


def page(model: str, kind: str = "changelist", *args: Any) -> str:
    return reverse(f"admin:{'auth' if model in ('user', 'group') else 'nodes'}_{model}_{kind}", args=args)


def said(response: Any) -> str:
    """The messages that the page shows, one a line."""
    return "\n".join(str(message) for message in response.context["messages"])


def errors(response: Any) -> str:
    """What the form and its formsets refuse, as text."""
    formsets = [inline.formset for inline in response.context["inline_admin_formsets"]]
    refused = [str(response.context["adminform"].form.errors), *(str(f.errors) + str(f.non_form_errors()) for f in formsets)]
    return " ".join(refused)


def node_form(node: Node | None = None, *checks: dict[str, Any], pool: Pool | None = None, **changed: Any) -> dict[str, Any]:
    """What a browser posts for a node: its fields, then its checks (by default the stored ones or one plain check)."""
    names = ("name", "address", "port", "weight", "priority", "zone")
    stored = {name: getattr(node, name) for name in names} if node else {"port": 443, "weight": 100, "priority": 1, "zone": ""}
    posted = {**stored, "tags": ",".join(node.tags) if node else "", **({"pool": pool.pk} if pool else {})}
    known = list(node.checks.defer("headers", "client_key")) if node else []
    rows = list(checks) or [{} for _ in known] or [{}]
    prefix = {
        "checks-TOTAL_FORMS": len(rows),
        "checks-INITIAL_FORMS": len(known),
        "checks-MIN_NUM_FORMS": 0,
        "checks-MAX_NUM_FORMS": 1000,
    }
    for index, row in enumerate(rows):
        plain = {
            "kind": "http", "method": "GET", "path": "/", "expected_status": "200-299", "verify_tls": "on",
            "certificate_days": 14, "grace": 5.0, "quorum": "all", "warn_status": "429", "json_operator": "eq",
        }  # fmt: skip
        if index < len(known):
            plain |= {"id": known[index].pk, "node": known[index].node_id}
        prefix |= {f"checks-{index}-{name}": value for name, value in (plain | row).items()}
    return {**posted, **prefix, **changed}


def posted(instance: Any, **changed: Any) -> dict[str, Any]:
    """What a browser posts for a row: its stored fields, with these changed; an unticked box and an empty field are left out."""
    stored = {name: value for name, value in model_to_dict(instance).items() if name != "id"} | changed
    return {name: value for name, value in stored.items() if value is not None and value is not False and value != ""}


def save(client: Client, instance: Any, given: Mapping[str, Any]) -> Any:
    """Change a row by its form; the answer."""
    stored = type(instance).objects.get(pk=instance.pk)
    return client.post(page(instance._meta.model_name, "change", instance.pk), posted(stored, **given))
