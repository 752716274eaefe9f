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


def test_what_must_survive_is_on_a_volume(services: dict[str, Any]) -> None:
    assert services["postgres"]["volumes"] == ["postgres:/var/lib/postgresql"]
    assert services["valkey"]["volumes"] == ["valkey:/data"]
