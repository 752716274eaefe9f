"""History is read and never written, by nobody."""

from __future__ import annotations

import pytest
from django.test import Client
from django.utils import timezone

from nodes.models import Event, Failover, Incident
from tests.admin.conftest import Fleet, page


@pytest.fixture
def happened(fleet: Fleet) -> dict[str, int]:
    now = timezone.now()
    incident = Incident.objects.create(pool=fleet.pool, opened_at=now, detected_at=now, severity="critical", summary="alpha failed")
    failover = Failover.objects.create(
        kind="failover", status="completed", pool=fleet.pool, node=fleet.first, incident=incident, epoch=4, at=now, actor="engine",
        reason="alpha failed", shares_before={}, shares_after={}, record={},
    )  # fmt: skip
    event = Event.objects.create(
        at=now,
        type="node_marked_failed",
        severity="critical",
        pool=fleet.pool,
        node=fleet.first,
        actor="engine",
        message="alpha failed",
    )
    return {"incident": incident.pk, "failover": failover.pk, "event": event.pk}


@pytest.mark.parametrize("model", ["event", "incident", "failover"])
def test_history_is_listed_and_shown(operator: Client, happened: dict[str, int], model: str) -> None:
    assert "alpha failed" in operator.get(page(model)).content.decode()
    assert operator.get(page(model, "change", happened[model])).status_code == 200


@pytest.mark.parametrize("model", ["event", "incident", "failover"])
def test_not_even_a_superuser_writes_history(root: Client, happened: dict[str, int], model: str) -> None:
    assert root.get(page(model, "add")).status_code == 403
    assert root.post(page(model, "change", happened[model]), {"message": "never happened"}).status_code == 403
    assert root.post(page(model, "delete", happened[model]), {"post": "yes"}).status_code == 403
