"""The migration that makes the roles."""

from __future__ import annotations

from importlib import import_module

import pytest
from django.apps import apps
from django.contrib.auth.models import Group
from django.db import connection

from nodes.roles import grant


def rights() -> dict[str, set[str]]:
    return {group.name: set(group.permissions.values_list("codename", flat=True)) for group in Group.objects.all()}


@pytest.mark.django_db
def test_operators_act_and_only_admins_edit() -> None:
    assert "operate" in rights()["operator"]
    assert "operate" in rights()["admin"]
    assert "operate" not in rights()["viewer"]
    assert "change_node" in rights()["admin"]
    assert "change_node" not in rights()["operator"]


@pytest.mark.django_db
def test_running_the_migration_again_changes_nothing() -> None:
    before = rights()
    with connection.schema_editor() as editor:
        import_module("nodes.migrations.0002_roles").give(apps, editor)
    assert rights() == before


@pytest.mark.django_db
def test_a_right_that_does_not_exist_is_an_error() -> None:
    with pytest.raises(LookupError, match="spaceship"):
        grant(apps, "nodes", alias="default", viewer={("spaceship", "view")})
