"""Tokens: shown once, stored hashed, bound to pools, rotated with an overlap, revoked and not deleted; each change is told."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from nodes.models import ApiToken, Event
from nodes.models.access import presented
from tests.admin.conftest import Fleet, errors, page, said

FOR_ALL = {"name": "balancer", "scopes": ["shares"], "every_pool": "on", "never_expires": "on"}
FROM = "192.0.2.7"


def at(instant: datetime) -> dict[str, str]:
    """As the two fields of a form have it."""
    return {"expires_at": instant.strftime("%Y-%m-%dT%H:%M")}


def made(**fields: Any) -> ApiToken:
    token = ApiToken(name="balancer", scopes=["shares"], **fields)
    token.issue()
    token.save()
    return token


def shown(response: Any) -> str:
    """The whole token in a message."""
    found = re.search(r"fc_[0-9a-f]+_[\w-]+", said(response))
    assert found, said(response)
    return found[0]


def told() -> Event:
    return Event.objects.filter(type="account_changed").latest("pk")


def rotate(client: Client, token: ApiToken, hours: int) -> Any:
    return client.post(reverse("admin:nodes_apitoken_rotate", args=[token.pk]), {"overlap": hours}, follow=True, REMOTE_ADDR=FROM)


def act(client: Client, action: str, token: ApiToken) -> Any:
    """One of the list's actions, as the page that asks posts it."""
    return client.post(page("apitoken"), {"action": action, "_selected_action": [token.pk], "apply": "yes"}, follow=True)


def test_a_token_is_shown_once_and_proves_itself(admin: Client) -> None:
    response = admin.post(page("apitoken", "add"), FOR_ALL, follow=True, REMOTE_ADDR=FROM)
    whole, token = shown(response), ApiToken.objects.get()
    proof = presented(whole)
    assert proof is not None
    assert (proof.key, proof.is_of(token.digest)) == (token.key, True)
    assert token.created_by is not None
    body = admin.get(page("apitoken", "change", token.pk)).content.decode()
    assert whole.split("_", 2)[2] not in body
    assert token.digest not in body
    assert (told().actor, told().detail["address"]) == ("ada", FROM)
    assert told().message.startswith("ada added API token balancer: Name, Scopes none → shares, Every pool no → yes")
    assert whole not in str(told().detail)


def test_every_pool_is_chosen_as_such(admin: Client, fleet: Fleet) -> None:
    neither = {name: value for name, value in FOR_ALL.items() if name != "every_pool"}
    assert "Choose its pools, or every pool." in errors(admin.post(page("apitoken", "add"), neither))
    both = {**FOR_ALL, "pools": [fleet.pool.pk]}
    assert "either for every pool or for the chosen ones" in errors(admin.post(page("apitoken", "add"), both))
    assert admin.post(page("apitoken", "add"), {**neither, "pools": [fleet.pool.pk]}).status_code == 302
    token = ApiToken.objects.get()
    assert (token.every_pool, [pool.slug for pool in token.pools.all()]) == (False, ["api"])
    assert "Pools none → API" in told().message


def test_a_token_of_some_pools_reads_no_metrics(admin: Client, fleet: Fleet) -> None:
    given = {"name": "prometheus", "scopes": ["metrics"], "pools": [fleet.pool.pk], "never_expires": "on"}
    assert "Metrics are of the whole console" in errors(admin.post(page("apitoken", "add"), given))


def test_a_form_offers_a_year_and_no_pool(admin: Client) -> None:
    form = admin.get(page("apitoken", "add")).context["adminform"].form
    ahead = form.initial["expires_at"] - timezone.now()
    assert timedelta(days=364) < ahead <= timedelta(days=365)
    assert not form.initial["every_pool"]


@pytest.mark.parametrize(
    ("days", "sentence"),
    [(None, "Say when it ends, or that it never does."), (731, "ends within 730 days, or never"), (-1, "This instant has passed")],
)
def test_a_token_ends_within_two_years_or_explicitly_never(admin: Client, days: int | None, sentence: str) -> None:
    given = {name: value for name, value in FOR_ALL.items() if name != "never_expires"}
    ends = {} if days is None else at(timezone.now() + timedelta(days=days))
    assert sentence in errors(admin.post(page("apitoken", "add"), {**given, **ends}))
    assert not ApiToken.objects.exists()


def test_never_is_stored_also_beside_the_offered_instant(admin: Client) -> None:
    assert admin.post(page("apitoken", "add"), {**FOR_ALL, **at(timezone.now() + timedelta(days=365))}).status_code == 302
    assert ApiToken.objects.get().expires_at is None


def test_an_end_that_is_moved_and_given_up_is_told(admin: Client) -> None:
    token = made()
    given = {"name": "balancer", "scopes": ["shares"], "every_pool": "on"}
    admin.post(page("apitoken", "change", token.pk), {**given, **at(timezone.now() + timedelta(days=9))})
    token.refresh_from_db()
    assert token.expires_at is not None
    assert "Never expires yes → no" in told().message
    admin.post(page("apitoken", "change", token.pk), {**given, **at(token.expires_at), "never_expires": "on"})
    token.refresh_from_db()
    assert token.expires_at is None
    assert "Never expires no → yes" in told().message


def test_a_rotated_token_has_two_secrets_until_the_overlap_ends(admin: Client) -> None:
    token = made(last_used_at=timezone.now())
    former = (token.key, token.digest)
    proof = presented(shown(rotate(admin, token, 24)))
    token.refresh_from_db()
    assert proof is not None
    assert (token.key, proof.is_of(token.digest)) == (proof.key, True)
    assert (token.previous_key, token.previous_digest) == former
    assert token.previous_until is not None
    assert timedelta(hours=23) < token.previous_until - timezone.now() <= timedelta(hours=24)
    assert told().message == "ada rotated (the former secret ends in 24 hours) API token balancer"
    body = admin.get(page("apitoken", "change", token.pk)).content.decode()
    assert f"fc_{former[0]}_…" in body
    assert f"fc_{token.key}_…" in body


def test_a_second_rotation_ends_what_was_before_the_first(admin: Client) -> None:
    token = made()
    rotate(admin, token, 24)
    token.refresh_from_db()
    between = token.key
    rotate(admin, token, 0)
    token.refresh_from_db()
    assert token.previous_key is None
    assert token.key != between


def test_an_overlap_is_ended_by_hand(admin: Client) -> None:
    token = made()
    rotate(admin, token, 24)
    act(admin, "end_overlap", token)
    token.refresh_from_db()
    assert (token.previous_key, token.previous_until) == (None, None)
    assert told().message == "ada ended the former secret of API token balancer"


@pytest.mark.parametrize("fields", [{"revoked_at": timezone.now()}, {"expires_at": timezone.now()}])
def test_what_is_over_is_not_rotated(admin: Client, fields: dict[str, Any]) -> None:
    token = made(**fields)
    assert "make a new token" in said(rotate(admin, token, 24))
    assert ApiToken.objects.get().key == token.key


def test_an_operator_rotates_nothing(operator: Client) -> None:
    token = made()
    address = reverse("admin:nodes_apitoken_rotate", args=[token.pk])
    assert [operator.get(address).status_code, operator.post(address, {"overlap": 0}).status_code] == [403, 403]
    assert ApiToken.objects.get().key == token.key


def test_a_token_is_revoked_once_and_that_is_an_event(admin: Client) -> None:
    token = made()
    assert "Revoked: balancer." in said(act(admin, "revoke", token))
    assert said(act(admin, "revoke", token)) == "Revoked already: balancer."
    token.refresh_from_db()
    assert token.revoked_at is not None
    assert Event.objects.filter(type="account_changed", message="ada revoked API token balancer").count() == 1


@pytest.mark.parametrize(("action", "button"), [("revoke", "Revoke 2 tokens"), ("end_overlap", "End 2 former secrets")])
def test_what_cannot_be_undone_is_asked_first(admin: Client, action: str, button: str) -> None:
    tokens = [made(previous_key=key, previous_digest="-") for key in ("a", "b")]
    idle = made(revoked_at=timezone.now())
    chosen = [each.pk for each in (*tokens, idle)]
    asked = admin.post(page("apitoken"), {"action": action, "_selected_action": chosen}).content.decode()
    assert f">{button}</button>" in asked
    assert "refused at once (401)" in asked
    assert set(re.findall(r'name="_selected_action" value="(\d+)"', asked)) == {str(each.pk) for each in tokens}
    assert not Event.objects.exists()
    assert ApiToken.objects.filter(revoked_at=None, previous_key__isnull=False).count() == 2


def test_where_there_is_nothing_to_do_nothing_is_asked(admin: Client) -> None:
    token = made()
    answer = admin.post(page("apitoken"), {"action": "end_overlap", "_selected_action": [token.pk]}, follow=True)
    assert said(answer) == "No former secret to end: balancer."


def test_an_operator_revokes_nothing(operator: Client) -> None:
    token = made()
    act(operator, "revoke", token)
    assert ApiToken.objects.get().revoked_at is None


def test_the_edits_of_a_token_tell_what_was_done_to_it(admin: Client) -> None:
    token = made()
    rotate(admin, token, 24)
    act(admin, "end_overlap", token)
    act(admin, "revoke", token)
    body = admin.get(page("apitoken", "history", token.pk)).content.decode()
    for did in ("Rotated (the former secret ends in 24 hours).", "Ended the former secret.", "Revoked."):
        assert did in body


def test_a_secret_has_a_line_of_its_own(admin: Client) -> None:
    for answer in (admin.post(page("apitoken", "add"), FOR_ALL, follow=True), rotate(admin, ApiToken.objects.get(), 168)):
        assert f"only now:<br><code>{shown(answer)}</code><br>" in answer.content.decode()
    assert "<br>The former one ends in 7 days." in said(answer)


def test_a_token_without_an_end_says_never(admin: Client) -> None:
    made()
    assert re.search(r'class="field-ends[^>]*>never<', admin.get(page("apitoken")).content.decode())


def test_a_token_is_never_deleted(root: Client) -> None:
    token = made()
    assert root.post(page("apitoken", "delete", token.pk), {"post": "yes"}).status_code == 403


def test_a_name_stands_for_one_token_that_works(admin: Client) -> None:
    admin.post(page("apitoken", "add"), FOR_ALL)
    assert "A token of this name works already" in errors(admin.post(page("apitoken", "add"), FOR_ALL))
    ApiToken.objects.update(revoked_at=timezone.now())
    assert admin.post(page("apitoken", "add"), FOR_ALL).status_code == 302
