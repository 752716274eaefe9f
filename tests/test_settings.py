"""Settings: every variable of the environment, what follows from it, and the sentence that refuses a bad value."""

from __future__ import annotations

import os
import runpy
import stat
import subprocess
import sys
from collections.abc import Callable
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest
from cryptography.fernet import Fernet
from django.core.exceptions import ImproperlyConfigured

from tests.probes.servers import Authority

ROOT = Path(__file__).resolve().parent.parent
Load = Callable[..., dict[str, Any]]

SERVERS = {
    "DATABASE_URL": "postgresql://console:s3cret%2F@db.example:5433/fleet?sslmode=require",
    "REDIS_URL": "redis://redis.example:6380/2",
    "SECRET_KEY": "a key of the operator",
    "ENCRYPTION_KEYS": Fernet.generate_key().decode(),
}


@pytest.fixture
def load(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Load:
    """Reads the settings under the given environment and nothing else of ours."""
    monkeypatch.setenv("DATA_DIR", str(tmp_path / "data"))
    monkeypatch.delenv("EGRESS_ALLOW", raising=False)

    def read(**environment: str) -> dict[str, Any]:
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        return runpy.run_path(str(ROOT / "failover_console" / "settings.py"))

    return read


def test_nothing_set_means_embedded_services_on_loopback(load: Load, tmp_path: Path) -> None:
    settings = load()

    assert settings["EMBEDDED"]
    assert settings["PUBLIC_URL"] == "http://127.0.0.1:8000"
    assert settings["DATABASES"]["default"]["HOST"].startswith("/")
    assert settings["REDIS_URL"].startswith("unix:///")
    assert not settings["DEBUG"]


def test_the_authorities_of_all_checks_come_from_a_file(load: Load, tmp_path: Path) -> None:
    assert load()["CHECK_AUTHORITIES"] == ""
    authority = Authority(tmp_path)
    assert load(CHECK_CA_FILE=str(authority.path))["CHECK_AUTHORITIES"] == authority.path.read_text()


def test_embedded_secrets_are_made_once_and_kept_for_their_owner_alone(load: Load, tmp_path: Path) -> None:
    first, second = load(), load()

    assert first["SECRET_KEY"] == second["SECRET_KEY"]
    assert first["ENCRYPTION_KEYS"] == second["ENCRYPTION_KEYS"]
    for name in ("secret_key", "encryption_keys"):
        assert stat.S_IMODE((tmp_path / "data" / name).stat().st_mode) == 0o600
    assert stat.S_IMODE((tmp_path / "data").stat().st_mode) == 0o700


def test_the_users_programs_run_as_is_one_of_this_machine(load: Load) -> None:
    assert load(RUN_AS="root")["RUN_AS"] == "root"
    with pytest.raises(ImproperlyConfigured, match="RUN_AS is 'no-such-user', expected the name of a user of this machine"):
        load(RUN_AS="no-such-user")


def test_every_secret_that_the_console_knows_is_hidden_in_its_logs(load: Load) -> None:
    database = SERVERS["DATABASE_URL"]
    settings = load(**{**SERVERS, "REDIS_URL": "redis://:br%40ker@redis.example:6380/2", "DATABASE_URL": database})
    known = settings["OWN_SECRETS"]

    assert {SERVERS["SECRET_KEY"], SERVERS["ENCRYPTION_KEYS"], "s3cret%2F", "s3cret/", "br%40ker", "br@ker"} <= set(known)
    assert settings["LOGGING"]["formatters"]["line"]["secrets"] == known


def test_given_servers_are_used_as_they_are_named(load: Load) -> None:
    settings = load(**SERVERS)
    database = settings["DATABASES"]["default"]

    assert not settings["EMBEDDED"]
    assert (database["HOST"], database["PORT"], database["NAME"]) == ("db.example", "5433", "fleet")
    assert (database["USER"], database["PASSWORD"]) == ("console", "s3cret/")
    assert database["OPTIONS"]["sslmode"] == "require"
    assert settings["CELERY_BROKER_URL"] == SERVERS["REDIS_URL"]


def test_a_database_may_be_a_socket_directory(load: Load) -> None:
    database = load(**{**SERVERS, "DATABASE_URL": "postgresql:///fleet?host=/run/postgresql&user=console"})["DATABASES"]["default"]

    assert (database["HOST"], database["USER"], database["NAME"]) == ("/run/postgresql", "console", "fleet")


@pytest.mark.parametrize("missing", ["SECRET_KEY", "ENCRYPTION_KEYS"])
def test_with_a_given_database_both_secrets_must_be_given(load: Load, missing: str) -> None:
    with pytest.raises(ImproperlyConfigured, match=f"^{missing} is not set; with DATABASE_URL set it must be"):
        load(**{name: value for name, value in SERVERS.items() if name != missing})


def test_an_https_address_turns_on_what_browsers_need(load: Load) -> None:
    settings = load(PUBLIC_URL="https://console.example")

    assert settings["SECURE_SSL_REDIRECT"]
    assert settings["SESSION_COOKIE_SECURE"]
    assert settings["CSRF_COOKIE_SECURE"]
    assert settings["SECURE_HSTS_SECONDS"] >= 31_536_000
    assert settings["CONTENT_SECURITY_POLICY"]["DIRECTIVES"]["connect-src"] == ["'self'", "wss://console.example"]


def test_a_plain_address_turns_off_what_would_lock_people_out(load: Load) -> None:
    settings = load(PORT="8010")

    assert not settings["SECURE_SSL_REDIRECT"]
    assert not settings["SESSION_COOKIE_SECURE"]
    assert settings["SECURE_HSTS_SECONDS"] == 0


def test_two_consoles_on_one_host_have_cookies_of_their_own(load: Load) -> None:
    one, other = load(PORT="8000"), load(PORT="8010")

    assert one["SESSION_COOKIE_NAME"] != other["SESSION_COOKIE_NAME"]
    assert one["CSRF_COOKIE_NAME"] != other["CSRF_COOKIE_NAME"]


@pytest.mark.parametrize(
    ("given", "written"),
    [
        ("https://Console.Example:443/", "https://console.example"),
        ("http://console.example:80", "http://console.example"),
        ("http://[::1]:8000", "http://[::1]:8000"),
    ],
)
def test_the_public_address_is_written_as_browsers_write_an_origin(load: Load, given: str, written: str) -> None:
    assert load(PUBLIC_URL=given)["PUBLIC_URL"] == written


def test_health_checks_may_ask_by_loopback_whatever_hosts_are_named(load: Load) -> None:
    assert set(load(ALLOWED_HOSTS="console.example")["ALLOWED_HOSTS"]) == {"console.example", "127.0.0.1", "[::1]", "localhost"}


def test_an_address_of_version_6_is_allowed_as_the_host_header_writes_it(load: Load) -> None:
    assert "[2001:db8::1]" in load(PUBLIC_URL="http://[2001:db8::1]:8000")["ALLOWED_HOSTS"]
    assert "[2001:db8::1]" in load(PUBLIC_URL="http://[2001:db8::1]")["ALLOWED_HOSTS"]


def test_networks_and_canaries_are_read_in_their_types(load: Load) -> None:
    settings = load(EGRESS_ALLOW="127.0.0.0/8, fd00::/8", CANARIES="192.0.2.1:443,[2001:db8::1]:53")

    assert settings["EGRESS_ALLOW"] == (ip_network("127.0.0.0/8"), ip_network("fd00::/8"))
    assert settings["CANARIES"] == (("192.0.2.1", 443), ("2001:db8::1", 53))


def test_a_dead_mans_switch_is_called_as_it_is_written_or_not_at_all(load: Load) -> None:
    assert load()["DEAD_MANS_SWITCH_URL"] == ""
    assert load(DEAD_MANS_SWITCH_URL="http://10.0.0.7/push?key=1")["DEAD_MANS_SWITCH_URL"] == "http://10.0.0.7/push?key=1"


@pytest.mark.parametrize(
    ("name", "given"),
    [
        ("PORT", "80a"),
        ("PORT", "70000"),
        ("HOST", "not a host"),
        ("DEBUG", "maybe"),
        ("PUBLIC_URL", "console.example"),
        ("PUBLIC_URL", "https://console.example/path"),
        ("PUBLIC_URL", "https://console.example#part"),
        ("PUBLIC_URL", "https://user@console.example"),
        ("PUBLIC_URL", "https://console.example:99999"),
        ("PUBLIC_URL", "https://[::1"),
        ("DATA_DIR", "/dev/null/data"),
        ("DATABASE_URL", "mysql://db.example/fleet"),
        ("DATABASE_URL", "postgresql://db.example:port/fleet"),
        ("DATABASE_URL", "postgresql://db.example"),
        ("REDIS_URL", "http://redis.example"),
        ("CELERY_BROKER_URL", "sqs://"),
        ("ENCRYPTION_KEYS", "too-short"),
        ("ENCRYPTION_KEYS", ","),
        ("EGRESS_ALLOW", "10.0.0.0/33"),
        ("CHECK_CA_FILE", "/no/such/file.pem"),
        ("CHECK_CA_FILE", __file__),
        ("CANARIES", "192.0.2.1"),
        ("DEAD_MANS_SWITCH_URL", "watcher.example/ping"),
        ("DEAD_MANS_SWITCH_URL", "https:///ping"),
        ("DEAD_MANS_SWITCH_URL", "https://watcher.example:99999/ping"),
        ("DEAD_MANS_SWITCH_STOP_URL", "https://user@watcher.example/ping"),
        ("DEAD_MANS_SWITCH_STOP_URL", "https://[::1"),
    ],
)
def test_a_bad_value_is_refused_with_one_sentence_that_names_it(load: Load, name: str, given: str) -> None:
    with pytest.raises(ImproperlyConfigured, match=rf"^{name} .*expected|^{name} holds a key") as refusal:
        load(**{**SERVERS, name: given})

    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("name", ["DATABASE_URL", "REDIS_URL", "CELERY_BROKER_URL", "DEAD_MANS_SWITCH_URL"])
def test_a_refused_address_does_not_tell_its_password(load: Load, name: str) -> None:
    with pytest.raises(ImproperlyConfigured) as refusal:
        load(**{**SERVERS, name: "gopher://user:hunter2@host.example"})

    assert "hunter2" not in str(refusal.value)


def test_the_schedule_is_short_and_stale_ticks_expire(load: Load) -> None:
    settings = load()
    schedule = settings["CELERY_BEAT_SCHEDULE"]

    assert len(schedule) <= 10
    # Longer than clocks of hosts differ, short enough that a worker which comes back finds no heap of them.
    assert all(3600 < entry["options"]["expires"] <= 7200 for entry in schedule.values())
    assert {entry["task"] for entry in schedule.values()} == {
        "nodes.run_checks",
        "alerts.run_alerts",
        "nodes.roll_up",
        "nodes.watch_logins",
        "nodes.keep_partitions",
        "nodes.forget_report_keys",
        "accounts.forget_sessions",
    }


def test_the_broker_of_the_embedded_redis_is_its_socket(load: Load) -> None:
    assert load()["CELERY_BROKER_URL"].startswith("redis+socket:///")


@pytest.mark.integration
def test_a_command_ends_with_the_sentence_and_no_traceback() -> None:
    answer = subprocess.run(
        [sys.executable, "manage.py", "check"],
        cwd=ROOT,
        env={**os.environ, "PORT": "http"},
        capture_output=True,
        text=True,
        check=False,
    )

    assert answer.returncode == 1
    assert answer.stderr == "failover-console: PORT is 'http', expected a port number from 1 to 65535.\n"


def test_single_sign_on_without_a_client_stops_the_start(load: Load) -> None:
    with pytest.raises(ImproperlyConfigured, match="OIDC_CLIENT_ID is not set"):
        load(OIDC_SERVER_URL="https://id.example")


def test_single_sign_on_is_off_until_it_is_set(load: Load) -> None:
    assert load()["SOCIALACCOUNT_PROVIDERS"] == {"openid_connect": {"APPS": []}}
    given = load(OIDC_SERVER_URL="https://id.example", OIDC_CLIENT_ID="console", OIDC_CLIENT_SECRET="s")
    app = given["SOCIALACCOUNT_PROVIDERS"]["openid_connect"]["APPS"][0]
    assert (app["client_id"], app["secret"], given["OIDC_DEFAULT_ROLE"]) == ("console", "s", "nobody")
