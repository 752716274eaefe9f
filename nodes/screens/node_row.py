"""One node as a row of a page: what it is called, how urgently it needs attention, and why."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import IntEnum
from typing import Any

from nodes.engine.enums import AdminState, Health, Mode, State
from nodes.models import AdminState as AdminWords
from nodes.models import BreakerMode, BreakerState


class Rank(IntEnum):
    """How urgently a node needs attention, least first: lists that are too long keep the highest, pools are sorted by it."""

    HEALTHY = 0
    TAKEN_OUT = 1  # by a person
    UNKNOWN = 2  # never checked
    DEGRADED = 3  # or a check has failed
    RECOVERING = 4  # or stale, or on trial
    FAILED = 5  # or out of service by its breaker, or with a failover pending


# Glyph and colour of each health, and its rank.
_HEALTH_TONES = {
    Health.HEALTHY: ("ok", Rank.HEALTHY),
    Health.DEGRADED: ("warn", Rank.DEGRADED),
    Health.FAILED: ("bad", Rank.FAILED),
    Health.RECOVERING: ("turn", Rank.RECOVERING),
    Health.UNKNOWN: ("idle", Rank.UNKNOWN),
}


@dataclass(frozen=True, slots=True)
class NodeRow:
    """A node with all that a row of it shows; shares in basis points, latency in seconds."""

    id: int
    name: str
    pool_slug: str
    address: str
    zone: str
    weight: int
    priority: int
    admin: AdminState
    health: Health
    health_since: datetime | None
    fails: int
    failure_threshold: int
    passes: int
    recovery_threshold: int
    first_bad_at: datetime | None
    stale: bool
    share: int
    breaker: State
    mode: Mode
    mode_until: datetime | None
    trial_at: datetime | None
    opened: str  # who opened the breaker and why, while it is not closed
    message: str
    latency: float | None
    recent: str
    tags: tuple[str, ...] = ()

    @property
    def urgent(self) -> tuple[object, ...]:
        """All that a row shows but latency and the strip of its checks."""
        return (
            self.name, self.address, self.zone, self.weight, self.priority, self.admin, self.health, self.fails, self.passes,
            self.stale, self.share, self.breaker, self.mode, self.mode_until, self.trial_at, self.opened, self.message,
        )  # fmt: skip  # what belongs together stays on a line

    @property
    def effective(self) -> State:
        """The breaker as callers meet it."""
        if self.mode == Mode.AUTO:
            return self.breaker
        return State.OPEN if self.mode == Mode.FORCED_OPEN else State.CLOSED

    @property
    def taken_out(self) -> bool:
        """By a person."""
        return self.admin != AdminState.ENABLED

    @property
    def forced(self) -> bool:
        """Its breaker is in a mode that a person chose."""
        return self.mode != Mode.AUTO

    @property
    def _may_serve(self) -> bool:
        return (
            self.admin == AdminState.ENABLED and self.health in (Health.HEALTHY, Health.DEGRADED) and self.effective != State.OPEN
        )

    @property
    def eligible(self) -> bool:
        return self._may_serve and not self.stale and self.effective == State.CLOSED

    @property
    def failover_pending(self) -> bool:
        """It holds a share and is neither eligible nor on trial; a node that is merely stale keeps what it has."""
        return self.share > 0 and not self._may_serve

    @property
    def place(self) -> str:
        """Its weight, and its tier where tiers matter."""
        return f"weight {self.weight}" if self.priority == 1 else f"tier {self.priority} · weight {self.weight}"

    @property
    def rank(self) -> Rank:
        if self.admin != AdminState.ENABLED:
            return Rank.FAILED if self.failover_pending else Rank.TAKEN_OUT
        if self.effective == State.OPEN:
            return Rank.FAILED
        rank = _HEALTH_TONES[self.health][1]
        if self.stale or self.effective == State.HALF_OPEN:
            rank = max(rank, Rank.RECOVERING)
        return max(rank, Rank.DEGRADED) if self.fails else rank

    @property
    def word(self) -> str:
        """Its state in a word: the admin state where a person took it out, else its health."""
        if self.admin != AdminState.ENABLED:
            return AdminWords(self.admin).label
        if self.unconfirmed:
            return "failing"
        return "stale" if self.stale and self.health != Health.FAILED else str(self.health)

    @property
    def tone(self) -> str:
        """Name of the glyph and colour that go with the word."""
        if self.admin != AdminState.ENABLED:
            return "idle" if self.admin == AdminState.DISABLED else "out"
        tone = _HEALTH_TONES[self.health][0]
        failing = self.health != Health.FAILED and (self.stale or (self.fails > 0 and tone == "ok"))
        return "warn" if failing else tone

    @property
    def beside(self) -> str:
        """The health of a node that a person took out."""
        return "" if self.admin in (AdminState.ENABLED, AdminState.DISABLED) else str(self.health)

    @property
    def breaker_effect(self) -> str:
        """What its breaker makes of a node that has not failed."""
        if self.admin != AdminState.ENABLED or self.health == Health.FAILED or self.effective == State.CLOSED:
            return ""
        return "but out of service" if self.effective == State.OPEN else "but on trial"

    @property
    def breaker_word(self) -> str:
        return BreakerState(self.breaker).label if self.mode == Mode.AUTO else BreakerMode(self.mode).label

    @property
    def waits_for_health(self) -> bool:
        """Open, but no trial before health is back."""
        return self.trial_at is not None and self.health == Health.FAILED

    @property
    def unconfirmed(self) -> bool:
        """It fails as many checks as mark it, and no checker is believed, or another one has yet to look."""
        return self.fails >= self.failure_threshold and self.health not in (Health.FAILED, Health.RECOVERING)

    @property
    def _failures(self) -> str:
        if self.health == Health.FAILED:
            return f"{self.fails} failures in a row"
        if self.fails < self.failure_threshold:
            return f"{self.fails} of {self.failure_threshold} failures"
        return f"{self.fails} failures in a row, not yet confirmed by a checker that is believed"

    @property
    def why(self) -> str:
        """What is wrong, in words; empty for a healthy node and one that a person took out."""
        if self.rank in (Rank.HEALTHY, Rank.TAKEN_OUT):
            return ""
        parts = []
        if self.failover_pending:
            parts.append("failover pending")
        if self.fails:
            parts.append(self._failures)
        elif self.health == Health.RECOVERING:
            parts.append(f"{self.passes} of {self.recovery_threshold} good checks")
        elif self.opened and self.mode == Mode.AUTO:
            parts.append(f"its breaker was opened by {self.opened}")
        if self.message:
            parts.append(self.message)
        return ": ".join(parts[-2:]) if len(parts) < 3 else f"{parts[0]}; {': '.join(parts[1:])}"


# Stands for what a row holds that this version cannot read.
_READABLE = {
    "admin_state": AdminState.ENABLED,
    "health": Health.UNKNOWN,
    "breaker_state": State.CLOSED,
    "breaker_mode": Mode.AUTO,
    "breaker_opened_at": None,
}


def node_row(row: Mapping[str, Any]) -> NodeRow:
    """The node as a row; one that cannot be read, of another version or edited by hand, says so in its place."""
    try:
        return _node_row(row)
    except (ValueError, TypeError, OverflowError) as error:
        return _node_row({**row, **_READABLE, "last_message": f"its row cannot be read: {error}"})


def _node_row(row: Mapping[str, Any]) -> NodeRow:
    breaker = State(row["breaker_state"])
    opened = row["breaker_opened_at"]
    return NodeRow(
        id=row["id"],
        name=row["name"],
        pool_slug=row["slug"],
        address=f"{row['address']}:{row['port']}",
        zone=row["zone"],
        weight=row["weight"],
        priority=row["priority"],
        admin=AdminState(row["admin_state"]),
        health=Health(row["health"]),
        health_since=row["health_since"],
        fails=row["fails"],
        failure_threshold=row["failure_threshold"],
        passes=row["passes"],
        recovery_threshold=row["recovery_threshold"],
        first_bad_at=row["first_bad_at"],
        stale=row["stale"],
        share=row["share"],
        breaker=breaker,
        mode=Mode(row["breaker_mode"]),
        mode_until=row["breaker_mode_until"],
        trial_at=opened + timedelta(seconds=row["breaker_wait"]) if breaker == State.OPEN and opened else None,
        opened=f"{row['breaker_opened_by']}: {row['breaker_opened_why']}" if row["breaker_opened_by"] else "",
        message=row["last_message"],
        latency=row["last_latency"],
        recent=row["recent"],
        tags=tuple(row["tags"] or ()),
    )
