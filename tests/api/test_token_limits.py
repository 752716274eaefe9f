"""What one token may ask: its own pools, until its secret ends, so many times a second, with so many long polls."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta
from typing import Any

import psycopg
import pytest
from asgiref.sync import sync_to_async
from django.conf import settings
from django.db import connection
from django.test import AsyncClient, Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from hypothesis import given
from hypothesis import strategies as st

from nodes.models import ApiToken, Node, Pool
from nodes.views import bearer, token_limits
from nodes.views.token_limits import Bucket, TokenLimits
from tests.api.conftest import Token
from tests.api.test_waiting import Waiter, commit_epoch, somebody_looks, tidy_thread  # noqa: F401 - a fixture
from tests.pages import fleet

FROM = "192.0.2.7"
RATE = settings.TOKEN_RATES["shares"]


@pytest.fixture
def other(api: Pool, now: datetime) -> Pool:
    return fleet.pool("Other", "other", ["other-1"], now)


class StandingStill(TokenLimits):
    """For which no time passes, however slow the machine is."""

    def wait_of(self, digest: str, scope: str, now: float, cost: float = 1.0) -> int | None:
        return super().wait_of(digest, scope, 0.0, cost)


@pytest.fixture
def strict(monkeypatch: pytest.MonkeyPatch) -> TokenLimits:
    """Two requests a second, four at once, one long poll."""
    made = StandingStill(dict.fromkeys(("shares", "outcomes", "metrics"), 2), 1)
    monkeypatch.setattr(bearer, "_limits", made)
    return made


@pytest.fixture
def two_tokens(token: Token) -> tuple[str, str]:
    return token("shares"), token("shares")


def shares(authorization: str, slug: str = "public-api") -> Any:
    return Client().get(f"/api/v1/pools/{slug}/shares", headers={"authorization": authorization}, REMOTE_ADDR=FROM)


def outcomes(authorization: str, node: int) -> Any:
    body = '{"outcomes": [{"success": 1, "failure": 0}]}'
    address = reverse("nodes:outcomes", args=[node])
    return Client().post(address, body, content_type="application/json", headers={"authorization": authorization})


def bind(pool: Pool) -> None:
    ApiToken.objects.update(every_pool=False)
    ApiToken.objects.get().pools.set([pool])


def test_a_bound_token_reads_its_own_pool_alone(token: Token, api: Pool, other: Pool) -> None:
    whole = token("shares")
    bind(api)
    assert shares(whole).status_code == 200
    for slug in ("other", "nowhere"):  # nor does it learn which pools there are
        refused = shares(whole, slug)
        assert (refused.status_code, refused["WWW-Authenticate"]) == (403, 'Bearer error="insufficient_scope"')
        assert refused.json() == {"error": "this bearer token is bound to other pools and not for this pool"}


@pytest.mark.django_db(transaction=True, serialized_rollback=True)  # reports are counted on a connection of their own
def test_a_bound_token_reports_of_its_own_nodes_alone(token: Token, api: Pool, other: Pool) -> None:
    whole = token("outcomes")
    bind(api)
    assert outcomes(whole, Node.objects.get(name="api-1").pk).status_code == 202
    for node in (Node.objects.get(name="other-1").pk, 0, 2**63, 10**30):
        refused = outcomes(whole, node)
        assert refused.status_code == 403
        assert refused.json() == {"error": "this bearer token is bound to other pools and not for the pool of this node"}


def test_a_token_whose_pools_are_gone_is_for_no_pool(token: Token, api: Pool, now: datetime) -> None:
    whole = token("shares")
    bind(api)
    Pool.objects.update(removed_at=now)
    assert shares(whole).status_code == 403
    ApiToken.objects.get().pools.clear()
    assert shares(whole).status_code == 403


def test_a_bound_token_reads_no_metrics(token: Token, api: Pool, client: Client) -> None:
    whole = token("metrics")
    bind(api)
    for query in ("", "?pool=public-api", "?scope=process"):
        refused = client.get(f"/metrics{query}", headers={"authorization": whole})
        assert refused.status_code == 403
        assert refused.json() == {"error": "this bearer token is bound to other pools and not for the whole console"}


def test_a_former_secret_works_until_its_overlap_ends(token: Token, api: Pool, now: datetime) -> None:
    former = token("shares")
    present = f"Bearer {ApiToken.objects.get().rotate(now, timedelta(hours=24))}"
    assert [shares(former).status_code, shares(present).status_code] == [200, 200]
    ApiToken.objects.update(previous_until=now)
    assert [shares(former).status_code, shares(present).status_code] == [401, 200]


def test_a_former_secret_ends_with_its_token(token: Token, api: Pool, now: datetime) -> None:
    former = token("shares")
    ApiToken.objects.get().rotate(now, timedelta(hours=24))
    ApiToken.objects.update(expires_at=now)
    assert shares(former).status_code == 401
    ApiToken.objects.update(expires_at=None, revoked_at=now)
    assert shares(former).status_code == 401


def test_a_secret_of_one_key_does_not_prove_another(token: Token, api: Pool, now: datetime) -> None:
    former = token("shares")
    present = ApiToken.objects.get().rotate(now, timedelta(hours=24))
    key, secret = present[3:19], former.removeprefix("Bearer fc_")[17:]
    assert shares(f"Bearer fc_{key}_{secret}").status_code == 401


def test_uses_are_noted_once_a_minute_each_secret_apart(token: Token, api: Pool, now: datetime) -> None:
    former = token("shares")
    present = f"Bearer {ApiToken.objects.get().rotate(now, timedelta(hours=24))}"
    shares(former)
    found = ApiToken.objects.get()
    assert (found.last_used_at, found.last_used_from) == (None, "")
    assert found.previous_used_at is not None
    shares(present)
    found.refresh_from_db()
    assert found.last_used_from == FROM
    for whole in (former, present):
        with CaptureQueriesContext(connection) as asked:
            shares(whole)
        assert not any("UPDATE" in query["sql"] for query in asked.captured_queries)
    again = ApiToken.objects.get()
    assert (again.last_used_at, again.previous_used_at) == (found.last_used_at, found.previous_used_at)
    ApiToken.objects.update(last_used_at=now - timedelta(seconds=61))
    shares(present)
    assert ApiToken.objects.get().last_used_at != now - timedelta(seconds=61)


@pytest.mark.django_db(transaction=True, serialized_rollback=True)
def test_nobody_waits_for_a_token_that_is_being_edited(token: Token, api: Pool) -> None:
    whole = token("shares")
    with psycopg.connect(**connection.get_connection_params() | {"dbname": connection.settings_dict["NAME"]}) as editor:
        editor.execute("SELECT 1 FROM nodes_apitoken FOR UPDATE")
        assert shares(whole).status_code == 200
        assert ApiToken.objects.get().last_used_at is None
    shares(whole)
    assert ApiToken.objects.get().last_used_at is not None


def test_a_token_that_asks_too_often_is_refused_without_a_query(strict: TokenLimits, token: Token, api: Pool) -> None:
    whole = token("shares")
    assert [shares(whole).status_code for _ in range(4)] == [200] * 4
    with CaptureQueriesContext(connection) as asked:
        refused = shares(whole)
    assert (refused.status_code, refused["Retry-After"]) == (429, "1")
    assert refused.json() == {"error": f"this bearer token asks more than {RATE:g} times a second; ask again in 1 s"}
    assert not asked.captured_queries


@pytest.mark.django_db(transaction=True, serialized_rollback=True)  # as above
def test_each_token_and_each_scope_has_its_own_budget(strict: TokenLimits, token: Token, api: Pool) -> None:
    busy, calm = token("shares", "outcomes"), token("shares")
    for _ in range(5):
        shares(busy)
    assert shares(busy).status_code == 429
    assert shares(calm).status_code == 200
    assert outcomes(busy, Node.objects.get(name="api-1").pk).status_code == 202


def test_a_rotation_gives_no_second_budget(strict: TokenLimits, token: Token, api: Pool, now: datetime) -> None:
    former = token("shares")
    present = f"Bearer {ApiToken.objects.get().rotate(now, timedelta(hours=24))}"
    answered = [shares(whole).status_code for whole in (former, present) * 3]
    assert answered == [200, 200, 200, 200, 429, 429]


def test_a_stranger_uses_up_no_budget(strict: TokenLimits, token: Token, api: Pool) -> None:
    whole = token("shares")
    for _ in range(20):
        assert shares(whole[:-1] + ("a" if whole[-1] != "a" else "b")).status_code == 401
    assert shares(whole).status_code == 200


@pytest.mark.django_db(transaction=True, serialized_rollback=True)
async def test_one_long_poll_too_many_is_refused_at_once(
    strict: TokenLimits,
    other: Pool,
    two_tokens: tuple[str, str],
    tidy_thread: None,  # noqa: F811
) -> None:
    mine, theirs = two_tokens
    first = Waiter(mine, "other", epoch=1000)
    await somebody_looks()
    refused = await Waiter(mine, "other", epoch=1000).answer
    assert (refused.status_code, refused["Retry-After"]) == (429, "5")
    assert (await Waiter(theirs, "other", epoch=1000, wait=0.1).answer).status_code == 200
    await commit_epoch(other, 1001)
    assert (await first.answer).status_code == 200
    assert (await Waiter(mine, "other", epoch=2000, wait=0.1).answer).status_code == 200


@given(st.lists(st.floats(0, 3), min_size=1, max_size=200), st.integers(1, 50))
def test_no_pattern_gets_more_than_the_rate_and_one_burst(gaps: list[float], rate: int) -> None:
    bucket, now, taken = Bucket(rate, 0.0), 0.0, 0
    for gap in gaps:
        now += gap / rate
        wait = bucket.take(rate, now)
        taken += wait == 0
        assert wait <= 1 / rate
    assert taken <= 2 * rate + now * rate + 1e-6


@given(st.lists(st.tuples(st.floats(0, 3), st.floats(1, 40)), min_size=1, max_size=200), st.integers(1, 50))
def test_what_costs_more_leaves_less_and_is_taken_once_there_is_a_seconds_worth(asks: list[tuple[float, float]], rate: int) -> None:
    bucket, now, taken = Bucket(rate, 0.0), 0.0, 0.0
    for gap, cost in asks:
        now += gap
        if bucket.take(rate, now, cost) == 0:
            taken += cost
    assert taken <= 2 * rate + now * rate + 40 + 1e-6
    assert bucket.take(rate, now + 200.0, 1e6) == 0


@pytest.mark.django_db(transaction=True, serialized_rollback=True)  # as above
def test_a_large_report_costs_more_than_a_small_one(strict: TokenLimits, token: Token, api: Pool) -> None:
    whole, address = token("outcomes"), reverse("nodes:outcomes", args=[0])

    def status(size: int) -> int:
        headers = {"authorization": whole}
        return Client().post(address, " " * size, content_type="application/json", headers=headers).status_code

    assert [status(10), status(200_000), status(10)] == [404, 404, 429]


def test_what_is_remembered_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(token_limits, "MOST", 3)
    limits = TokenLimits({"shares": 1}, 1)
    for token in range(10):
        limits.proved(f"digest {token}", token)
        limits.wait_of(f"digest {token}", "shares", 0.0)
    assert [limits.wait_of(f"digest {token}", "shares", 0.0) for token in range(10)] == [None] * 7 + [0] * 3
    assert len(limits._proved) == len(limits._buckets) == 3


@pytest.mark.django_db(transaction=True, serialized_rollback=True)  # as above
async def test_what_comes_beside_the_first_look_up_is_counted_like_all_else(strict: TokenLimits, token: Token, api: Pool) -> None:
    headers = {"authorization": await sync_to_async(token)("outcomes")}
    address = reverse("nodes:outcomes", args=[0])

    async def status() -> int:
        answer = await AsyncClient().post(address, "{}", content_type="application/json", headers=headers)
        return int(answer.status_code)

    statuses = await asyncio.gather(*(status() for _ in range(10)))
    assert sorted(statuses) == [404] * 4 + [429] * 6
