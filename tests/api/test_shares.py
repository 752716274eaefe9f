"""Where a load balancer learns whom to send traffic to."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse

from nodes.engine.types import FULL_SHARE
from nodes.ledger.clock import database_now
from nodes.models import ApiToken, Node, NodeState, Pool, PoolState
from tests.api.conftest import Token
from tests.pages import fleet

ADDRESS = "/api/v1/pools/public-api/shares"


def ask(client: Client, bearer: str, address: str = ADDRESS, **headers: str) -> Any:
    return client.get(address, headers={"authorization": bearer, **headers})


def test_the_address_is_the_one_that_is_documented() -> None:
    assert reverse("nodes:shares", args=["public-api"]) == ADDRESS


def test_a_token_reads_epoch_shares_addresses_and_states(client: Client, token: Token, api: Pool) -> None:
    answer = ask(client, token("shares"))
    told = answer.json()
    first, second = Node.objects.order_by("pk")
    assert (answer.status_code, answer["Content-Type"]) == (200, "application/json")
    assert (told["pool"], told["full_share"]) == ("public-api", FULL_SHARE)
    assert told["epoch"] == PoolState.objects.get().epoch
    assert datetime.fromisoformat(told["epoch_at"]) == PoolState.objects.get().epoch_at
    assert abs(datetime.fromisoformat(told["as_of"]) - database_now()) < timedelta(seconds=5)
    checked = dict(NodeState.objects.values_list("node_id", "observed_at"))
    assert {each["id"]: datetime.fromisoformat(each.pop("checked_at")) for each in told["nodes"]} == checked
    assert told["nodes"] == [
        {"id": first.pk, "name": "api-1", "address": first.address, "port": 8080, "share": FULL_SHARE, "health": "healthy"}
        | {"breaker": "closed", "mode": "auto", "admin_state": "enabled", "stale": False, "max_requests": None},
        {"id": second.pk, "name": "api-2", "address": second.address, "port": 8080, "share": 0, "health": "failed"}
        | {"breaker": "closed", "mode": "auto", "admin_state": "enabled", "stale": False, "max_requests": None},
    ]


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({}, 4),
        ({"breaker_state": "open"}, None),
        ({"breaker_mode": "forced_closed"}, None),
        ({"stale": True}, None),
        ({"admin_state": "draining"}, None),
        ({"health": "failed"}, None),
    ],
)
def test_how_many_calls_a_node_on_trial_may_have_in_flight_is_told(
    client: Client, token: Token, api: Pool, fields: dict[str, Any], told: int | None
) -> None:
    api.breaker_policy.max_requests = 4
    api.breaker_policy.save()
    NodeState.objects.filter(node__name="api-1").update(**{"breaker_state": "half_open"} | fields)
    assert ask(client, token("shares")).json()["nodes"][0]["max_requests"] == told


def test_a_removed_node_is_not_told(client: Client, token: Token, api: Pool, now: datetime) -> None:
    Node.objects.filter(name="api-2").update(removed_at=now)
    assert [node["name"] for node in ask(client, token("shares")).json()["nodes"]] == ["api-1"]


def test_a_new_pool_has_an_epoch_and_no_shares(client: Client, token: Token, now: datetime) -> None:
    fleet.pool("New", "new", [], now)
    told = ask(client, token("shares"), "/api/v1/pools/new/shares").json()
    assert (told["epoch"], told["epoch_at"], told["nodes"]) == (0, None, [])


def test_without_a_token_one_is_asked_for(client: Client, api: Pool) -> None:
    answer = client.get(ADDRESS)
    assert (answer.status_code, answer["WWW-Authenticate"]) == (401, "Bearer")
    assert "scope shares" in answer.json()["error"]


NO_TOKENS = ["Basic YTpi", "Bearer", "Bearer ", "Bearer fc_", "Bearer fc_0_0", "Bearer fc_\x00_\x00", "nonsense"]
NO_WAITS = ["wait=soon", "wait=-1", "wait=61", "wait=nan", "wait=inf", "wait="]
NO_EPOCHS = ["epoch=", "epoch=x", "epoch=1.5", "epoch=-1", "epoch=" + "9" * 5000]


@pytest.mark.parametrize("header", NO_TOKENS)
def test_what_is_no_token_is_refused(client: Client, api: Pool, header: str) -> None:
    answer = ask(client, header)
    assert answer.status_code == 401
    assert answer["WWW-Authenticate"].startswith("Bearer")
    assert "nodes" not in answer.json()


def test_a_token_with_another_secret_is_refused(client: Client, token: Token, api: Pool) -> None:
    whole = token("shares")
    answer = ask(client, whole[:-1] + ("a" if whole[-1] != "a" else "b"))
    assert (answer.status_code, answer["WWW-Authenticate"]) == (401, 'Bearer error="invalid_token"')


@pytest.mark.parametrize("field", ["revoked_at", "expires_at"])
def test_a_token_whose_time_is_over_is_refused(client: Client, token: Token, api: Pool, now: datetime, field: str) -> None:
    answer = ask(client, token("shares", **{field: now - timedelta(seconds=1)}))
    assert (answer.status_code, answer["WWW-Authenticate"]) == (401, 'Bearer error="invalid_token"')


def test_a_token_is_good_until_it_expires(client: Client, token: Token, api: Pool, now: datetime) -> None:
    assert ask(client, token("shares", expires_at=now + timedelta(hours=1))).status_code == 200


def test_a_token_of_another_scope_is_forbidden(client: Client, token: Token, api: Pool) -> None:
    answer = ask(client, token("metrics"))
    assert answer.status_code == 403
    assert answer["WWW-Authenticate"] == 'Bearer error="insufficient_scope", scope="shares"'
    assert answer.json()["error"] == "this bearer token lacks the scope shares"


def test_the_word_bearer_may_be_written_small(client: Client, token: Token, api: Pool) -> None:
    assert ask(client, token("shares").replace("Bearer", "bearer")).status_code == 200


def test_the_use_of_a_token_is_noted(client: Client, token: Token, api: Pool, now: datetime) -> None:
    ask(client, token("shares"))
    noted = ApiToken.objects.get().last_used_at
    assert noted is not None
    assert noted >= now


def test_a_session_reads_without_a_token(client: Client, api: Pool) -> None:
    client.force_login(User.objects.create_user("vera"))
    assert client.get(ADDRESS).status_code == 200


def test_who_shows_a_bad_token_is_not_saved_by_a_session(client: Client, api: Pool) -> None:
    client.force_login(User.objects.create_user("vera"))
    assert ask(client, "Bearer fc_0_0").status_code == 401


def test_an_unknown_pool_is_told_as_json(client: Client, token: Token) -> None:
    answer = ask(client, token("shares"), "/api/v1/pools/nowhere/shares")
    assert (answer.status_code, answer.json()) == (404, {"error": "there is no pool with the slug nowhere"})


def test_a_removed_pool_is_unknown(client: Client, token: Token, api: Pool, now: datetime) -> None:
    Pool.objects.update(removed_at=now)
    assert ask(client, token("shares")).status_code == 404


def test_strangers_do_not_learn_which_pools_exist(client: Client, api: Pool) -> None:
    known, unknown = client.get(ADDRESS), client.get("/api/v1/pools/nowhere/shares")
    assert (known.status_code, known.content) == (unknown.status_code, unknown.content)


def test_nothing_can_be_written_here(client: Client, token: Token, api: Pool) -> None:
    assert client.post(ADDRESS, headers={"authorization": token("shares")}).status_code == 405


def test_who_knows_the_answer_is_told_that_it_stands(client: Client, token: Token, api: Pool) -> None:
    bearer = token("shares")
    tag = ask(client, bearer)["ETag"]
    again = ask(client, bearer, **{"if-none-match": tag})
    assert (again.status_code, again.content, again["ETag"]) == (304, b"", tag)
    assert again["Cache-Control"] == "no-cache"


@pytest.mark.parametrize("known", ["W/{tag}", '"other", {tag}', "*"])
def test_a_tag_counts_in_every_way_that_http_writes_it(client: Client, token: Token, api: Pool, known: str) -> None:
    bearer = token("shares")
    tag = ask(client, bearer)["ETag"]
    assert re.fullmatch(r'"[0-9a-f-]+"', tag)
    assert ask(client, bearer, **{"if-none-match": known.format(tag=tag)}).status_code == 304


@pytest.mark.parametrize("change", [{"share": 1}, {"health": "degraded"}, {"stale": True}, {"admin_state": "draining"}])
def test_the_tag_changes_with_every_state(client: Client, token: Token, api: Pool, change: dict[str, Any]) -> None:
    bearer = token("shares")
    tag = ask(client, bearer)["ETag"]
    NodeState.objects.filter(node__name="api-1").update(**change)
    answer = ask(client, bearer, **{"if-none-match": tag})
    assert answer.status_code == 200
    assert answer["ETag"] != tag


def test_who_is_behind_is_answered_at_once(client: Client, token: Token, api: Pool) -> None:
    epoch = PoolState.objects.get().epoch
    assert ask(client, token("shares"), f"{ADDRESS}?wait=60&epoch={epoch - 1}").json()["epoch"] == epoch


@pytest.mark.parametrize("query", [*NO_WAITS, *NO_EPOCHS])
def test_a_wait_that_makes_no_sense_is_refused_with_an_example(client: Client, token: Token, api: Pool, query: str) -> None:
    answer = ask(client, token("shares"), f"{ADDRESS}?{query}")
    assert answer.status_code == 400
    assert "?wait=30&epoch=7" in answer.json()["error"]


def test_where_nothing_is_a_program_is_told_so_in_its_own_words(client: Client) -> None:
    answer = client.get("/api/v1/nowhere/")
    assert (answer.status_code, answer.json()) == (404, {"error": "nothing is at this address"})
