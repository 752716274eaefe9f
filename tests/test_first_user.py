"""The first user: made by `up` where no superuser is active; where that cannot be, the console starts and says what to do."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import User

from failover_console.management.commands.up import Command

pytestmark = pytest.mark.django_db
WARNING = (
    "Warning: no active user is a superuser, and admin exists already: make one by manage.py createsuperuser, "
    "or set DJANGO_SUPERUSER_USERNAME to another name.\n"
)


def said(capsys: pytest.CaptureFixture[str]) -> str:
    Command()._first_user()
    return capsys.readouterr().out


def test_an_empty_console_gets_a_superuser_whose_password_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    assert said(capsys).startswith("The first user is admin, the password ")
    assert User.objects.get().is_superuser
    assert said(capsys) == ""


@pytest.mark.parametrize("rights", [{"is_superuser": False}, {"is_superuser": True, "is_active": False}])
def test_who_lost_the_rights_keeps_the_console_from_nothing(capsys: pytest.CaptureFixture[str], rights: dict[str, bool]) -> None:
    User.objects.create(username="admin", is_staff=True, **rights)
    assert said(capsys) == WARNING
    assert User.objects.count() == 1


def test_another_name_makes_another_superuser(capsys: pytest.CaptureFixture[str], settings: Any) -> None:
    User.objects.create(username="admin", is_superuser=True, is_active=False)
    settings.SUPERUSER_USERNAME = "olga"
    assert said(capsys).startswith("The first user is olga, the password ")
    assert User.objects.get(is_superuser=True, is_active=True).username == "olga"
