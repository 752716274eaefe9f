"""A pool with a failed node, and tokens for those who ask about it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

import pytest
from django.test import Client
from django.utils import timezone
from prometheus_client import CONTENT_TYPE_LATEST

from alerts.models import Destination
from nodes.engine.enums import Verdict
from nodes.models import ApiToken, Pool
from tests.api.scraping import Scrape
from tests.pages import fleet

Token = Callable[..., str]
Ask = Callable[..., Scrape]


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


@pytest.fixture
def scrape(client: Client, token: Token) -> Ask:
    """Asks `/metrics` with a token; what is given becomes the query."""
    bearer = token("metrics")

    def ask(**query: str | list[str]) -> Scrape:
        answer = client.get("/metrics", query, headers={"authorization": bearer})
        assert (answer.status_code, answer["Content-Type"]) == (200, CONTENT_TYPE_LATEST)
        return Scrape(answer.content.decode())

    return ask


@pytest.fixture
def slack(db: None) -> Destination:
    return Destination.objects.create(name="ops", kind="slack", address="https://hooks.slack.test/services/x")
