"""Whether this process can serve: its database decides, and nobody else's trouble counts."""

from __future__ import annotations

import socket
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.db import connection, connections
from django.db.backends.postgresql.base import DatabaseWrapper
from django.test import Client

from nodes.models import Runner


def _with_database_at(port: int) -> Any:
    """The answer of a process whose database is at that port of this machine: a thread with a connection of its own."""
    options = {"connect_timeout": 2}
    elsewhere = {**connection.settings_dict, "HOST": "127.0.0.1", "PORT": str(port), "OPTIONS": options}

    def ask() -> Any:
        connections["default"] = DatabaseWrapper(elsewhere)
        return Client().get("/healthz")

    with ThreadPoolExecutor(1) as thread:
        return thread.submit(ask).result()


@pytest.fixture
def closed_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


def test_a_process_with_its_database_is_healthy_for_anybody(client: Client, db: None) -> None:
    answer = client.get("/healthz")
    assert (answer.status_code, answer.json()) == (200, {"status": "ok"})


def test_a_process_without_its_database_is_not_healthy(db: None, closed_port: int, caplog: pytest.LogCaptureFixture) -> None:
    answer = _with_database_at(closed_port)
    assert (answer.status_code, answer.json()) == (503, {"status": "no database"})
    assert "not healthy" in caplog.text


def test_the_answer_says_nothing_about_the_inside(db: None, closed_port: int) -> None:
    assert str(closed_port).encode() not in _with_database_at(closed_port).content


def test_workers_beat_and_alerts_that_are_away_make_no_web_process_unhealthy(client: Client, db: None) -> None:
    assert not Runner.objects.exists()
    assert client.get("/healthz").status_code == 200


def test_a_redis_that_is_away_makes_no_web_process_unhealthy(client: Client, db: None, settings: Any, closed_port: int) -> None:
    address = f"redis://127.0.0.1:{closed_port}/0"
    layer = {"BACKEND": "channels_redis.pubsub.RedisPubSubChannelLayer", "CONFIG": {"hosts": [address]}}
    settings.CHANNEL_LAYERS, settings.CELERY_BROKER_URL, settings.REDIS_URL = {"default": layer}, address, address
    assert client.get("/healthz").status_code == 200


def test_nobody_keeps_the_answer(client: Client, db: None) -> None:
    assert "no-store" in client.get("/healthz")["Cache-Control"]


def test_health_is_only_read(client: Client, db: None) -> None:
    assert client.post("/healthz").status_code == 405
    assert client.head("/healthz").status_code == 200
