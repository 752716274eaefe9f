"""An upgrade from the version that called an alert a page: no row, grant or constraint is lost, and back again."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from django.contrib.auth.models import Group, Permission
from django.core.management import call_command
from django.db import IntegrityError, connection, transaction
from django.db.migrations.executor import MigrationExecutor

from tests.alerts.history import NOON

pytestmark = [pytest.mark.integration, pytest.mark.django_db(transaction=True, serialized_rollback=True)]

BEFORE, AFTER = "0005_event_types", "0006_alert"


def migrate(name: str) -> Any:
    """Migrate as `manage.py migrate` does; returns the models as of that migration."""
    call_command("migrate", "alerts", name, verbosity=0)
    return MigrationExecutor(connection).loader.project_state([("alerts", name)]).apps


@pytest.fixture
def old() -> Iterator[Any]:
    ((_, newest),) = MigrationExecutor(connection).loader.graph.leaf_nodes("alerts")
    yield migrate(BEFORE)
    migrate(newest)


def write_page(old: Any) -> tuple[int, int]:
    destination = old.get_model("alerts", "Destination").objects.create(name="pager", kind="pagerduty")
    page = old.get_model("alerts", "Page").objects.create(
        destination=destination, subject="incident/7", dedup_key="k", severity="critical", nodes=[4], triggers=2, opened_at=NOON
    )
    message = old.get_model("alerts", "Notification").objects.create(
        destination=destination, page=page, action="trigger", dedup_key="k", severity="critical", payload={}, due_at=NOON,
        created_at=NOON,
    )  # fmt: skip  # one row
    return page.pk, message.pk


def test_pages_become_alerts_with_their_notifications(old: Any) -> None:
    page, message = write_page(old)
    new = migrate(AFTER)
    alert = new.get_model("alerts", "Alert").objects.get()
    assert (alert.pk, alert.subject, alert.nodes, alert.triggers, alert.destination.name) == (page, "incident/7", [4], 2, "pager")
    assert list(alert.notifications.values_list("pk", flat=True)) == [message]


def test_a_process_of_the_last_version_reads_and_writes_on(old: Any) -> None:
    page, message = write_page(old)
    migrate(AFTER)
    assert old.get_model("alerts", "Notification").objects.get(pk=message).page.pk == page
    assert old.get_model("alerts", "Page").objects.filter(pk=page).update(triggers=3) == 1


def test_one_alert_for_each_key_is_still_enforced(old: Any) -> None:
    write_page(old)
    new = migrate(AFTER)
    alert = new.get_model("alerts", "Alert").objects.get()
    alert.pk = None
    with pytest.raises(IntegrityError, match="one_alert_per_key"), transaction.atomic():
        alert.save(force_insert=True)


def test_what_was_granted_stays_granted_there_and_back(old: Any) -> None:
    group = Group.objects.get(name="viewer")
    group.permissions.add(Permission.objects.get(codename="view_page", content_type__model="page"))
    migrate(AFTER)
    granted = group.permissions.filter(content_type__app_label="alerts", content_type__model="alert")
    assert list(granted.values_list("codename", "name")) == [("view_alert", "Can view alert")]
    migrate(BEFORE)
    assert group.permissions.filter(codename="view_page", content_type__model="page").exists()
