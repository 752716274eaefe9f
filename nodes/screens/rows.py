"""Nodes and their pools as rows of a page, all from one query."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import groupby
from typing import Any

from django.db import connection

from nodes.engine.enums import AdminState, Health, Strategy
from nodes.engine.guards import in_force
from nodes.engine.types import Hold
from nodes.ledger import rows as stored
from nodes.screens.node_row import ASIDE, DOUBT, DOWN, FAILING, TROUBLE, UNSURE, WELL, NodeRow, node_row

OVERDUE_AFTER = 10  # s after its due instant a check is missed
RUNNER_SILENT = 15  # s

_LEVELS = {WELL: "ok", ASIDE: "idle", UNSURE: "idle", DOUBT: "warn", TROUBLE: "warn", FAILING: "bad", DOWN: "bad"}


@dataclass(frozen=True, slots=True)
class Standing:
    """One thing that holds automation back in a pool now."""

    word: str
    reason: str
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class PoolRow:
    """A pool and its nodes, by tier and name."""

    id: int
    name: str
    slug: str
    strategy: Strategy
    epoch: int
    epoch_at: datetime | None
    active_tier: int | None
    low_capacity: bool
    versions: tuple[int, int, int]  # of the pool's row, the fleet's and the configuration
    holds: tuple[Standing, ...]
    nodes: tuple[NodeRow, ...]

    @property
    def paused(self) -> bool:
        return any(hold.word == "paused" for hold in self.holds)

    @property
    def enabled(self) -> tuple[NodeRow, ...]:
        return tuple(node for node in self.nodes if node.admin == AdminState.ENABLED)

    @property
    def eligible(self) -> int:
        return sum(node.eligible for node in self.nodes)

    @property
    def rank(self) -> int:
        """The rank of its worst node; DOWN when nobody is eligible though somebody should be."""
        enabled = self.enabled
        if enabled and not any(node.eligible for node in enabled):
            return UNSURE if all(node.health == Health.UNKNOWN for node in enabled) else DOWN
        worst = max((node.rank for node in self.nodes), default=ASIDE)
        return max(worst, DOUBT) if self.low_capacity else WELL if worst == ASIDE and enabled else worst

    @property
    def word(self) -> str:
        return {
            DOWN: "down",
            FAILING: "failing",
            TROUBLE: "degraded",
            DOUBT: "degraded",
            UNSURE: "unknown",
            ASIDE: "idle",
            WELL: "well",
        }[self.rank]

    @property
    def look(self) -> str:
        return _LEVELS[self.rank]

    @property
    def unserved(self) -> bool:
        """Traffic goes nowhere though nodes are enabled."""
        return bool(self.enabled) and not any(node.share for node in self.nodes)

    @property
    def strategy_words(self) -> str:
        if self.strategy == Strategy.WEIGHTED:
            return "weighted"
        return "active/passive" if self.active_tier is None else f"active/passive, tier {self.active_tier} serves"


@dataclass(frozen=True, slots=True)
class Board:
    """Pools with their nodes, and the row of figures about the whole fleet."""

    pools: tuple[PoolRow, ...]
    fleet: Mapping[str, Any]
    holds: tuple[Standing, ...]  # what holds all automation

    @property
    def checked_at(self) -> datetime | None:
        """Start of the newest check of any node."""
        at: datetime | None = self.fleet["checked_at"]
        return at


_FLEET = """
SELECT f.version AS fleet_version, f.config_version, f.paused AS fleet_paused, f.isolated AS fleet_isolated,
       c.checked_at, c.overdue,
       r.runners, r.alert_runners, r.lateness, o.outbox
FROM (SELECT max(checked_at) AS checked_at,
             count(*) FILTER (WHERE s.admin_state <> 'disabled' AND s.due_at < %(overdue)s) AS overdue
      FROM nodes_nodestate s JOIN nodes_node n ON n.id = s.node_id AND n.removed_at IS NULL) c,
     (SELECT count(*) FILTER (WHERE kind = 'checks') AS runners, count(*) FILTER (WHERE kind = 'alerts') AS alert_runners,
             coalesce(max(lateness_p99) FILTER (WHERE kind = 'checks'), 0) AS lateness
      FROM nodes_runner WHERE seen_at > %(silent)s) r,
     (SELECT count(*) AS outbox FROM (SELECT 1 FROM nodes_outbox LIMIT 10000) waiting) o
LEFT JOIN nodes_fleetstate f ON f.id = 1
"""

_BOARD = f"""
SELECT fleet.*, p.id AS pool_id, p.name AS pool, p.slug, p.strategy, f.cooldown,
       ps.epoch, ps.epoch_at, ps.active_tier, ps.paused, ps.last_failover_at, ps.cooldown_lifted_at, ps.low_capacity, ps.version,
       n.id, n.name, n.address, n.port, n.zone, n.weight, n.priority,
       coalesce(n.failure_threshold, f.failure_threshold) AS failure_threshold,
       coalesce(n.recovery_threshold, f.recovery_threshold) AS recovery_threshold,
       s.admin_state, s.health, s.health_since, s.fails, s.passes, s.first_bad_at, s.stale, s.share,
       s.breaker_state, s.breaker_mode, s.breaker_mode_until, s.breaker_opened_at, s.breaker_wait,
       s.breaker_opened_by, s.breaker_opened_why,
       s.last_message, s.last_latency, s.recent
FROM ({_FLEET}) fleet
LEFT JOIN (nodes_pool p JOIN nodes_failoverpolicy f ON f.id = p.failover_policy_id)
       ON p.removed_at IS NULL AND (%(pool)s::bigint IS NULL OR p.id = %(pool)s)
LEFT JOIN nodes_poolstate ps ON ps.pool_id = p.id
LEFT JOIN (nodes_node n JOIN nodes_nodestate s ON s.node_id = n.id) ON n.pool_id = p.id AND n.removed_at IS NULL
ORDER BY p.name, p.id, n.priority, n.name
"""


def board(now: datetime, pool_id: int | None = None) -> Board:
    """All pools, or the one, and the fleet: one query."""
    parameters = {
        "pool": pool_id,
        "overdue": now - timedelta(seconds=OVERDUE_AFTER),
        "silent": now - timedelta(seconds=RUNNER_SILENT),
    }
    with connection.cursor() as cursor:
        cursor.execute(_BOARD, parameters)
        names = [column.name for column in cursor.description or ()]
        found = [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]
    pools = groupby((row for row in found if row["pool_id"] is not None), key=lambda row: row["pool_id"])
    fleet = found[0]
    return Board(tuple(_pool(list(rows), now) for _, rows in pools), fleet, tuple(_fleet_holds(fleet, now)))


def _fleet_holds(fleet: Mapping[str, Any], now: datetime) -> Iterator[Standing]:
    paused, isolated = in_force(stored.hold(fleet["fleet_paused"]), now.timestamp()), stored.hold(fleet["fleet_isolated"])
    if paused is not None:
        yield held("paused", paused)
    if isolated is not None:
        yield Standing("console cut off", isolated.reason)


def _pool(found: list[dict[str, Any]], now: datetime) -> PoolRow:
    first = found[0]
    return PoolRow(
        id=first["pool_id"],
        name=first["pool"],
        slug=first["slug"],
        strategy=Strategy(first["strategy"]),
        epoch=first["epoch"] or 0,
        epoch_at=first["epoch_at"],
        active_tier=first["active_tier"],
        low_capacity=bool(first["low_capacity"]),
        versions=(first["version"] or 0, first["fleet_version"] or 0, first["config_version"] or 0),
        holds=tuple(_holds(first, now)),
        nodes=tuple(node_row(row) for row in found if row["id"] is not None),
    )


def _holds(row: dict[str, Any], now: datetime) -> Iterator[Standing]:
    if (hold := in_force(stored.hold(row["paused"]), now.timestamp())) is not None:
        yield held("paused", hold)
    moved, lifted = row["last_failover_at"], row["cooldown_lifted_at"]
    if moved is not None and (lifted is None or lifted < moved):
        ends = moved + timedelta(seconds=row["cooldown"])
        if ends > now:
            yield Standing("cool-down", "no further automatic failover until it ends; an acknowledgement lifts it", ends)


def held(word: str, hold: Hold) -> Standing:
    """A hold in words: who, why, until when."""
    who = f"by {hold.owner}" if hold.owner else ""
    return Standing(word, ": ".join(part for part in (who, hold.reason) if part), stored.moment(hold.until))
