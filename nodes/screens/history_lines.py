"""History as pages list it: a line for each event, incident and failure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from django.db.models import OuterRef, QuerySet, Subquery

from nodes.engine.enums import Severity
from nodes.engine.event_types import TABLE, TroubleType
from nodes.models import Event, Failure, Incident
from nodes.screens.event_kinds import Kind, icon_of, kind_of

_DONE = tuple(kind for kind, row in TABLE.items() if TroubleType.FAILURE in (row.updates, row.ends))  # what is done about a failure
_GOOD = frozenset(kind.value for kind, row in TABLE.items() if row.good)
_TONES: dict[str, str] = {Severity.INFO: "idle", Severity.WARNING: "warn", Severity.CRITICAL: "bad"}
_ENGINE = "engine"
AUTOMATION = "automation"
_BLUE = frozenset({Kind.SHARES, Kind.DECISION, Kind.RECOVERY})
AT_ONCE = 0.1  # s


def _tone(severity: str) -> str:
    return _TONES.get(severity, "warn")


@dataclass(frozen=True, slots=True)
class EventLine:
    id: int
    at: datetime
    type: str  # of another version, maybe one that this version does not know
    severity: str  # a Severity, or one of another version
    message: str
    actor: str
    pool: str
    pool_slug: str
    node: str
    node_id: int | None
    incident_id: int | None
    failover_id: int | None

    @property
    def tone(self) -> str:
        if self.severity == Severity.INFO:
            return "ok" if self.type in _GOOD else "note" if self.by_person else "idle"
        return _tone(self.severity)

    @property
    def words(self) -> str:
        return self.type.replace("_", " ")

    @property
    def kind(self) -> str:
        return kind_of(self.type) or self.words

    @property
    def icon(self) -> str:
        return icon_of(self.type)

    @property
    def hue(self) -> str:
        """Violet is what a person did, blue what moves traffic."""
        if self.by_person:
            return "hand"
        calm = "acc" if kind_of(self.type) in _BLUE else "off"
        return {"idle": calm}.get(self.tone, self.tone)

    @property
    def by_person(self) -> bool:
        return self.actor != _ENGINE

    @property
    def initiator(self) -> str:
        return initiated_by(self.actor)


def initiated_by(actor: str) -> str:
    """Who initiated a change, as pages name them: a person, a token, or automation."""
    return AUTOMATION if actor == _ENGINE else actor


def event_lines(events: QuerySet[Event]) -> tuple[EventLine, ...]:
    """Events as lines, in one query; the caller orders and cuts."""
    found = events.values_list(
        "pk",
        "at",
        "type",
        "severity",
        "message",
        "actor",
        "pool__name",
        "pool__slug",
        "node__name",
        "node_id",
        "incident_id",
        "failover_id",
    )
    return tuple(
        EventLine(
            pk,
            at,
            kind,
            severity,
            message,
            actor,
            pool or "",
            slug or "",
            node or "",
            node_id,
            incident,
            failover,
        )
        for pk, at, kind, severity, message, actor, pool, slug, node, node_id, incident, failover in found
    )


@dataclass(frozen=True, slots=True)
class IncidentRow:
    id: int
    pool: str
    pool_slug: str
    severity: str  # as above
    summary: str
    opened_at: datetime
    closed_at: datetime | None
    acknowledged_at: datetime | None
    acknowledged_by: str
    acknowledgement: str
    last_action: str  # of the engine about it
    flapping: str  # the node whose flapping it is, if it is one
    flapping_id: int | None

    @property
    def tone(self) -> str:
        return _tone(self.severity)

    @property
    def lasted(self) -> float | None:
        """Seconds from the first bad check to the end; None while it is open."""
        return (self.closed_at - self.opened_at).total_seconds() if self.closed_at else None

    @property
    def awaits_person(self) -> bool:
        return self.closed_at is None and self.acknowledged_at is None


def incident_rows(incidents: QuerySet[Incident]) -> tuple[IncidentRow, ...]:
    """Incidents with the engine's last action on each, in one query; the caller orders and cuts."""
    last_action = Event.objects.filter(incident=OuterRef("pk"), type__in=_DONE).order_by("-at", "-pk").values("message")[:1]
    found: Iterable[Incident] = incidents.select_related("pool", "node").annotate(last_action=Subquery(last_action))
    return tuple(
        IncidentRow(
            id=each.pk,
            pool=each.pool.name,
            pool_slug=each.pool.slug,
            severity=each.severity,
            summary=each.summary,
            opened_at=each.opened_at,
            closed_at=each.closed_at,
            acknowledged_at=each.acknowledged_at,
            acknowledged_by=each.acknowledged_by,
            acknowledgement=each.acknowledgement,
            last_action=getattr(each, "last_action", None) or "",
            flapping=each.node.name if each.node else "",
            flapping_id=each.node_id,
        )
        for each in found
    )


@dataclass(frozen=True, slots=True)
class FailureLine:
    id: int
    node: str
    node_id: int
    cause: str
    message: str
    incident_id: int
    first_bad_at: datetime
    marked_at: datetime
    moved_at: datetime | None
    recovered_at: datetime | None
    had_share: bool
    has_evidence: bool

    @property
    def detected_in(self) -> float:
        return (self.marked_at - self.first_bad_at).total_seconds()

    @property
    def moved_words(self) -> str:
        """How long after the mark its share had moved."""
        if self.moved_at is None:
            return "held nothing" if not self.had_share else "not yet" if self.recovered_at is None else "never"
        seconds = (self.moved_at - self.marked_at).total_seconds()
        return "at once" if seconds < AT_ONCE else f"{seconds:.1f} s"

    @property
    def recovered_in(self) -> float | None:
        return (self.recovered_at - self.marked_at).total_seconds() if self.recovered_at else None


def failure_lines(failures: QuerySet[Failure]) -> tuple[FailureLine, ...]:
    """Failures in one query; the caller orders and cuts."""
    return tuple(
        FailureLine(
            each.pk, each.node.name, each.node_id, each.cause, each.message, each.incident_id, each.first_bad_at, each.marked_at,
            each.moved_at, each.recovered_at, each.had_share, each.evidence_at is not None,
        )
        for each in failures.select_related("node").defer("evidence")
    )  # fmt: skip  # what belongs together stays on a line
