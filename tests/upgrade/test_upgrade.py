"""A database of an older release loses nothing by `migrate`, and the console goes on from it.

Every dump in `dumps/` is taken; `make_dump.py` makes the next one.
"""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from typing import Any

import pytest
from django.apps import apps
from django.contrib import admin
from django.contrib.auth import authenticate
from django.contrib.auth.models import User
from django.db import connection
from django.db.migrations.executor import MigrationExecutor
from django.test import Client, RequestFactory
from django.urls import reverse
from django.utils import timezone

from alerts.models import Alert, Destination, Notification
from nodes import operations, rollups
from nodes.models import Check, CheckResult, Event, Failover, Failure, Incident, MinuteRollup, Node, NodeState, Outbox, Pool
from tests.upgrade import inventory
from tests.upgrade.conftest import Upgraded
from tests.upgrade.going_on import Alerts, good_checks, time_passes

pytestmark = [pytest.mark.integration]

# Django's own books, written anew by each `migrate`.
OF_DJANGO = {"django_migrations", "django_content_type", "auth_permission", "auth_group_permissions"}
TOLD_ANEW = {"nodes_sharepoint"}  # from the decisions
GONE = {"nodes_fleetstate": {"late_told"}}  # columns that moved elsewhere
# How the end of a trouble was told, and is told today: (type, word in `detail`) -> type.
ENDS = {
    ("high_load", "over"): "high_load_ended",
    ("low_capacity", "over"): "low_capacity_ended",
    ("checker_isolated", "resolves"): "checker_rejoined",
    ("checks_late", "resolves"): "checks_on_time",
}
OF_THE_CONSOLE = {"checker_rejoined": "checker_isolated", "checks_on_time": "checks_late"}
OF_A_NODE_OR_POOL = {"high_load_ended": "high_load", "low_capacity_ended": "low_capacity"}


def type_today(event: dict[str, Any]) -> str:
    """The type that an event of the dump has today."""
    return next((today for (old, word), today in ENDS.items() if event["type"] == old and word in event["detail"]), event["type"])


def named_today(table: str, row: dict[str, Any]) -> dict[str, Any]:
    """The columns of a row of the dump that have another word today."""
    if table == "nodes_event":
        return {"type": type_today(row)}
    if table == "alerts_page" and row["resolved_at"] is None:
        return {"subject": subject_today(row["subject"])}
    return {}


def subject_today(subject: str) -> str:
    """The trouble that an open page of the dump is about, as it is named today."""
    kind, _, about = subject.partition("/")
    if kind in ("incident", "event"):
        return subject
    if kind == "checker_isolated":
        return f"checker/checker-1/{kind}"  # as the waiting event that ends it names it
    return f"{about}/{kind}" if about else f"fleet/{kind}"


def ended_subjects(event: dict[str, Any]) -> set[str]:
    """The subjects of the pages that an event of the dump ends."""
    today, found = type_today(event), set()
    if today in OF_THE_CONSOLE:
        found.add(OF_THE_CONSOLE[today])
    if today in OF_A_NODE_OR_POOL:
        about = f"node/{event['node_id']}" if event["node_id"] else f"pool/{event['pool_id']}"
        found.add(f"{OF_A_NODE_OR_POOL[today]}/{about}")
    if today == "incident_closed" or event["detail"].get("incident_closed"):
        found.add(f"incident/{event['incident_id']}")
    return found


def open_pages(upgraded: Upgraded) -> dict[int, dict[str, Any]]:
    return {number: page for number, page in upgraded.old("alerts_page").items() if page["resolved_at"] is None}


def ended_pages(upgraded: Upgraded) -> dict[int, dict[str, Any]]:
    """The dump's open pages whose end waits in its outbox."""
    subjects = {subject for event in upgraded.waiting_events for subject in ended_subjects(event)}
    return {number: page for number, page in open_pages(upgraded).items() if page["subject"] in subjects}


def frozen(row: dict[str, Any], columns: set[str]) -> str:
    return repr(sorted((name, value) for name, value in row.items() if name in columns))


def test_no_row_is_lost_and_every_column_says_what_it_said(upgraded: Upgraded) -> None:
    assert upgraded.before.keys() - upgraded.after.keys() == set()
    changed = {}
    for table in upgraded.before.keys() - OF_DJANGO:
        if upgraded.before[table]:
            columns = set(upgraded.before[table][0]) - GONE.get(table, set())
            old = Counter(frozen(row | named_today(table, row), columns) for row in upgraded.before[table])
            changed[table] = old - Counter(frozen(row, columns) for row in upgraded.after[table])
    assert {table: list(rows) for table, rows in changed.items() if rows} == {}


def test_nothing_is_added_but_the_ends_that_the_alerts_must_hear_of(upgraded: Upgraded) -> None:
    more = {table: len(rows) - len(upgraded.before.get(table, [])) for table, rows in upgraded.after.items()}
    closed = sum("incident_closed" in event["detail"] for event in upgraded.waiting_events)
    left_open = 2  # the high load of a removed node, see conftest; late checks, which are each checker's own now
    expected = {"nodes_event": closed + left_open, "nodes_outbox": closed + left_open}
    assert {table: count for table, count in more.items() if count and table not in OF_DJANGO | TOLD_ANEW} == expected


def held(shares: dict[str, int]) -> dict[str, int]:
    return {node: share for node, share in shares.items() if share}


def test_the_shares_of_every_pool_go_back_to_its_first_decision(upgraded: Upgraded) -> None:
    points = upgraded.after["nodes_sharepoint"]
    decisions = [row for row in upgraded.before["nodes_failover"] if row["epoch"] is not None]
    for pool in upgraded.before["nodes_poolstate"]:
        of_pool = sorted((row for row in points if row["pool_id"] == pool["pool_id"]), key=lambda row: (row["at"], row["id"]))
        first = min((row["at"] for row in decisions if row["pool_id"] == pool["pool_id"]), default=None)
        assert (of_pool[0]["at"] if of_pool else None) == first
        assert [row["epoch"] for row in of_pool] == sorted({row["epoch"] for row in of_pool})
    assert {sum(row["shares"].values()) for row in points} <= {0, 10_000}


def test_the_last_shares_of_every_pool_are_those_that_it_had(upgraded: Upgraded) -> None:
    removed = {row["id"] for row in upgraded.before["nodes_node"] if row["removed_at"] is not None}
    last = {row["pool_id"]: row for row in sorted(upgraded.after["nodes_sharepoint"], key=lambda row: row["id"])}
    assert last
    for pool, point in last.items():
        states = [row for row in upgraded.before["nodes_nodestate"] if row["pool_id"] == pool and row["node_id"] not in removed]
        assert point["shares"] == held({str(row["node_id"]): row["share"] for row in states})
        assert point["epoch"] == next(row["epoch"] for row in upgraded.before["nodes_poolstate"] if row["pool_id"] == pool)


def test_no_migration_is_pending(upgraded: Upgraded) -> None:
    executor = MigrationExecutor(connection)
    assert executor.migration_plan(executor.loader.graph.leaf_nodes()) == []


def test_every_row_can_be_read_by_the_models_of_today(upgraded: Upgraded) -> None:
    read = {model._meta.db_table: len([str(row) for row in model._default_manager.all()]) for model in apps.get_models()}
    ours = {table: len(rows) for table, rows in upgraded.after.items() if table in read and table not in OF_DJANGO}
    assert {table: read[table] for table in ours} == ours
    assert {table for table in upgraded.before if table in read} <= {*ours, *OF_DJANGO}


def test_the_dump_holds_every_state_that_a_console_can_be_left_in(upgraded: Upgraded) -> None:
    def found(table: str, column: str) -> set[Any]:
        return {row[column] for row in upgraded.before[table]}

    assert found("nodes_nodestate", "health") == {"unknown", "healthy", "degraded", "failed", "recovering"}
    assert found("nodes_nodestate", "admin_state") == {"enabled", "draining", "maintenance", "disabled"}
    assert found("nodes_nodestate", "breaker_state") == {"closed", "open", "half_open"}
    assert found("nodes_nodestate", "breaker_mode") == {"auto", "forced_open", "forced_closed", "metrics_only"}
    assert found("nodes_check", "kind") == {"http", "tcp", "tls", "push", "composite"}
    assert found("nodes_failover", "status") == {"started", "ramping", "completed", "failed", "refused"}
    assert found("alerts_notification", "status") == {"pending", "leased", "delivered", "superseded", "dead"}
    assert found("alerts_notification", "action") == {"trigger", "acknowledge", "resolve", "info", "test"}
    assert {page["subject"].split("/")[0] for page in ended_pages(upgraded).values()} == {
        "incident", "high_load", "low_capacity", "checker_isolated", "checks_late",
    }  # fmt: skip  # one line
    assert {incident["closed_at"] is None for incident in upgraded.before["nodes_incident"]} == {True, False}


def test_secrets_are_read_with_the_key_that_sealed_them(upgraded: Upgraded) -> None:
    kept = Destination.objects.defer(None).values_list("name", "address", "key")
    assert set(kept.filter(removed_at=None)) == {
        ("ops room", inventory.SLACK_URL, ""),
        ("old room", inventory.OLD_ROOM_URL, ""),
        ("on call", "", inventory.ROUTING_KEY),
        ("audit", inventory.WEBHOOK_URL, inventory.SIGNING_SECRET),
    }
    assert Check.objects.get(node__name="models-1").headers == inventory.HEADER


def test_people_log_in_with_their_passwords_and_keep_their_roles(upgraded: Upgraded) -> None:
    roles = dict(User.objects.exclude(groups=None).values_list("username", "groups__name"))
    assert roles == {"vic": "viewer", "olga": "operator", "alma": "admin"}
    assert all(authenticate(username=name, password="upgrade-test-password") for name in [inventory.ADMIN, *roles])


def test_a_standstill_of_the_console_fails_no_node(upgraded: Upgraded) -> None:
    before = Failure.objects.count()
    time_passes(timezone.now())
    good_checks(timezone.now(), 1)
    assert Failure.objects.count() == before
    assert set(NodeState.objects.exclude(admin_state="disabled").values_list("stale", flat=True)) == {False}


def test_good_checks_recover_failed_nodes_and_close_their_incidents(upgraded: Upgraded) -> None:
    by_checks = Failure.objects.filter(recovered_at=None, cause="health", node__state__breaker_mode="auto")
    failed = set(by_checks.values_list("pk", flat=True))
    others = Failure.objects.filter(recovered_at=None).exclude(pk__in=failed).values_list("incident", flat=True)
    incidents = set(
        Incident.objects.filter(closed_at=None, failures__in=failed).exclude(pk__in=others).values_list("pk", flat=True)
    )
    for paused in Pool.objects.exclude(state__paused=None):
        operations.resume(paused.pk, actor="olga")

    good_checks(timezone.now(), 30)

    assert len(failed) >= 3
    assert not Failure.objects.filter(pk__in=failed, recovered_at=None).exists()
    assert len(incidents) >= 2
    assert not Incident.objects.filter(pk__in=incidents, closed_at=None).exists()


def test_what_was_under_way_comes_to_its_end(upgraded: Upgraded) -> None:
    started = set(Failover.objects.filter(status="started").values_list("pk", flat=True))
    ramping = set(NodeState.objects.exclude(ramp=None).filter(breaker_state="closed").values_list("pk", flat=True))
    assert started
    assert ramping

    good_checks(timezone.now(), 80)

    assert not Failover.objects.filter(pk__in=started, status="started").exists()
    assert not NodeState.objects.filter(pk__in=ramping).exclude(ramp=None).exists()
    for pool in Pool.objects.filter(removed_at=None):
        assert sum(NodeState.objects.filter(pool_id=pool.pk).values_list("share", flat=True)) == 10_000


def test_a_forced_breaker_is_released_when_its_time_is_over(upgraded: Upgraded) -> None:
    forced = NodeState.objects.exclude(breaker_mode_until=None).get()
    time_passes(forced.breaker_mode_until - timedelta(seconds=1))
    forced.refresh_from_db()
    assert forced.breaker_mode == "forced_open"

    time_passes(forced.breaker_mode_until + timedelta(seconds=1))
    assert NodeState.objects.get(pk=forced.pk).breaker_mode == "auto"
    assert NodeState.objects.filter(breaker_mode="forced_closed", breaker_mode_until=None).exists()


def test_events_that_waited_for_the_alerts_end_the_pages_that_they_ended(upgraded: Upgraded) -> None:
    ended = ended_pages(upgraded)
    Alerts(upgraded.then).route()

    assert not Outbox.objects.exists()
    resolved = set(Alert.objects.filter(pk__in=open_pages(upgraded)).exclude(resolved_at=None).values_list("pk", flat=True))
    assert resolved == set(ended)
    for number, page in ended.items():
        last = Notification.objects.filter(alert=number).latest("pk")
        assert (last.action, last.dedup_key, last.destination_id) == ("resolve", page["dedup_key"], page["destination_id"])


def test_an_old_trouble_that_came_again_opens_a_page_of_its_own(upgraded: Upgraded) -> None:
    Alerts(upgraded.then).route()
    again = Alert.objects.filter(subject="fleet/checks_late").exclude(pk__in=upgraded.old("alerts_page"))
    assert again.count() == 3
    assert not again.filter(resolved_at=None).exists()  # late checks are told of each checker from now on


def test_waiting_messages_arrive_once_the_receivers_answer(upgraded: Upgraded) -> None:
    waiting = {
        row["id"]: row
        for row in upgraded.before["alerts_notification"]
        if row["status"] in ("pending", "leased") and upgraded.old("alerts_destination")[row["destination_id"]]["enabled"]
    }
    alerts = Alerts(upgraded.then + timedelta(minutes=3))
    alerts.work()

    now = dict(Notification.objects.filter(pk__in=waiting).values_list("pk", "status"))
    assert set(now.values()) <= {"delivered", "superseded"}
    told = [post["data"] for post in alerts.receiver.arrived if "data" in post]
    arrived = {(each["key"], each["action"], each["sequence"]) for each in told}
    sent = [waiting[number] for number, status in now.items() if status == "delivered"]
    delivered = {(row["dedup_key"], row["action"], row["sequence"]) for row in sent}
    assert delivered
    assert delivered <= arrived
    assert not Notification.objects.filter(status="pending", destination__enabled=True, due_at__lte=alerts.now).exists()


def test_a_page_is_ended_by_the_keys_that_opened_it_even_after_a_new_key_was_entered(upgraded: Upgraded) -> None:
    Destination.objects.filter(name="on call").update(key="another-routing-key")
    alerts = Alerts(upgraded.then)
    alerts.work()

    pages = [
        page for page in ended_pages(upgraded).values() if page["destination_id"] == Destination.objects.get(name="on call").pk
    ]
    resolves = {post["dedup_key"]: post["routing_key"] for post in alerts.pager.arrived if post["event_action"] == "resolve"}
    assert pages
    assert {page["dedup_key"]: resolves[page["dedup_key"]] for page in pages} == {
        page["dedup_key"]: inventory.ROUTING_KEY for page in pages
    }


def test_the_housekeeping_goes_on_from_the_old_partitions(upgraded: Upgraded) -> None:
    counted = MinuteRollup.objects.count()
    rollups.roll_up(upgraded.then + timedelta(hours=2))
    assert MinuteRollup.objects.count() > counted
    kept = CheckResult.objects.count()
    rollups.keep_partitions(upgraded.then)
    assert CheckResult.objects.count() == kept


@pytest.fixture
def browser(upgraded: Upgraded) -> Client:
    client = Client()
    client.force_login(User.objects.get(username=inventory.ADMIN))
    return client


def addresses() -> list[str]:
    """Every page there is of every old row."""
    found = [reverse(f"nodes:{name}") for name in ("dashboard", "events", "incidents", "reports", "reports_csv", "reports_json")]
    found += [reverse(f"alerts:{name}") for name in ("notifications", "destinations")]
    found += [reverse("metrics"), reverse("healthz"), reverse("admin:index")]
    found += [pool.get_absolute_url() for pool in Pool.objects.filter(removed_at=None)]
    for model in (Node, Incident, Failover, Notification):
        found += [row.get_absolute_url() for row in model.objects.all()]
    for incident in Incident.objects.all():
        found.append(reverse("alerts:incident_notifications", args=[incident.pk]))
    return found


def test_every_page_shows_the_old_rows(upgraded: Upgraded, browser: Client) -> None:
    refused = {address: browser.get(address).status_code for address in addresses()}
    assert {address: status for address, status in refused.items() if status != 200} == {}


def test_every_list_and_form_of_the_admin_shows_the_old_rows(upgraded: Upgraded, browser: Client, rf: RequestFactory) -> None:
    refused = {}
    asked = rf.get("/")
    asked.user = User.objects.get(username=inventory.ADMIN)
    for model, listed in admin.site._registry.items():
        name = f"admin:{model._meta.app_label}_{model._meta.model_name}"
        rows = listed.get_queryset(asked).values_list("pk", flat=True)[:5]
        for address in [reverse(f"{name}_changelist"), *(reverse(f"{name}_change", args=[row]) for row in rows)]:
            refused[address] = browser.get(address).status_code
    assert {address: status for address, status in refused.items() if status != 200} == {}


def test_the_history_names_what_happened_in_the_words_of_today(upgraded: Upgraded, browser: Client) -> None:
    newest = Event.objects.exclude(pk__in=upgraded.old("nodes_event")).count()
    shown = browser.get(reverse("nodes:events")).content.decode()
    assert newest == len(upgraded.after["nodes_event"]) - len(upgraded.before["nodes_event"])
    assert "Checks start on time again" in shown
