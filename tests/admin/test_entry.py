"""Who may enter the admin, and what the roles may do there."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import Group, User
from django.test import Client
from django.urls import reverse

from nodes.models import Pool
from tests.admin.conftest import Fleet, page

INDEX = "admin:index"


@pytest.mark.django_db
def test_a_stranger_is_sent_to_the_consoles_own_login(client: Client) -> None:
    response = client.get(reverse(INDEX), follow=True)
    assert reverse("account_login") in response.redirect_chain[-1][0]


def test_a_viewer_is_refused(viewer: Client) -> None:
    assert viewer.get(reverse(INDEX), follow=True).status_code == 403


@pytest.mark.django_db
@pytest.mark.parametrize("role", ["operator", "admin", "root"])
def test_operators_and_admins_enter(role: str, request: pytest.FixtureRequest) -> None:
    assert request.getfixturevalue(role).get(reverse(INDEX)).status_code == 200


@pytest.mark.parametrize("model", ["node", "pool", "breakerpolicy", "failoverpolicy", "event", "incident", "failover"])
def test_an_operator_reads_every_list(operator: Client, fleet: Fleet, model: str) -> None:
    assert operator.get(page(model)).status_code == 200


@pytest.mark.parametrize("model", ["node", "pool", "breakerpolicy", "failoverpolicy"])
def test_an_operator_adds_nothing(operator: Client, model: str) -> None:
    assert operator.get(page(model, "add")).status_code == 403


def test_an_operator_sees_a_node_without_a_field_to_write(operator: Client, fleet: Fleet) -> None:
    body = operator.get(page("node", "change", fleet.first.pk)).content.decode()
    assert "alpha" in body
    assert 'name="address"' not in body
    assert 'name="_save"' not in body


def test_an_operator_saves_nothing(operator: Client, fleet: Fleet) -> None:
    response = operator.post(page("pool", "change", fleet.pool.pk), {"name": "taken over"})
    assert response.status_code == 403
    assert Pool.objects.get().name == "API"


def test_an_operator_removes_nothing(operator: Client, fleet: Fleet) -> None:
    assert operator.post(page("node", "delete", fleet.first.pk)).status_code == 403


def test_an_operator_sees_no_tokens_and_no_people(operator: Client) -> None:
    assert operator.get(page("apitoken")).status_code == 403
    assert operator.get(page("user")).status_code == 403


def test_an_admin_gives_a_role(admin: Client) -> None:
    person = User.objects.create_user("nina", password="-")
    operators = Group.objects.get(name="operator")
    form = {"username": "nina", "is_active": "on", "groups": [operators.pk]}
    assert admin.post(page("user", "change", person.pk), form).status_code == 302
    assert list(person.groups.all()) == [operators]


def test_an_admin_makes_nobody_a_superuser(admin: Client) -> None:
    person = User.objects.create_user("nina", password="-")
    admin.post(page("user", "change", person.pk), {"username": "nina", "is_active": "on", "is_superuser": "on"})
    person.refresh_from_db()
    assert not person.is_superuser


def test_an_admin_does_not_touch_a_superuser(admin: Client, root: Client) -> None:
    superuser = User.objects.get(username="root")
    assert admin.post(page("user", "change", superuser.pk), {"username": "mine"}).status_code == 403
    assert admin.post(reverse("admin:auth_user_password_change", args=[superuser.pk]), {}).status_code == 403
