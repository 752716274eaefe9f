"""Figures of the alerts: what waits, what was sent, and the state of each destination."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from prometheus_client.core import Metric

from alerts.models import Attempt, DeadMansSwitch, Destination
from alerts.rules import Kind
from alerts.services.destination_breaker import circuit_of
from failover_console.metrics.families import figure, gauge, histogram, one_of, rows, totals
from nodes.ledger.clock import database_now

NOTIFICATION_BOUNDS = (0.5, 1, 2.5, 5, 10, 30, 60, 300, 1_800, 3_600)  # s
NOT_DELIVERED = tuple(outcome.value for outcome in Attempt.Outcome if outcome != Attempt.Outcome.ACCEPTED)
DESTINATION_STATES = ("closed", "half_open", "open", "disabled")


def families() -> Iterator[Metric]:
    pending, oldest = rows(
        """SELECT count(*), greatest(coalesce(extract(epoch FROM now() - min(e.at)), 0), 0)::float8
           FROM nodes_outbox o JOIN nodes_event e ON e.id = o.event_id WHERE o.given_up_at IS NULL"""
    )[0]
    yield figure("failover_outbox_pending", "events that the alerts have not looked at", pending)
    yield figure("failover_outbox_oldest_age_seconds", "age of the oldest of them", oldest)
    yield from _messages()
    yield histogram(
        "failover_notification_latency_seconds",
        "from the event until a destination took the message about it",
        NOTIFICATION_BOUNDS,
        """SELECT n.delivered_at - e.at AS took FROM alerts_notification n JOIN nodes_event e ON e.id = n.event_id
           WHERE n.status = 'delivered'""",
    )
    yield _destinations(database_now())
    yield from _dead_mans_switch()


def _dead_mans_switch() -> Iterator[Metric]:
    row = DeadMansSwitch.objects.filter(pk=1).first() or DeadMansSwitch()
    for name, what, at in (
        ("success", "when the dead man's switch was last called, 0 for never", row.last_success_at),
        ("error", "when a call of it last failed, 0 for never", row.last_error_at),
    ):
        yield figure(f"failover_dead_mans_switch_last_{name}_timestamp_seconds", what, at.timestamp() if at else 0.0)


def _messages() -> Iterator[Metric]:
    delivered = rows(
        """SELECT d.kind, count(*) FROM alerts_notification n JOIN alerts_destination d ON d.id = n.destination_id
           WHERE n.status = 'delivered' GROUP BY 1"""
    )
    yield totals("failover_notifications", "messages that a destination took", {"channel_kind": Kind}, _by_labels(delivered))
    failed = rows(
        """SELECT d.kind, a.outcome, count(*) FROM alerts_attempt a JOIN alerts_notification n ON n.id = a.notification_id
           JOIN alerts_destination d ON d.id = n.destination_id WHERE a.outcome <> 'accepted'
           GROUP BY 1, 2"""
    )
    yield totals(
        "failover_notifications_failed",
        "attempts that did not deliver",
        {"channel_kind": Kind, "reason": NOT_DELIVERED},
        _by_labels(failed),
    )
    suppressed = rows(
        """SELECT CASE outcome WHEN 'its beginning was never sent' THEN 'never_told' ELSE 'overtaken' END, count(*)
           FROM alerts_notification WHERE status = 'superseded' GROUP BY 1"""
    )
    yield totals(
        "failover_notifications_suppressed",
        "messages that were never sent because something overtook them",
        {"reason": ("overtaken", "never_told")},
        _by_labels(suppressed),
    )


def _by_labels(found: list[tuple[Any, ...]]) -> Iterator[tuple[tuple[str, ...], float]]:
    return ((tuple(labels), count) for *labels, count in found)


def _destinations(now: datetime) -> Metric:
    family = gauge(
        "failover_destination_state",
        "1 for the state of the destination: that of its circuit, or disabled",
        ["destination", "channel_kind", "state"],
    )
    for each in Destination.objects.filter(removed_at=None).order_by("pk").only("name", "kind", "enabled", "breaker"):
        one_of(family, [each.name, each.kind], DESTINATION_STATES, _state(each, now))
    return family


def _state(destination: Destination, now: datetime) -> str:
    circuit = circuit_of(destination.breaker, now)
    if not destination.enabled:
        return "disabled"
    if circuit.retry_at is not None:
        return "open"
    return "closed" if circuit.opened_at is None else "half_open"
