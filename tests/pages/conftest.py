"""People of each role, and a fleet with a failed node."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from django.contrib.auth.models import Group, User
from django.test import Client
from django.utils import timezone

from nodes.engine.enums import Verdict
from nodes.models import Node, Pool
from tests.pages import fleet

REFUSED = {"api-2": (Verdict.FAIL, "connection refused")}


@pytest.fixture
def now() -> datetime:
    return timezone.now().astimezone(UTC)


def _client(role: str) -> Client:
    user = User.objects.create_user(role)
    user.groups.add(Group.objects.get(name=role))
    client = Client()
    client.force_login(user)
    return client


@pytest.fixture
def viewer(db: None) -> Client:
    return _client("viewer")


@pytest.fixture
def operator(db: None) -> Client:
    return _client("operator")


@pytest.fixture
def api(db: None, now: datetime) -> Pool:
    """Four nodes, the second has failed since a short while: an incident is open and its share has moved."""
    made = fleet.pool("Public API", "public-api", ["api-1", "api-2", "api-3", "api-4"], now)
    then = fleet.rounds(made, now - timedelta(seconds=48), 5)
    fleet.rounds(made, then, 5, REFUSED)
    return made


@pytest.fixture
def failed(api: Pool) -> Node:
    return Node.objects.get(name="api-2")


@pytest.fixture
def healthy(api: Pool) -> Node:
    return Node.objects.get(name="api-1")
