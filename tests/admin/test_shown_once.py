"""What is shown once travels in no cookie and no address: it is kept at the server, and gone once it was shown."""

from __future__ import annotations

import base64
import re
import zlib
from collections.abc import Callable
from urllib.parse import unquote

import pytest
from django.contrib.sessions.models import Session
from django.core import signing
from django.http import HttpResponse
from django.test import Client
from django.urls import reverse

from alerts.models import PAGERDUTY_URL
from tests.admin.conftest import Fleet, node_form, page

Make = Callable[[Client, Fleet], HttpResponse]


def a_token(admin: Client, fleet: Fleet) -> HttpResponse:
    return admin.post(page("apitoken", "add"), {"name": "lb", "scopes": ["shares"], "every_pool": "on", "never_expires": "on"})


def a_push_secret(admin: Client, fleet: Fleet) -> HttpResponse:
    return admin.post(page("node", "change", fleet.first.pk), node_form(fleet.first, {"kind": "push"}))


def a_signing_secret(admin: Client, fleet: Fleet) -> HttpResponse:
    form = {"name": "ops", "kind": "webhook", "enabled": "on", "base_url": PAGERDUTY_URL, "new_address": "https://x.example/hook"}
    return admin.post(reverse("admin:alerts_destination_add"), form)


SHOWN = {
    "token": (a_token, r"fc_[0-9a-f]{16}_([\w-]{30,})"),
    "push secret": (a_push_secret, r"Authorization: Bearer ([\w-]{20,})"),
    "signing secret": (a_signing_secret, r"whsec_([\w+/=-]{20,})"),
}


def readable(cookie: str) -> str:
    """All that a reader of the cookie may make of it: as it is, unquoted, and each part in base64, compressed or not."""
    found = [cookie, unquote(cookie)]
    for part in re.split(r"[:.\"\s]", unquote(cookie)):
        try:
            raw = signing.b64_decode(part.encode())
        except (ValueError, base64.binascii.Error):  # type: ignore[attr-defined]  # it is what binascii raises
            continue
        found.append(raw.decode(errors="replace"))
        try:
            found.append(zlib.decompress(raw).decode(errors="replace"))
        except zlib.error:
            continue
    return "\n".join(found)


@pytest.mark.parametrize("kind", SHOWN)
def test_a_secret_that_is_shown_once_leaves_by_the_page_alone(admin: Client, fleet: Fleet, kind: str) -> None:
    make, shape = SHOWN[kind]
    answer = make(admin, fleet)
    assert answer.status_code == 302
    shown = admin.get(answer["Location"])
    secret = re.search(shape, shown.content.decode())
    assert secret is not None
    for response in (answer, shown):
        told = [response.get("Location", ""), *(readable(morsel.OutputString()) for morsel in response.cookies.values())]
        assert not [each for each in told if secret[1] in each]
        assert "messages" not in response.cookies


@pytest.mark.parametrize("kind", SHOWN)
def test_once_shown_it_is_kept_nowhere(admin: Client, fleet: Fleet, kind: str) -> None:
    make, shape = SHOWN[kind]
    place = make(admin, fleet)["Location"]
    secret = re.search(shape, admin.get(place).content.decode())
    assert secret is not None
    assert secret[1] not in admin.get(place).content.decode()
    assert not [session for session in Session.objects.all() if secret[1] in str(session.get_decoded())]


def test_a_secret_in_a_cookie_would_be_seen() -> None:
    assert "the-secret" in readable(signing.dumps(["the-secret"] * 50, compress=True))
    assert "the-secret" in readable(signing.dumps("the-secret"))
