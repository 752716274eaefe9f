"""Log records of known troubles: a line each, and not a flood of them."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest
from django.core.exceptions import PermissionDenied
from django.db import OperationalError
from django.http import HttpRequest, HttpResponse
from django.test import Client, override_settings
from django.urls import path

from failover_console import urls
from failover_console.known_troubles import KnownTroubles


class Away:
    """A middleware that asks a database that is away."""

    def __init__(self, answer: object) -> None:
        """It never comes to an answer."""

    def __call__(self, request: HttpRequest) -> HttpResponse:
        raise OperationalError("connection refused\nIs the server running?")


def forbidden(_: HttpRequest) -> HttpResponse:
    raise PermissionDenied("only admins")


urlpatterns = [*urls.urlpatterns, path("forbidden/", forbidden), path("api/v1/x", forbidden)]
handler500 = "failover_console.errors.server_error"


@pytest.fixture
def lines() -> Iterator[list[str]]:
    """What a handler with our filter writes."""
    written: list[str] = []

    class Kept(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            written.append(self.format(record))

    handler, log = Kept(), logging.getLogger("django.request")
    handler.addFilter(KnownTroubles())
    log.addHandler(handler)
    yield written
    log.removeHandler(handler)


@pytest.fixture
def client() -> Client:
    return Client(raise_request_exception=False)


@override_settings(ROOT_URLCONF=__name__, MIDDLEWARE=[f"{__name__}.Away"])
def test_what_the_database_fails_before_a_page_begins_is_503(client: Client, lines: list[str]) -> None:
    page, api = client.get("/forbidden/"), client.get("/api/v1/x")
    assert (page.status_code, api.status_code, page["Retry-After"], page["Cache-Control"]) == (503, 503, "2", "no-store")
    assert "did not answer in time" in api.json()["error"]
    assert len(lines) == 1  # the second came within the same second
    assert "connection refused" in lines[0]
    assert "Traceback" not in lines[0]
    assert "Is the server" not in lines[0]


@override_settings(ROOT_URLCONF=__name__)
def test_a_refused_permission_is_a_line_each(client: Client, lines: list[str], db: None) -> None:
    assert [client.get("/forbidden/").status_code for _ in range(2)] == [403, 403]
    assert [line.count("\n") for line in lines] == [0, 0]
    assert "only admins" in lines[0]


def test_what_is_not_known_keeps_its_traceback() -> None:
    record = logging.makeLogRecord({"msg": "x", "exc_info": (ValueError, ValueError("y"), None)})
    assert KnownTroubles().filter(record)
    assert record.exc_info is not None
