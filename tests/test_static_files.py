"""Static files are served in both ways of asking, and all else is passed on."""

from __future__ import annotations

from pathlib import Path

import pytest
from django.test import AsyncClient, Client

SHEET = "/static/console.css"


def test_a_file_is_served_and_a_missing_one_is_not(client: Client, db: None) -> None:
    answer = client.get(SHEET)
    assert (answer.status_code, answer["Content-Type"]) == (200, 'text/css; charset="utf-8"')
    assert b"{" in b"".join(answer)
    assert client.get("/static/nothing.css").status_code == 404
    assert client.get("/healthz").status_code == 200


@pytest.mark.django_db
async def test_an_event_loop_serves_files_and_passes_on_the_rest() -> None:
    answer = await AsyncClient().get(SHEET)
    answer.close()
    assert (answer.status_code, answer["Content-Type"]) == (200, 'text/css; charset="utf-8"')
    assert (await AsyncClient().get("/static/nothing.css")).status_code == 404


def test_our_scripts_stay_small() -> None:
    scripts = Path(__file__).resolve().parent.parent / "failover_console" / "static"
    assert sum(script.stat().st_size for script in scripts.glob("*.js")) < 12_288
