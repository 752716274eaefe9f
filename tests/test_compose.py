"""compose.yaml starts what `manage.py up` starts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from failover_console.processes import all_processes

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="module")
def services() -> dict[str, Any]:
    return dict(yaml.safe_load((ROOT / "compose.yaml").read_text())["services"])


def test_every_program_of_up_is_a_service_under_a_supervisor(services: dict[str, Any]) -> None:
    commands = {name: service["command"] for name, service in services.items() if "supervise" in service["command"]}

    assert commands == {name: ["python", "manage.py", "supervise", name] for name in all_processes("0.0.0.0", "8000")}


def test_every_lasting_service_has_a_health_check(services: dict[str, Any]) -> None:
    assert {name for name, service in services.items() if "healthcheck" not in service} == {"migrate"}


def test_the_programs_wait_for_the_migrations(services: dict[str, Any]) -> None:
    for name in all_processes("0.0.0.0", "8000"):
        assert services[name]["depends_on"]["migrate"] == {"condition": "service_completed_successfully"}


def test_valkey_asks_for_a_password_that_every_program_has_and_no_command_line_shows(services: dict[str, Any]) -> None:
    compose = yaml.safe_load((ROOT / "compose.yaml").read_text())
    given = "${VALKEY_PASSWORD:?set it in .env"

    assert compose["configs"]["valkey"]["content"].startswith(f"requirepass {given}")
    assert services["valkey"]["configs"] == [{"source": "valkey", "target": "/etc/valkey.conf"}]
    assert services["valkey"]["command"][:2] == ["valkey-server", "/etc/valkey.conf"]
    for name in ("migrate", *all_processes("0.0.0.0", "8000")):
        assert services[name]["environment"]["REDIS_URL"].startswith(f"redis://:{given}")
    assert not [name for name, service in services.items() if "PASSWORD" in str(service.get("command"))]


def test_what_must_survive_is_on_a_volume(services: dict[str, Any]) -> None:
    assert services["postgres"]["volumes"] == ["postgres:/var/lib/postgresql"]
    assert services["valkey"]["volumes"] == ["valkey:/data"]
