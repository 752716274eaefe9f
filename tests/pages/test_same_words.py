"""What the socket sends later looks as the page did when it was opened."""

from __future__ import annotations

import re
from datetime import datetime

import pytest
from django.test import Client
from django.urls import reverse

from nodes import screens
from nodes.models import Incident, Node, Pool

_TOKEN = re.compile(r'<input type="hidden" name="csrfmiddlewaretoken"[^>]*>')  # the socket's forms send it as a header
_COUNTED = re.compile(r">[^<>]*<")  # texts count seconds; the marks around them must be the same


def _marks(html: str) -> str:
    return _COUNTED.sub("><", _TOKEN.sub("", html))


@pytest.mark.parametrize("role", ["viewer", "operator"])
def test_each_fragment_stands_in_its_page_as_the_hub_renders_it(
    role: str, request: pytest.FixtureRequest, api: Pool, failed: Node, now: datetime
) -> None:
    client: Client = request.getfixturevalue(role)
    incident, different = Incident.objects.get(), []
    for address, screen in (
        (reverse("nodes:dashboard"), screens.dashboard(now)),
        (api.get_absolute_url(), screens.pool(api.slug, now)),
        (failed.get_absolute_url(), screens.node(failed.pk, now)),
        (incident.get_absolute_url(), screens.incident(incident.pk, now)),
    ):
        assert screen is not None
        page = _marks(client.get(address).content.decode())
        different += [
            f"{address} {fragment.id}"
            for fragment in screens.outermost(screen.fragments)
            if _marks(fragment.render(operator=role == "operator")).strip() not in page
        ]
    assert different == []
