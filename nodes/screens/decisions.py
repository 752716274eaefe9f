"""Decisions about shares as pages show them: a line in a list, and the whole record."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import copy
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from django.db.models import QuerySet

from nodes.charts import Part, share_bar
from nodes.charts.stack import TINTS
from nodes.engine.enums import Guard
from nodes.ledger.rows import moment
from nodes.models import Failover
from nodes.screens.history_lines import AT_ONCE, AUTOMATION, initiated_by

_STATUS_TONES = {
    Failover.Status.STARTED: ("turn", "started"),
    Failover.Status.RAMPING: ("turn", "ramping"),
    Failover.Status.COMPLETED: ("ok", "completed"),
    Failover.Status.FAILED: ("bad", "failed"),
    Failover.Status.REFUSED: ("paused", "refused"),
}


@dataclass(frozen=True, slots=True)
class NodeLine:
    """A node in a decision: its share before and after, and the rule that took it or left it out."""

    node: int
    name: str
    taken: bool
    rule: str
    before: int
    after: int
    tint: int = 1  # of its share, by its place in the take-over order

    @property
    def tone(self) -> str:
        return "ok" if self.taken else "idle"

    @property
    def gained(self) -> int:
        return self.after - self.before

    @property
    def gained_words(self) -> str:
        """+17.1, −30, or nothing."""
        return f"{self.gained / 100:+.1f}".removesuffix(".0").replace("-", "−") if self.gained else ""

    @property
    def bar_before(self) -> str:
        return share_bar(Part(self.name, self.before), tint=self.tint)

    @property
    def bar_after(self) -> str:
        return share_bar(Part(self.name, self.after, max(0, self.gained)), tint=self.tint)


@dataclass(frozen=True, slots=True)
class GuardLine:
    """What a guard answered when it was asked."""

    guard: str
    blocks: bool
    reason: str
    lifts_at: datetime | None
    overridden: bool

    @property
    def word(self) -> str:
        return "overridden" if self.overridden else "blocked" if self.blocks else "passed"

    @property
    def tone(self) -> str:
        return "note" if self.overridden else "paused" if self.blocks else "ok"

    @property
    def icon(self) -> str:
        return "person" if self.overridden else "paused" if self.blocks else "check"


@dataclass(frozen=True, slots=True)
class StepLine:
    at: datetime
    text: str
    after: float  # seconds since the first step


@dataclass(frozen=True, slots=True)
class DecisionRecord:
    """A decision with its reasons."""

    id: int
    kind: str  # a ChangeKind, or one of another version
    status: str
    tone: str
    at: datetime
    pool: str
    pool_slug: str
    node: str
    node_id: int | None
    incident_id: int | None
    epoch: int | None
    actor: str
    reason: str
    observed: str
    refused_by: str
    lifts_at: datetime | None
    completed_at: datetime | None
    considered: tuple[NodeLine, ...]
    guards: tuple[GuardLine, ...]
    steps: tuple[StepLine, ...]
    trials: int  # that it counts; 0: it gave a share for none
    last_trial_at: datetime | None

    @property
    def title(self) -> str:
        about = f" of {self.node}" if self.node else ""
        return f"{str(self.kind).capitalize()}{about} {self.status}"

    @property
    def initiator(self) -> str:
        return initiated_by(self.actor)

    @property
    def took_words(self) -> str:
        """The way to the decision, and from there to its end."""
        if self.took is None:
            return ""
        if self.detected_in is None:
            return f"{self.took:.1f}\u00a0s" if self.took >= AT_ONCE else "at once"
        return f"{self.detected_in:.1f}\u00a0s to detect and move, {self.took - self.detected_in:.1f}\u00a0s until it was verified"

    @property
    def by_automation(self) -> bool:
        return self.initiator == AUTOMATION

    @property
    def detected_in(self) -> float | None:
        """Seconds from its first step until it was made; None when it is its own first step."""
        seconds = (self.at - self.steps[0].at).total_seconds() if self.steps else 0.0
        return seconds if seconds > 0 else None

    @property
    def took(self) -> float | None:
        """Seconds from the first step to the end; None while it goes on."""
        if self.completed_at is None or not self.steps:
            return None
        return (self.completed_at - self.steps[0].at).total_seconds()


def decision_records(failovers: QuerySet[Failover]) -> tuple[DecisionRecord, ...]:
    """Decisions in one query; the caller orders and cuts."""
    return tuple(_record_or_less(each) for each in failovers.select_related("pool", "node"))


def _record_or_less(failover: Failover) -> DecisionRecord:
    """What of a record can be read: one of another version keeps its place, its node and its reason."""
    try:
        return _record(failover)
    except (ValueError, TypeError, KeyError, AttributeError, OverflowError) as error:
        bare = copy(failover)
        bare.record, bare.refused_by = {"seen": f"its record cannot be read: {type(error).__name__}: {error}"}, ""
        bare.status = failover.status if failover.status in Failover.Status.values else Failover.Status.FAILED
        return _record(bare)


def _record(failover: Failover) -> DecisionRecord:
    record: Mapping[str, Any] = failover.record
    tone, status = _STATUS_TONES[Failover.Status(failover.status)]
    return DecisionRecord(
        id=failover.pk,
        kind=failover.kind,
        status=status,
        tone=tone,
        at=failover.at,
        pool=failover.pool.name,
        pool_slug=failover.pool.slug,
        node=failover.node.name if failover.node else "",
        node_id=failover.node_id,
        incident_id=failover.incident_id,
        epoch=failover.epoch,
        actor=failover.actor,
        reason=failover.reason,
        observed=record.get("seen", ""),
        refused_by=Guard(failover.refused_by).words if failover.refused_by else "",
        lifts_at=failover.lifts_at,
        completed_at=failover.completed_at,
        considered=tuple(
            NodeLine(each["node"], each["name"], each["taken"], each["rule"], each["before"], each["after"], min(number, TINTS))
            for number, each in enumerate(record.get("considered", ()), 1)
        ),
        guards=tuple(
            GuardLine(
                Guard(each["guard"]).words,
                each["holds"],
                each["reason"],
                moment(each.get("lifts_at")),
                each.get("overridden", False),
            )
            for each in record.get("guards", ())
        ),
        steps=_steps(record.get("steps", ())),
        trials=failover.trials,
        last_trial_at=failover.last_trial_at,
    )


def _steps(steps: Sequence[Mapping[str, Any]]) -> tuple[StepLine, ...]:
    timed = sorted(steps, key=lambda step: float(step["at"]))  # those of one instant stay in the order they were taken
    return tuple(
        StepLine(datetime.fromtimestamp(step["at"], UTC), str(step["text"]), step["at"] - timed[0]["at"]) for step in timed
    )
