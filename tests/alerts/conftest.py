"""One browser for each role."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import Group, User
from django.test import Client


def _browser(group: str) -> Client:
    person = User.objects.create_user(f"{group}-person")
    person.groups.add(Group.objects.get(name=group))
    client = Client()
    client.force_login(person)
    return client


@pytest.fixture
def viewer(db: None) -> Client:
    return _browser("viewer")


@pytest.fixture
def operator(db: None) -> Client:
    return _browser("operator")


@pytest.fixture
def admin(db: None) -> Client:
    return _browser("admin")
