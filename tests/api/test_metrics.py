"""What Prometheus reads: names, types and labels, and figures that follow what happened."""

from __future__ import annotations

from contextlib import ExitStack
from datetime import datetime, timedelta
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.conf import settings
from django.contrib.auth.models import User
from django.db import connection as django_connection
from django.db import connections
from django.test import AsyncClient, Client

from alerts.delivery import RetryAfter
from alerts.models import Destination, Notification
from alerts.services import dispatch
from alerts.services.destination_breaker import POLICY, count_outcome
from nodes import operations
from nodes.engine.enums import AdminState, EventType, Guard, Mode, Severity, Verdict
from nodes.hub import hub
from nodes.ledger.connections import connect
from nodes.models import (
    Checker,
    Event,
    Failover,
    FailoverPolicy,
    Incident,
    Node,
    NodeState,
    Outbox,
    Pool,
    PoolState,
    Runner,
)
from nodes.runner.counters import BUCKETS
from tests.api.conftest import Ask, Token
from tests.api.scraping import Scrape
from tests.pages import fleet
from tests.pages.browser import LiveSocket

NAMED = {  # family (without _total, as the parser names it) -> type and labels
    "failover_build_info": ("gauge", {"version"}),
    "failover_node_up": ("gauge", {"pool", "node"}),
    "failover_node_state": ("gauge", {"pool", "node", "state"}),
    "failover_node_share_ratio": ("gauge", {"pool", "node"}),
    "failover_breaker_state": ("gauge", {"pool", "node", "state"}),
    "failover_breaker_transitions": ("counter", {"pool", "node", "to"}),
    "failover_checks": ("counter", {"result"}),
    "failover_check_duration_seconds": ("histogram", {"le"}),
    "failover_check_schedule_lag_seconds": ("gauge", set()),
    "failover_checks_late": ("counter", set()),
    "failover_results_stale": ("counter", set()),
    "failover_loop_stalls": ("counter", set()),
    "failover_scheduler_last_tick_timestamp_seconds": ("gauge", set()),
    "failover_failovers": ("counter", {"result", "trigger"}),
    "failover_failover_duration_seconds": ("histogram", {"le"}),
    "failover_incidents_open": ("gauge", {"severity"}),
    "failover_incident_duration_seconds": ("histogram", {"le"}),
    "failover_outbox_pending": ("gauge", set()),
    "failover_outbox_oldest_age_seconds": ("gauge", set()),
    "failover_notifications": ("counter", {"channel_kind"}),
    "failover_notifications_failed": ("counter", {"channel_kind", "reason"}),
    "failover_notifications_suppressed": ("counter", {"reason"}),
    "failover_notification_latency_seconds": ("histogram", {"le"}),
    "failover_ws_clients": ("gauge", set()),
    "failover_connections": ("gauge", set()),
    "failover_requests_refused": ("counter", {"class", "reason"}),
    "failover_node_info": ("gauge", {"pool", "node", "admin_state", "mode"}),
    "failover_node_stale": ("gauge", {"pool", "node"}),
    "failover_node_check_age_seconds": ("gauge", {"pool", "node"}),
    "failover_pool_service": ("gauge", {"pool", "state"}),
    "failover_nodes_left_out": ("gauge", set()),
    "failover_nodes_by_state": ("gauge", {"state"}),
    "failover_nodes_by_admin_state": ("gauge", {"admin_state"}),
    "failover_nodes_by_mode": ("gauge", {"mode"}),
    "failover_nodes_stale": ("gauge", set()),
    "failover_guard_blocking": ("gauge", {"pool", "guard"}),
    "failover_automation_paused": ("gauge", set()),
    "failover_checker_isolated": ("gauge", {"checker"}),
    "failover_checker_resolver_down": ("gauge", {"checker"}),
    "failover_checkers_believed": ("gauge", set()),
    "failover_no_checker_believed": ("gauge", set()),
    "failover_failovers_under_way": ("gauge", {"state"}),
    "failover_refusals": ("counter", {"guard"}),
    "failover_destination_state": ("gauge", {"destination", "channel_kind", "state"}),
    "failover_check_loop_lag_seconds": ("gauge", set()),
    "failover_host_clock_ahead_seconds": ("gauge", {"host"}),
    "failover_database_connections_free": ("gauge", set()),
    "failover_default_partition_rows": ("gauge", {"table"}),
    "failover_loop_lag_seconds": ("gauge", set()),
    "failover_dead_mans_switch_last_success_timestamp_seconds": ("gauge", set()),
    "failover_dead_mans_switch_last_error_timestamp_seconds": ("gauge", set()),
}
OF_THE_PROCESS = {
    "failover_build_info", "failover_ws_clients", "failover_loop_lag_seconds", "failover_connections", "failover_requests_refused",
}  # fmt: skip  # a list to read


def notification(slack: Destination, action: str, key: str, at: datetime, **fields: Any) -> Notification:
    event = Event.objects.create(at=at, type="node_marked_failed", severity="critical", actor="engine", message="failed")
    sealed = {"severity": "critical", "payload": {}, "due_at": at, "created_at": at}
    return Notification.objects.create(destination=slack, event=event, action=action, dedup_key=key, **sealed, **fields)


# Who may read --------------------------------------------------------------------------------------------------------------


def test_strangers_are_refused(client: Client, db: None) -> None:
    answer = client.get("/metrics")
    assert (answer.status_code, answer["WWW-Authenticate"]) == (401, "Bearer")


def test_a_token_of_another_scope_is_forbidden(client: Client, token: Token) -> None:
    answer = client.get("/metrics", headers={"authorization": token("shares")})
    assert (answer.status_code, answer.json()["error"]) == (403, "this bearer token lacks the scope metrics")


def test_a_revoked_token_is_refused(client: Client, token: Token, now: datetime) -> None:
    assert client.get("/metrics", headers={"authorization": token("metrics", revoked_at=now)}).status_code == 401


def test_a_session_reads_without_a_token(client: Client, db: None) -> None:
    client.force_login(User.objects.create_user("vera"))
    assert client.get("/metrics").status_code == 200


# What is told --------------------------------------------------------------------------------------------------------------


def test_an_empty_console_tells_figures_too(scrape: Ask, db: None) -> None:
    told = scrape()
    assert told("failover_incidents_open", severity="critical") == 0
    assert told("failover_incident_duration_seconds_count") == 0
    assert told("failover_check_duration_seconds_bucket", le="+Inf") == 0
    assert told("failover_scheduler_last_tick_timestamp_seconds") == 0


def test_every_family_has_the_type_and_labels_that_are_documented(
    scrape: Ask, api: Pool, slack: Destination, now: datetime
) -> None:
    Runner.objects.create(host="web-1", slot=0, kind="web", pid=1, started_at=now, seen_at=now)
    Checker.objects.create(host="east")
    told = scrape().families
    labels = {name: {label for each in family.samples for label in each.labels} for name, family in told.items()}
    assert {name: (family.type, labels[name]) for name, family in told.items()} == NAMED
    assert all(family.documentation for family in told.values())


def test_each_node_tells_its_health_breaker_and_share(scrape: Ask, api: Pool) -> None:
    NodeState.objects.filter(node__name="api-1").update(breaker_times_opened=3, breaker_closings=2, breaker_state="half_open")
    told, first, second = scrape(), {"pool": "public-api", "node": "api-1"}, {"pool": "public-api", "node": "api-2"}
    assert (told("failover_node_up", **first), told("failover_node_up", **second)) == (1, 0)
    assert (told("failover_node_share_ratio", **first), told("failover_node_share_ratio", **second)) == (1, 0)
    assert [told("failover_node_state", **second, state=state) for state in ("healthy", "failed")] == [0, 1]
    assert [told("failover_breaker_state", **first, state=state) for state in ("closed", "open", "half_open")] == [0, 0, 1]
    assert told("failover_breaker_transitions_total", **first, to="open") == 3
    assert told("failover_breaker_transitions_total", **first, to="closed") == 2


def test_a_removed_node_is_told_no_more(scrape: Ask, api: Pool, now: datetime) -> None:
    Node.objects.filter(name="api-2").update(removed_at=now)
    assert scrape()("failover_node_up", pool="public-api", node="api-2") is None


def test_checks_are_summed_over_the_runners(scrape: Ask, db: None, now: datetime) -> None:
    work = {"checks": 7, "late": 2, "stale_results": 3, "stalls": 1, "verdicts": {"pass": 5, "fail": 2}}
    took = {"latency_buckets": [0, 1, 0, 2, *[0] * (len(BUCKETS) - 5), 3, 1], "latency_sum": 40.5}
    alive = {"host": "console", "kind": "checks", "pid": 1, "started_at": now, "seen_at": now}
    for slot in (0, 1):
        Runner.objects.create(slot=slot, lateness_p99=0.1 * (slot + 1), **alive, **work, **took)
    Runner.objects.create(host="console", slot=8000, kind="web", pid=9, started_at=now, seen_at=now)
    told = scrape()
    assert (told("failover_checks_total", result="pass"), told("failover_checks_total", result="fail")) == (10, 4)
    assert (told("failover_checks_late_total"), told("failover_results_stale_total"), told("failover_loop_stalls_total")) == (
        4,
        6,
        2,
    )
    bounds = ("0.005", "0.01", "0.05", "5.0", "10.0", "+Inf")
    assert [told("failover_check_duration_seconds_bucket", le=le) for le in bounds] == [0, 2, 6, 6, 12, 14]
    assert (told("failover_check_duration_seconds_count"), told("failover_check_duration_seconds_sum")) == (14, 81)
    assert told("failover_check_schedule_lag_seconds") == 0.2
    assert told("failover_scheduler_last_tick_timestamp_seconds") == pytest.approx(now.timestamp())


def test_the_lag_of_a_runner_that_died_is_told_no_more(scrape: Ask, db: None, now: datetime) -> None:
    fleet.runners(now)
    Runner.objects.filter(slot=1).update(lateness_p99=9.0, seen_at=now - timedelta(minutes=1))
    assert scrape()("failover_check_schedule_lag_seconds") == 0.012


def test_failovers_are_counted_when_they_have_ended(scrape: Ask, api: Pool, now: datetime) -> None:
    moved = Failover.objects.get(kind="failover")
    assert moved.status == "started"
    before = scrape()
    assert before("failover_failovers_total", result="completed", trigger="failover") == 0
    assert before.of("failover_failovers_under_way") == {"started": 1, "ramping": 0}
    Failover.objects.filter(pk=moved.pk).update(status="completed", completed_at=moved.at + timedelta(seconds=2.5))
    told = scrape()
    assert told("failover_failovers_total", result="completed", trigger="failover") == 1
    assert told.of("failover_failovers_under_way") == {"started": 0, "ramping": 0}
    spent = [told("failover_failover_duration_seconds_bucket", le=le) for le in ("1.0", "2.5", "+Inf")]
    assert (spent, told("failover_failover_duration_seconds_sum")) == ([0, 1, 1], 2.5)


def test_incidents_are_open_until_they_close_and_then_have_a_duration(scrape: Ask, api: Pool) -> None:
    incident = Incident.objects.get()
    told = scrape()
    assert told("failover_incidents_open", severity="critical") == 1
    assert told("failover_incidents_open", severity="warning") == 0
    assert told("failover_incident_duration_seconds_count") == 0
    Incident.objects.update(closed_at=incident.opened_at + timedelta(seconds=90))
    told = scrape()
    assert told("failover_incidents_open", severity="critical") == 0
    spans = [told("failover_incident_duration_seconds_bucket", le=le) for le in ("60.0", "300.0", "+Inf")]
    assert (spans, told("failover_incident_duration_seconds_sum")) == ([0, 1, 1], 90)


def test_messages_are_counted_with_the_time_since_their_event(scrape: Ask, slack: Destination, now: datetime) -> None:
    for number, seconds in enumerate((0.4, 5, 5.1)):
        notification(slack, "trigger", f"k{number}", now, status="delivered", delivered_at=now + timedelta(seconds=seconds))
    notification(slack, "trigger", "k9", now)
    told = scrape()
    assert told("failover_notifications_total", channel_kind="slack") == 3
    spans = [told("failover_notification_latency_seconds_bucket", le=le) for le in ("0.5", "2.5", "5.0", "10.0", "+Inf")]
    assert spans == [1, 1, 2, 3, 3]


def test_attempts_that_did_not_deliver_are_counted_by_their_outcome(scrape: Ask, slack: Destination, now: datetime) -> None:
    message = notification(slack, "trigger", "k", now)
    for outcome in ("retry", "retry", "lost", "accepted"):
        message.tries.create(at=now, outcome=outcome)
    told = scrape()
    assert told("failover_notifications_failed_total", channel_kind="slack", reason="retry") == 2
    assert told("failover_notifications_failed_total", channel_kind="slack", reason="lost") == 1
    assert told("failover_notifications_failed_total", channel_kind="slack", reason="accepted") is None


def test_messages_that_were_overtaken_are_counted_by_why(scrape: Ask, slack: Destination, now: datetime) -> None:
    notification(slack, "trigger", "k", now)
    notification(slack, "resolve", "k", now)
    for _ in range(2):
        dispatch.expire_superseded(now)
    told = scrape()
    assert told("failover_notifications_suppressed_total", reason="overtaken") == 1
    assert told("failover_notifications_suppressed_total", reason="never_told") == 1


def test_the_outbox_tells_how_far_the_alerts_are_behind(scrape: Ask, db: None, now: datetime) -> None:
    for age in (30, 600):
        then = now - timedelta(seconds=age)
        kind, severity = EventType.CONFIG_CHANGED.value, Severity.INFO.value
        Outbox.objects.create(event=Event.objects.create(at=then, type=kind, severity=severity, actor="ada", message="edited"))
    told = scrape()
    assert told("failover_outbox_pending") == 2
    assert told("failover_outbox_oldest_age_seconds") > 590


def test_the_number_of_questions_does_not_grow_with_the_fleet(
    scrape: Ask, api: Pool, now: datetime, django_assert_num_queries: Any, django_assert_max_num_queries: Any
) -> None:
    scrape()  # notes the token's use, once
    with django_assert_max_num_queries(30) as few:
        scrape()
    fleet.pool("Another", "another", [f"n-{number}" for number in range(30)], now)
    with django_assert_num_queries(len(few)):
        scrape()


# Nodes, guards, destinations, the console itself ---------------------------------------------------------------------------

FIRST = {"pool": "public-api", "node": "api-1"}


def test_each_node_tells_its_admin_state_and_its_breakers_mode(scrape: Ask, api: Pool) -> None:
    node = Node.objects.get(name="api-1")
    operations.force_breaker(node.pk, Mode.FORCED_CLOSED, actor="ada", reason="test", until=None)
    operations.set_admin_state(Node.objects.get(name="api-2").pk, AdminState.MAINTENANCE, actor="ada")
    told = scrape()
    assert told("failover_node_info", **FIRST, admin_state="enabled", mode="forced_closed") == 1
    assert told("failover_node_info", **FIRST | {"node": "api-2"}, admin_state="maintenance", mode="auto") == 1
    assert told.of("failover_nodes_by_admin_state") == {"enabled": 1, "draining": 0, "maintenance": 1, "disabled": 0}
    assert told.of("failover_nodes_by_mode") == {"auto": 1, "forced_open": 0, "forced_closed": 1, "metrics_only": 0}
    assert told.of("failover_nodes_by_state") == {"unknown": 0, "healthy": 1, "degraded": 0, "failed": 1, "recovering": 0}


def test_a_node_is_stale_by_the_one_rule_and_tells_the_age_of_its_last_check(scrape: Ask, api: Pool, now: datetime) -> None:
    assert (scrape()("failover_node_stale", **FIRST), scrape()("failover_nodes_stale")) == (0, 0)
    long_ago = now - timedelta(minutes=5)
    NodeState.objects.filter(node__name="api-1").update(checked_at=long_ago, observed_at=long_ago)
    told = scrape()
    assert (told("failover_node_stale", **FIRST), told("failover_nodes_stale")) == (1, 1)
    assert 299 < (told("failover_node_check_age_seconds", **FIRST) or 0) < 330
    assert NodeState.objects.select_related("node__pool__failover_policy").get(node__name="api-1").is_stale(now)


def test_a_node_that_was_never_checked_has_the_age_of_its_row(scrape: Ask, db: None, now: datetime) -> None:
    fleet.pool("New", "new", ["n-1"], now)
    Node.objects.update(created_at=now - timedelta(seconds=60))
    assert 59 < (scrape()("failover_node_check_age_seconds", pool="new", node="n-1") or 0) < 90


@pytest.mark.parametrize("where", ["pool", "everywhere"])
def test_a_pause_blocks_the_pool(scrape: Ask, api: Pool, where: str) -> None:
    paused = {"pool": "public-api", "guard": "paused"}
    assert scrape()("failover_guard_blocking", **paused) == 0
    operations.pause(api.pk if where == "pool" else None, actor="ada", reason="night", until=None)
    told = scrape()
    assert told("failover_guard_blocking", **paused) == 1
    assert told("failover_automation_paused") == (where == "everywhere")


def test_a_cooldown_blocks_until_it_ends_or_is_lifted(scrape: Ask, api: Pool, now: datetime) -> None:
    cooling_down = {"pool": "public-api", "guard": "cooldown"}
    FailoverPolicy.objects.update(cooldown=600.0)
    assert scrape()("failover_guard_blocking", **cooling_down) == 1
    operations.acknowledge(Incident.objects.get().pk, actor="ada", note="on it")
    assert scrape()("failover_guard_blocking", **cooling_down) == 0
    PoolState.objects.update(last_failover_at=now - timedelta(minutes=11), cooldown_lifted_at=None)
    assert scrape()("failover_guard_blocking", **cooling_down) == 0


def test_a_guard_that_refuses_a_failed_node_blocks_and_is_counted(scrape: Ask, api: Pool, now: datetime) -> None:
    fleet.rounds(api, now, 3, dict.fromkeys(("api-1", "api-2"), (Verdict.FAIL, "connection refused")))
    told = scrape()
    blocking = {guard: told("failover_guard_blocking", pool="public-api", guard=guard) for guard in Guard}
    assert blocking == {guard: float(guard == Guard.NO_CANDIDATE) for guard in Guard}
    assert told.of("failover_refusals") == {guard: float(guard == Guard.NO_CANDIDATE) for guard in Guard}


def test_a_destination_tells_its_state(scrape: Ask, slack: Destination, now: datetime) -> None:
    def state() -> set[str]:
        samples = scrape().families["failover_destination_state"].samples
        assert {each.labels["state"] for each in samples} == {"closed", "half_open", "open", "disabled"}
        return {each.labels["state"] for each in samples if each.value}

    assert state() == {"closed"}
    for _ in range(POLICY.failure_threshold or 0):
        count_outcome(slack, RetryAfter(None, "503", status=503), now, by_hand=False)
    slack.save()
    assert state() == {"open"}
    slack.breaker = {**(slack.breaker or {}), "taken_at": (now - timedelta(minutes=2)).timestamp()}
    slack.save()
    assert state() == {"half_open"}
    slack.enabled = False
    slack.save()
    assert state() == {"disabled"}


def test_the_console_tells_its_loops_and_what_its_database_can_take(scrape: Ask, db: None, now: datetime) -> None:
    fleet.runners(now)
    Runner.objects.filter(slot=1).update(loop_lag=0.7)
    Runner.objects.filter(slot=0).update(loop_lag=5.0, seen_at=now - timedelta(minutes=1))
    told = scrape()
    assert told("failover_check_loop_lag_seconds") == 0.7
    assert 0 <= (told("failover_loop_lag_seconds") or 0) < 10
    with ExitStack() as opened:
        for number in range(5):
            opened.enter_context(connect(f"more {number}"))
        django_connection.cursor().execute("SELECT pg_stat_clear_snapshot()")  # this test is one transaction
        assert 0 < (scrape()("failover_database_connections_free") or 0) < (told("failover_database_connections_free") or 0)


@pytest.mark.django_db(transaction=True, serialized_rollback=True)
async def test_live_pages_are_counted_while_they_are_open(token: Token, api: Pool) -> None:
    async def clients() -> float | None:
        answer = await AsyncClient().get("/metrics", headers={"authorization": bearer})
        return Scrape(answer.content.decode())("failover_ws_clients")

    bearer = await sync_to_async(token)("metrics")
    socket = LiveSocket("page=dashboard", cookie=await sync_to_async(_session)(), origin=settings.WEBSOCKET_ORIGIN)
    assert await clients() == 0
    await socket.connect()
    assert await clients() == 1
    await socket.leave()
    assert await clients() == 0
    await hub().stop()
    await sync_to_async(connections.close_all)()  # of the thread in which the views asked the database


def _session() -> str:
    client = Client()
    client.force_login(User.objects.create_user("vera"))
    return str(client.cookies[settings.SESSION_COOKIE_NAME].value)
