"""Nothing that a signed-in person sees stays in a store: asked of every address, also where it refuses, redirects or fails."""

from __future__ import annotations

from pathlib import Path

import pytest
from django.conf import settings
from django.contrib.auth.models import User
from django.test import Client

from nodes.models import Pool
from tests.api.conftest import Token, api, now, token  # noqa: F401 - fixtures
from tests.pages.test_nasty_requests import objects, places, values_for  # noqa: F401 - a fixture


def test_every_address_answers_with_no_store(client: Client, objects: dict[str, dict[str, str]]) -> None:  # noqa: F811
    client.force_login(User.objects.get(username="root"))
    client.raise_request_exception = False
    stored, good = {}, 0
    for place in places():
        address = place.filled(values_for(place, objects))
        for answer in (client.get(address), client.post(address)):
            good += answer.status_code == 200
            if "no-store" not in answer.get("Cache-Control", ""):
                stored[address] = (answer.status_code, answer.get("Cache-Control"))
        client.force_login(User.objects.get(username="root"))  # one of the addresses logs out
    assert stored == {}
    assert good > 60


@pytest.mark.parametrize("address", ["/events.csv", "/events.json", "/reports.csv", "/reports.json", "/metrics"])
def test_exports_are_not_stored(client: Client, objects: dict[str, dict[str, str]], address: str) -> None:  # noqa: F811
    client.force_login(User.objects.get(username="root"))
    answer = client.get(address)
    assert (answer.status_code, "no-store" in answer["Cache-Control"]) == (200, True)


def test_strangers_pages_and_errors_are_not_stored(client: Client, db: None) -> None:
    assert [
        client.get(address)["Cache-Control"].count("no-store") for address in ("/", "/accounts/login/", "/nothing/", "/%00")
    ] == [1] * 4


@pytest.mark.django_db  # at the end of each request its connection is looked at
def test_static_files_are_kept(client: Client) -> None:
    name = next(path.name for path in (Path(settings.BASE_DIR) / "failover_console/static").glob("*.css"))
    answer = client.get(f"/static/{name}")
    answer.close()  # the file that it would send
    assert answer.status_code == 200
    assert "no-store" not in answer.get("Cache-Control", "")


def test_a_program_keeps_the_document_that_it_asks_for_again(client: Client, token: Token, api: Pool) -> None:  # noqa: F811
    address = "/api/v1/pools/public-api/shares"
    assert client.get(address, headers={"authorization": token("shares")})["Cache-Control"] == "no-cache"
    client.force_login(User.objects.create_user("vera"))
    assert client.get(address)["Cache-Control"] == "no-store"
