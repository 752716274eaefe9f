"""One node as a row of a page: what it is called, how much it needs a look, and why."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from nodes.engine.enums import AdminState, Health, Mode, State
from nodes.models import AdminState as AdminWords
from nodes.models import BreakerMode, BreakerState

# From well to worst; what a list that is too long keeps, and how pools are sorted.
WELL, ASIDE, UNSURE, DOUBT, TROUBLE, FAILING, DOWN = range(7)

_HEALTH_LOOKS = {
    Health.HEALTHY: ("ok", WELL),
    Health.DEGRADED: ("warn", DOUBT),
    Health.FAILED: ("bad", FAILING),
    Health.RECOVERING: ("turn", TROUBLE),
    Health.UNKNOWN: ("idle", UNSURE),
}
_BREAKER_LOOKS = {State.CLOSED: "ok", State.OPEN: "bad", State.HALF_OPEN: "half"}


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

    @property
    def steady(self) -> tuple[object, ...]:
        """What a row shows besides the trace of its checks."""
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
    def _fit(self) -> bool:
        return (
            self.admin == AdminState.ENABLED and self.health in (Health.HEALTHY, Health.DEGRADED) and self.effective != State.OPEN
        )

    @property
    def eligible(self) -> bool:
        return self._fit and not self.stale and self.effective == State.CLOSED

    @property
    def failover_pending(self) -> bool:
        """It holds traffic that it may not hold; a node that merely fell silent keeps what it has."""
        return self.share > 0 and not self._fit

    @property
    def place(self) -> str:
        """Its weight, and its tier where tiers matter."""
        return f"weight {self.weight}" if self.priority == 1 else f"tier {self.priority} · weight {self.weight}"

    @property
    def rank(self) -> int:
        """How much this node needs a look, from WELL to FAILING."""
        if self.admin != AdminState.ENABLED:
            return FAILING if self.failover_pending else ASIDE
        if self.effective == State.OPEN:
            return FAILING
        rank = _HEALTH_LOOKS[self.health][1]
        if self.stale or self.effective == State.HALF_OPEN:
            rank = max(rank, TROUBLE)
        return max(rank, DOUBT) if self.fails else rank

    @property
    def word(self) -> str:
        """Its state in a word: the admin state where a person took it out, else its health."""
        if self.admin != AdminState.ENABLED:
            return AdminWords(self.admin).label
        return "stale" if self.stale and self.health != Health.FAILED else str(self.health)

    @property
    def look(self) -> str:
        """Name of the glyph and colour that go with the word."""
        if self.admin != AdminState.ENABLED:
            return "idle" if self.admin == AdminState.DISABLED else "out"
        look = _HEALTH_LOOKS[self.health][0]
        in_doubt = self.health != Health.FAILED and (self.stale or (self.fails > 0 and look == "ok"))
        return "warn" if in_doubt else look

    @property
    def beside(self) -> str:
        """The health of a node that a person took out."""
        return "" if self.admin in (AdminState.ENABLED, AdminState.DISABLED) else str(self.health)

    @property
    def service(self) -> str:
        """What its breaker makes of a node whose health says nothing against it."""
        if self.admin != AdminState.ENABLED or self.health == Health.FAILED or self.effective == State.CLOSED:
            return ""
        return "but out of service" if self.effective == State.OPEN else "but on trial"

    @property
    def standing(self) -> str:
        """Name of the colour of health and breaker together."""
        return self.look if self.look not in ("ok", "warn") or not self.service else _BREAKER_LOOKS[self.effective]

    @property
    def breaker_word(self) -> str:
        return BreakerState(self.breaker).label if self.mode == Mode.AUTO else BreakerMode(self.mode).label

    @property
    def breaker_look(self) -> str:
        return _BREAKER_LOOKS[self.breaker] if self.mode == Mode.AUTO else "hold"

    @property
    def waits_for_health(self) -> bool:
        """Open, but no trial before health is back."""
        return self.trial_at is not None and self.health == Health.FAILED

    @property
    def why(self) -> str:
        """What is wrong, in words; empty for a node that is well."""
        if self.rank in (WELL, ASIDE):
            return ""
        parts = []
        if self.failover_pending:
            parts.append("holds traffic that it may not hold")
        if self.fails:
            parts.append(
                f"{self.fails} of {self.failure_threshold} failures"
                if self.health != Health.FAILED
                else f"{self.fails} failures in a row"
            )
        elif self.health == Health.RECOVERING:
            parts.append(f"{self.passes} of {self.recovery_threshold} good checks")
        elif self.opened and self.mode == Mode.AUTO:
            parts.append(f"its breaker was opened by {self.opened}")
        if self.message:
            parts.append(self.message)
        return ": ".join(parts[-2:]) if len(parts) < 3 else f"{parts[0]}; {': '.join(parts[1:])}"


def node_row(row: Mapping[str, Any]) -> NodeRow:
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
    )
