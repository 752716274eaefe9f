"""What Prometheus reads: names, types and labels, and figures that follow what happened."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.conf import settings
from django.contrib.auth.models import User
from django.db import connections
from django.test import AsyncClient, Client
from prometheus_client import CONTENT_TYPE_LATEST
from prometheus_client.parser import text_string_to_metric_families

from alerts.models import Destination, Notification
from alerts.services import dispatch
from nodes.engine.enums import EventType, Severity
from nodes.hub import hub
from nodes.models import Event, Failover, Incident, Node, NodeState, Outbox, Pool, Runner
from nodes.runner.counters import BUCKETS
from tests.api.conftest import Token
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
}


class Scrape:
    """One answer of /metrics, by sample."""

    def __init__(self, text: str) -> None:
        self.families = {family.name: family for family in text_string_to_metric_families(text)}

    def __call__(self, sample: str, **labels: str) -> float | None:
        """The value of a sample; None when it is not told."""
        found = [each.value for family in self.families.values() for each in family.samples if each[:2] == (sample, labels)]
        assert len(found) <= 1
        return found[0] if found else None

    def counters(self) -> Iterator[tuple[str, float]]:
        for family in self.families.values():
            if family.type in {"counter", "histogram"}:
                yield from ((f"{each.name}{each.labels}", each.value) for each in family.samples)


@pytest.fixture
def scrape(client: Client, token: Token) -> Any:
    bearer = token("metrics")

    def ask() -> Scrape:
        answer = client.get("/metrics", headers={"authorization": bearer})
        assert (answer.status_code, answer["Content-Type"]) == (200, CONTENT_TYPE_LATEST)
        return Scrape(answer.content.decode())

    return ask


@pytest.fixture
def slack(db: None) -> Destination:
    return Destination.objects.create(name="ops", kind="slack", address="https://hooks.slack.test/services/x")


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


def test_an_empty_console_tells_figures_too(scrape: Any, db: None) -> None:
    told = scrape()
    assert told("failover_incidents_open", severity="critical") == 0
    assert told("failover_incident_duration_seconds_count") == 0
    assert told("failover_check_duration_seconds_bucket", le="+Inf") == 0
    assert told("failover_scheduler_last_tick_timestamp_seconds") == 0


def test_every_family_has_the_type_and_labels_that_are_documented(
    scrape: Any, api: Pool, slack: Destination, now: datetime
) -> None:
    fleet.runners(now)
    Runner.objects.filter(kind="checks").update(verdicts={"pass": 3})
    sent = notification(slack, "trigger", "k", now, status="delivered", delivered_at=now)
    sent.tries.create(at=now, outcome="retry")
    notification(slack, "resolve", "k", now, status="superseded")
    Failover.objects.update(status="completed", completed_at=now)
    told = scrape().families
    labels = {name: {label for each in family.samples for label in each.labels} for name, family in told.items()}
    assert {name: (family.type, labels[name]) for name, family in told.items()} == NAMED
    assert all(family.documentation for family in told.values())


def test_each_node_tells_its_health_breaker_and_share(scrape: Any, api: Pool) -> None:
    NodeState.objects.filter(node__name="api-1").update(breaker_times_opened=3, breaker_closings=2, breaker_state="half_open")
    told, first, second = scrape(), {"pool": "public-api", "node": "api-1"}, {"pool": "public-api", "node": "api-2"}
    assert (told("failover_node_up", **first), told("failover_node_up", **second)) == (1, 0)
    assert (told("failover_node_share_ratio", **first), told("failover_node_share_ratio", **second)) == (1, 0)
    assert [told("failover_node_state", **second, state=state) for state in ("healthy", "failed")] == [0, 1]
    assert [told("failover_breaker_state", **first, state=state) for state in ("closed", "open", "half_open")] == [0, 0, 1]
    assert told("failover_breaker_transitions_total", **first, to="open") == 3
    assert told("failover_breaker_transitions_total", **first, to="closed") == 2


def test_a_removed_node_is_told_no_more(scrape: Any, api: Pool, now: datetime) -> None:
    Node.objects.filter(name="api-2").update(removed_at=now)
    assert scrape()("failover_node_up", pool="public-api", node="api-2") is None


def test_checks_are_summed_over_the_runners(scrape: Any, db: None, now: datetime) -> None:
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


def test_the_lag_of_a_runner_that_died_is_told_no_more(scrape: Any, db: None, now: datetime) -> None:
    fleet.runners(now)
    Runner.objects.filter(slot=1).update(lateness_p99=9.0, seen_at=now - timedelta(minutes=1))
    assert scrape()("failover_check_schedule_lag_seconds") == 0.012


def test_failovers_are_counted_when_they_have_ended(scrape: Any, api: Pool, now: datetime) -> None:
    moved = Failover.objects.get(kind="failover")
    assert moved.status == "started"
    assert scrape()("failover_failovers_total", result="started", trigger="failover") is None
    Failover.objects.filter(pk=moved.pk).update(status="completed", completed_at=moved.at + timedelta(seconds=2.5))
    told = scrape()
    assert told("failover_failovers_total", result="completed", trigger="failover") == 1
    spent = [told("failover_failover_duration_seconds_bucket", le=le) for le in ("1.0", "2.5", "+Inf")]
    assert (spent, told("failover_failover_duration_seconds_sum")) == ([0, 1, 1], 2.5)


def test_incidents_are_open_until_they_close_and_then_have_a_duration(scrape: Any, api: Pool) -> None:
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


def test_no_counter_falls_while_a_node_fails_and_comes_back(scrape: Any, api: Pool, now: datetime) -> None:
    before = scrape()
    for _ in range(3):
        now = fleet.rounds(api, now, 1)
        after = scrape()
        later = dict(after.counters())
        assert [name for name, value in before.counters() if later[name] < value] == []
        before = after
    assert before("failover_failovers_total", result="completed", trigger="failover") == 1
    assert before("failover_failovers_total", result="completed", trigger="recovery") is not None


def test_messages_are_counted_with_the_time_since_their_event(scrape: Any, slack: Destination, now: datetime) -> None:
    for number, seconds in enumerate((0.4, 5, 5.1)):
        notification(slack, "trigger", f"k{number}", now, status="delivered", delivered_at=now + timedelta(seconds=seconds))
    notification(slack, "trigger", "k9", now)
    told = scrape()
    assert told("failover_notifications_total", channel_kind="slack") == 3
    spans = [told("failover_notification_latency_seconds_bucket", le=le) for le in ("0.5", "2.5", "5.0", "10.0", "+Inf")]
    assert spans == [1, 1, 2, 3, 3]


def test_attempts_that_did_not_deliver_are_counted_by_their_outcome(scrape: Any, slack: Destination, now: datetime) -> None:
    message = notification(slack, "trigger", "k", now)
    for outcome in ("retry", "retry", "lost", "accepted"):
        message.tries.create(at=now, outcome=outcome)
    told = scrape()
    assert told("failover_notifications_failed_total", channel_kind="slack", reason="retry") == 2
    assert told("failover_notifications_failed_total", channel_kind="slack", reason="lost") == 1
    assert told("failover_notifications_failed_total", channel_kind="slack", reason="accepted") is None


def test_messages_that_were_overtaken_are_counted_by_why(scrape: Any, slack: Destination, now: datetime) -> None:
    notification(slack, "trigger", "k", now)
    notification(slack, "resolve", "k", now)
    for _ in range(2):
        dispatch.expire_superseded(now)
    told = scrape()
    assert told("failover_notifications_suppressed_total", reason="overtaken") == 1
    assert told("failover_notifications_suppressed_total", reason="never_told") == 1


def test_the_outbox_tells_how_far_the_alerts_are_behind(scrape: Any, db: None, now: datetime) -> None:
    for age in (30, 600):
        then = now - timedelta(seconds=age)
        kind, severity = EventType.CONFIG_CHANGED.value, Severity.INFO.value
        Outbox.objects.create(event=Event.objects.create(at=then, type=kind, severity=severity, actor="ada", message="edited"))
    told = scrape()
    assert told("failover_outbox_pending") == 2
    assert told("failover_outbox_oldest_age_seconds") > 590


def test_the_number_of_questions_does_not_grow_with_the_fleet(
    scrape: Any, api: Pool, now: datetime, django_assert_num_queries: Any, django_assert_max_num_queries: Any
) -> None:
    scrape()  # notes the token's use, once
    with django_assert_max_num_queries(30) as few:
        scrape()
    fleet.pool("Another", "another", [f"n-{number}" for number in range(30)], now)
    with django_assert_num_queries(len(few)):
        scrape()


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
