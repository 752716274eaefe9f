"""Real PostgreSQL and Redis for the tests that need them, one pair per test process, gone afterwards.

Tests that ask for no database start nothing.
"""

from __future__ import annotations

import shutil
import signal
from collections.abc import Iterator

import pytest
from django.conf import settings
from django.test import override_settings

from failover_console.addresses import socket_directory
from failover_console.embedded import Services
from tests.environment import DATA_DIR


@pytest.fixture(scope="session", autouse=True)
def static_files() -> Iterator[None]:
    """Static files straight from their sources: names without hashes, nothing collected beforehand."""
    plain = {**settings.STORAGES, "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"}}
    settings.STATIC_ROOT.mkdir(parents=True, exist_ok=True)
    with override_settings(STORAGES=plain, WHITENOISE_USE_FINDERS=True):
        yield


@pytest.fixture(scope="session")
def services() -> Iterator[dict[str, str]]:
    """The embedded servers of this test process: DATABASE_URL and REDIS_URL."""
    running = Services(DATA_DIR)
    try:
        yield running.start()
    finally:
        running.stop()


@pytest.fixture(scope="session")
def django_db_modify_db_settings(services: dict[str, str]) -> None:
    """Runs before pytest-django makes its database: the server is up by then.

    Tests hold transactions open while they look at pages and start processes: theirs may be idle for longer than the console's.
    """
    options = settings.DATABASES["default"]["OPTIONS"]
    options["options"] += " -c idle_in_transaction_session_timeout=60s"


def pytest_configure() -> None:
    """A run that is told to end stops its servers first, as it does at Ctrl-C."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)


def pytest_unconfigure() -> None:
    shutil.rmtree(socket_directory(DATA_DIR), ignore_errors=True)
    shutil.rmtree(DATA_DIR, ignore_errors=True)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Browser tests share one running product, so one worker runs them all; transactional tests restore what migrations wrote."""
    for item in items:
        if "browser" in item.keywords:
            item.add_marker(pytest.mark.xdist_group("browser"))
        database = item.get_closest_marker("django_db")
        if database and database.kwargs.get("transaction") and not database.kwargs.get("serialized_rollback"):
            raise pytest.UsageError(
                f"{item.nodeid}: transaction=True asks for serialized_rollback=True, or other tests miss the roles"
            )
