"""Events as the ledger writes them, and receivers in memory: what the tests of the alerts are made of."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from alerts.delivery import Refused, Reply, RetryAfter
from alerts.models import Destination
from alerts.services import dispatch, outcomes, routing
from nodes.engine.enums import EventType, Severity
from nodes.models import BreakerPolicy, Event, FailoverPolicy, Incident, Node, Outbox, Pool

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
ROUTING_KEY = "R0UT1NGKEYCANARY0123456789ABCDEF"
SLACK_URL = "https://hooks.slack.test/services/T000/B000/slackcanary0123456789"
SIGNING_SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
ME = uuid.uuid4()  # who sends


def at(seconds: float) -> datetime:
    return NOON + timedelta(seconds=seconds)


def make_pool(name: str = "api", *, nodes: tuple[str, ...] = ("a", "b", "c"), tags: tuple[str, ...] = ()) -> Pool:
    breaker, _ = BreakerPolicy.objects.get_or_create(name="breaker")
    failover, _ = FailoverPolicy.objects.get_or_create(name="failover")
    pool = Pool.objects.create(
        name=name, slug=name, breaker_policy=breaker, failover_policy=failover, runbook="https://runbooks.example/api"
    )
    for each in nodes:
        Node.objects.create(pool=pool, name=each, address="127.0.0.1", tags=list(tags))
    return pool


def open_incident(pool: Pool, severity: Severity = Severity.CRITICAL) -> Incident:
    return Incident.objects.create(
        pool=pool, opened_at=at(-3), detected_at=NOON, severity=severity.value, summary=f"{pool.name}: a failed", acknowledged_by=""
    )


def add_event(
    kind: EventType, severity: Severity = Severity.INFO, *, incident: Incident | None = None, node: str = "", **detail: Any
) -> Event:
    """One event with its number in the outbox."""
    pool = incident.pool if incident else None
    event = Event.objects.create(
        at=NOON,
        type=kind.value,
        severity=severity.value,
        pool=pool,
        node=pool.nodes.get(name=node) if pool and node else None,
        incident=incident,
        actor="engine",
        message=f"{node or 'the console'}: {kind.value.replace('_', ' ')}",
        detail=detail,
    )
    Outbox.objects.create(event=event)
    return event


def fail(incident: Incident, node: str = "a") -> None:
    """The events of one node that fails and loses its share."""
    add_event(EventType.NODE_MARKED_FAILED, Severity.CRITICAL, incident=incident, node=node)
    add_event(EventType.FAILOVER_STARTED, incident=incident, node=node)


def recover(incident: Incident, node: str = "a") -> None:
    """The incident's last failure ends."""
    incident.closed_at = at(60)
    incident.save(update_fields=["closed_at"])
    add_event(EventType.INCIDENT_CLOSED, incident=incident)


def slack(name: str = "ops") -> Destination:
    return Destination.objects.create(name=name, kind="slack", address=SLACK_URL)


def pagerduty(name: str = "pager", key: str = ROUTING_KEY) -> Destination:
    return Destination.objects.create(name=name, kind="pagerduty", key=key)


Answer = Reply | RetryAfter | Refused


def ok(status: int = 202) -> Reply:
    return Reply(status, {}, b"ok")


@dataclass
class Receiver:
    """Takes what is posted, answers with `answer`; `arrived` holds the bodies that it accepted."""

    answer: Callable[[], Answer] = ok
    arrived: list[dict[str, Any]] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)

    def __call__(self, url: str, body: bytes, headers: Mapping[str, str]) -> Answer:
        self.asked.append(url)
        answered = self.answer()
        if isinstance(answered, Reply) and answered.status < 300:
            self.arrived.append(json.loads(body))
        return answered

    @property
    def actions(self) -> list[str]:
        return [each["event_action"] for each in self.arrived]


def new_id() -> uuid.UUID:
    return uuid.uuid4()


def dispatch_due(receiver: Receiver, now: datetime, *, room: int = 32) -> int:
    """One round of a dispatcher: everything due is sent, one message per destination."""
    routing.route(now)
    dispatch.expire_superseded(now)
    leased = dispatch.claim(now, room=room, owner=ME)
    for each in leased:
        outcomes.record(each, dispatch.send_leased(each, receiver, now.timestamp()), began=now, duration=0.1, now=now)
    return len(leased)
