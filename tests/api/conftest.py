"""A pool with a failed node, and tokens for those who ask about it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

import pytest
from django.utils import timezone

from nodes.engine.enums import Verdict
from nodes.models import ApiToken, Pool
from tests.pages import fleet

Token = Callable[..., str]


@pytest.fixture
def now() -> datetime:
    return timezone.now()


@pytest.fixture
def api(db: None, now: datetime) -> Pool:
    """Two nodes, the second has just failed: all traffic goes to the first."""
    made = fleet.pool("Public API", "public-api", ["api-1", "api-2"], now)
    then = fleet.rounds(made, now - timedelta(seconds=30), 2)
    fleet.rounds(made, then, 3, {"api-2": (Verdict.FAIL, "connection refused")})
    return made


@pytest.fixture
def token(db: None) -> Token:
    """Makes a token with the scopes named; returns what goes into the header `Authorization`."""

    def issue(*scopes: str, **fields: object) -> str:
        made = ApiToken(name="balancer", scopes=list(scopes), **fields)
        whole = made.issue()
        made.save()
        return f"Bearer {whole}"

    return issue
