"""Tokens: shown once, stored hashed, revoked and not deleted."""

from __future__ import annotations

import re

from django.test import Client
from django.utils import timezone

from nodes.models import ApiToken, Event
from tests.admin.conftest import errors, page, said


def test_a_token_is_shown_once_and_proves_itself(admin: Client) -> None:
    response = admin.post(page("apitoken", "add"), {"name": "balancer", "scopes": ["shares"]}, follow=True)
    whole = re.search(r"fc_[0-9a-f]+_(\S+)", said(response))
    token = ApiToken.objects.get()
    assert whole
    assert token.proves(whole[1])
    assert token.created_by is not None
    body = admin.get(page("apitoken", "change", token.pk)).content.decode()
    assert whole[1] not in body
    assert token.digest not in body


def test_a_token_is_revoked_once_and_that_is_an_event(admin: Client) -> None:
    token = ApiToken(name="balancer", scopes=["shares"])
    token.issue()
    token.save()
    for _ in range(2):
        admin.post(page("apitoken"), {"action": "revoke", "_selected_action": [token.pk]})
    token.refresh_from_db()
    assert token.revoked_at is not None
    assert Event.objects.filter(type="config_changed", actor="ada").count() == 1


def test_a_token_is_never_deleted(root: Client) -> None:
    token = ApiToken(name="balancer", scopes=["shares"])
    token.issue()
    token.save()
    assert root.post(page("apitoken", "delete", token.pk), {"post": "yes"}).status_code == 403


def test_a_name_stands_for_one_token_that_works(admin: Client) -> None:
    given = {"name": "balancer", "scopes": ["shares"]}
    admin.post(page("apitoken", "add"), given)
    assert "A token of this name works already" in errors(admin.post(page("apitoken", "add"), given))
    ApiToken.objects.update(revoked_at=timezone.now())
    assert admin.post(page("apitoken", "add"), given).status_code == 302


def test_a_token_that_would_be_refused_from_the_start_is_not_made(admin: Client) -> None:
    given = {"name": "balancer", "scopes": ["shares"], "expires_at_0": "2020-01-01", "expires_at_1": "12:00"}
    assert "This instant has passed" in errors(admin.post(page("apitoken", "add"), given))
