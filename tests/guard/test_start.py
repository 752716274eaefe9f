"""What stops a web process before it serves: too few descriptors, or a database that takes too few connections."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings

from failover_console.guard import start

ROOT = Path(__file__).resolve().parents[2]
LINE = """
import django
django.setup()
from failover_console.guard import connections, start
start.make_room()
print(connections.most)
"""


def made_room(files: int, **environment: str) -> subprocess.CompletedProcess[str]:
    """In a process that may open so many files."""
    return subprocess.run(
        [sys.executable, "-c", LINE], cwd=ROOT, capture_output=True, text=True, check=False,
        env=os.environ | {"DJANGO_SETTINGS_MODULE": "failover_console.settings", **environment},
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (min(files, 64), files)),
    )  # fmt: skip  # options


def test_the_limit_of_files_is_raised_as_far_as_it_is_needed() -> None:
    assert made_room(4000, MAX_CONNECTIONS="1000").stdout.strip() == "1000"


def test_where_fewer_files_are_allowed_fewer_connections_are_taken() -> None:
    done = made_room(1024)
    assert done.stdout.strip() == str(1024 - start.SPARE)
    assert "1024 open files are allowed here" in done.stderr


def test_where_hardly_any_file_is_allowed_it_says_what_to_do() -> None:
    done = made_room(256)
    assert done.returncode != 0
    assert "256 open files are allowed here" in done.stderr
    assert "ulimit -n" in done.stderr


@pytest.mark.django_db
def test_pools_that_the_database_cannot_serve_are_told_with_their_sizes(monkeypatch: pytest.MonkeyPatch) -> None:
    start.count_connections()
    monkeypatch.setitem(settings.DATABASES["live"]["OPTIONS"]["pool"], "max_size", 5000)
    with pytest.raises(start.TooSmallError, match=r"takes \d+ connections|may take \d+ connections.*live 5000.*LIVE_AT_ONCE"):
        start.count_connections()


@pytest.mark.parametrize(
    ("address", "warned"),
    [
        ("http://192.0.2.1:8000", True),
        ("http://console.example", True),
        ("http://[2001:db8::1]:8000", True),
        ("https://console.example", False),
        ("http://127.0.0.1:8000", False),
        ("http://[::1]:8000", False),
        ("http://localhost:8000", False),
    ],
)
def test_a_plain_address_that_others_reach_is_warned_of(
    settings: Any, caplog: pytest.LogCaptureFixture, address: str, warned: bool
) -> None:
    settings.PUBLIC_URL = address
    start.warn_of_plain_http()
    said = f"PUBLIC_URL is {address}: whoever is on the way reads passwords and sessions"
    assert [each.getMessage().startswith(said) for each in caplog.records] == [True] * warned
