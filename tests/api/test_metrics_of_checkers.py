"""What `/metrics` says of checkers: whether they are believed, and whether their resolvers answer."""

from __future__ import annotations

from datetime import datetime

import pytest

from nodes.models import Checker, FleetState, Pool
from tests.api.conftest import Ask

pytestmark = pytest.mark.django_db


def test_when_no_checker_is_believed_every_pool_is_blocked(scrape: Ask, api: Pool, now: datetime) -> None:
    Checker.objects.create(host="east")
    told = scrape()
    assert (told("failover_no_checker_believed"), told("failover_checker_isolated", checker="east")) == (0, 0)
    Checker.objects.create(host="west", doubt="canaries", reason="canary", since=now)
    FleetState.objects.update(isolated={"reason": "canary", "owner": "west", "since": 0.0, "until": None}, believed=0)
    told = scrape()
    assert (told("failover_no_checker_believed"), told("failover_checkers_believed")) == (1, 0)
    assert (told("failover_checker_isolated", checker="east"), told("failover_checker_isolated", checker="west")) == (0, 1)
    assert told("failover_guard_blocking", pool="public-api", guard="checker_isolated") == 1


def test_a_resolver_that_is_away_is_told_by_its_checker(scrape: Ask, api: Pool) -> None:
    Checker.objects.create(host="east")
    Checker.objects.create(host="west", resolver_told=True)
    told = scrape()
    assert [told("failover_checker_resolver_down", checker=host) for host in ("east", "west")] == [0, 1]
