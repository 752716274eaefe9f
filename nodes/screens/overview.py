"""Pools and their nodes as rows of a page, and the figures of the whole fleet, all from one query."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from itertools import groupby
from typing import Any

from django.db import connection

from nodes.engine.enums import AdminState, Health, Strategy
from nodes.engine.guards import in_force
from nodes.engine.types import Hold
from nodes.ledger import rows as stored
from nodes.ledger.intervals import stale
from nodes.ledger.leases import ALIVE
from nodes.ledger.runners import CLOCK_OFF
from nodes.screens.node_row import NodeRow, Rank, node_row

OVERDUE_AFTER = 10  # s after its due instant a check is missed
RUNNER_SILENT = 15  # s
UNDECIDED = "cannot be decided"  # as it follows the pool's name


class PoolStatus(StrEnum):
    """How a pool serves its traffic, worst first."""

    DOWN = "down"  # no enabled node is eligible
    DEGRADED = "degraded"  # an enabled node is not eligible, others serve the traffic
    UNKNOWN = "unknown"  # no node has been checked yet
    IDLE = "idle"  # no node is enabled
    HEALTHY = "healthy"


STATUS_TONES = {
    PoolStatus.DOWN: "bad",
    PoolStatus.DEGRADED: "warn",
    PoolStatus.UNKNOWN: "idle",
    PoolStatus.IDLE: "idle",
    PoolStatus.HEALTHY: "ok",
}


@dataclass(frozen=True, slots=True)
class Block:
    """One thing that keeps automation from acting now: a pause, that no checker is believed, or a pool's cool-down."""

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
    blocks: tuple[Block, ...]
    nodes: tuple[NodeRow, ...]

    @property
    def paused(self) -> bool:
        return any(block.word == "paused" for block in self.blocks)

    @property
    def undecided(self) -> bool:
        return any(block.word == UNDECIDED for block in self.blocks)

    @property
    def enabled(self) -> tuple[NodeRow, ...]:
        return tuple(node for node in self.nodes if node.admin == AdminState.ENABLED)

    @property
    def eligible(self) -> int:
        return sum(node.eligible for node in self.nodes)

    @property
    def failover_pending(self) -> bool:
        return any(node.failover_pending for node in self.nodes)

    @property
    def status(self) -> PoolStatus:
        enabled = self.enabled
        if not enabled:
            return PoolStatus.DEGRADED if self.failover_pending else PoolStatus.IDLE
        if all(node.health == Health.UNKNOWN for node in enabled):
            return PoolStatus.UNKNOWN
        if not any(node.eligible and not node.unconfirmed for node in self.nodes):
            return PoolStatus.DOWN
        out = (
            any(node.unconfirmed for node in enabled) or self.eligible < len(enabled) or self.failover_pending or self.low_capacity
        )
        return PoolStatus.DEGRADED if out else PoolStatus.HEALTHY

    @property
    def rank(self) -> tuple[bool, int, int]:
        """Pools that need attention come first: those that cannot be decided, then by status, then by the worst node."""
        worst = max((node.rank for node in self.nodes), default=Rank.HEALTHY)
        return not self.undecided, list(PoolStatus).index(self.status), -worst

    @property
    def tone(self) -> str:
        return "bad" if self.undecided else STATUS_TONES[self.status]

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
class Overview:
    """Pools with their nodes, and the row of figures about the whole fleet."""

    pools: tuple[PoolRow, ...]
    fleet: Mapping[str, Any]
    blocks: tuple[Block, ...]  # what keeps all automation from acting

    @property
    def checked_at(self) -> datetime | None:
        """Start of the newest check of any node."""
        at: datetime | None = self.fleet["checked_at"]
        return at


_FLEET = f"""
SELECT f.version AS fleet_version, f.config_version, f.paused AS fleet_paused, f.isolated AS fleet_isolated,
       c.checked_at, c.overdue,
       (SELECT json_agg(json_build_array(host, reason, extract(epoch FROM since)::float8) ORDER BY host)
        FROM nodes_checker WHERE doubt <> '') AS isolated_checkers,
       r.runners, r.alert_runners, r.lateness, r.clocks_off, o.outbox
FROM (SELECT max(checked_at) AS checked_at,
             count(*) FILTER (
                 WHERE s.admin_state <> 'disabled' AND s.due_at < now() - make_interval(secs => %(overdue)s)
             ) AS overdue
      FROM nodes_nodestate s JOIN nodes_node n ON n.id = s.node_id AND n.removed_at IS NULL) c,
     (SELECT (SELECT count(*) FROM nodes_lease WHERE kind = 'checks' AND {ALIVE}) AS runners,
             (SELECT count(*) FROM nodes_lease WHERE kind = 'alerts' AND {ALIVE}) AS alert_runners,
             coalesce(max(lateness_p99) FILTER (WHERE kind = 'checks'), 0) AS lateness,
             json_object_agg(host, clock_ahead) FILTER (WHERE abs(clock_ahead) > %(clock_off)s) AS clocks_off
      FROM nodes_runner WHERE seen_at > now() - make_interval(secs => %(silent)s)) r,
     (SELECT count(*) AS outbox FROM (SELECT 1 FROM nodes_outbox WHERE given_up_at IS NULL LIMIT 10000) waiting) o
LEFT JOIN nodes_fleetstate f ON f.id = 1
"""

_OVERVIEW = f"""
SELECT fleet.*, p.id AS pool_id, p.name AS pool, p.slug, p.strategy, f.cooldown,
       ps.epoch, ps.epoch_at, ps.active_tier, ps.paused, ps.last_failover_at, ps.cooldown_lifted_at, ps.low_capacity, ps.version,
       ps.undecided_since, ps.undecided_why,
       n.id, n.name, n.address, n.port, n.zone, n.weight, n.priority,
       coalesce(n.failure_threshold, f.failure_threshold) AS failure_threshold,
       coalesce(n.recovery_threshold, f.recovery_threshold) AS recovery_threshold,
       s.admin_state, s.health, s.health_since, s.fails, s.passes, s.first_bad_at, {stale()} AS stale, s.share,
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


def overview(now: datetime, pool_id: int | None = None) -> Overview:
    """All pools, or the one, and the fleet: one query."""
    parameters = {
        "pool": pool_id,
        "overdue": OVERDUE_AFTER,
        "silent": RUNNER_SILENT,
        "clock_off": CLOCK_OFF,
    }
    with connection.cursor() as cursor:
        cursor.execute(_OVERVIEW, parameters)
        names = [column.name for column in cursor.description or ()]
        found = [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]
    pools = groupby((row for row in found if row["pool_id"] is not None), key=lambda row: row["pool_id"])
    fleet = found[0]
    return Overview(tuple(_pool(list(rows), now) for _, rows in pools), fleet, tuple(_fleet_blocks(fleet, now)))


def _fleet_blocks(fleet: Mapping[str, Any], now: datetime) -> Iterator[Block]:
    paused, isolated = in_force(stored.hold(fleet["fleet_paused"]), now.timestamp()), stored.hold(fleet["fleet_isolated"])
    if paused is not None:
        yield _by_hold("paused", paused)
    if isolated is not None:
        yield Block("no checker believed", f"({isolated.reason})")


def _pool(found: list[dict[str, Any]], now: datetime) -> PoolRow:
    first = found[0]
    strategy, blocks = _strategy_and_blocks(first, now)
    return PoolRow(
        id=first["pool_id"],
        name=first["pool"],
        slug=first["slug"],
        strategy=strategy,
        epoch=first["epoch"] or 0,
        epoch_at=first["epoch_at"],
        active_tier=first["active_tier"],
        low_capacity=bool(first["low_capacity"]),
        versions=(first["version"] or 0, first["fleet_version"] or 0, first["config_version"] or 0),
        blocks=blocks,
        nodes=tuple(node_row(row) for row in found if row["id"] is not None),
    )


def _strategy_and_blocks(row: dict[str, Any], now: datetime) -> tuple[Strategy, tuple[Block, ...]]:
    """A row that cannot be read is shown as what it is: a pool that cannot be decided."""
    why = f"{row['undecided_why']}; its shares stay as they are, it is tried again" if row["undecided_since"] else ""
    try:
        strategy, blocks = Strategy(row["strategy"]), tuple(_blocks(row, now))
    except (ValueError, TypeError, OverflowError) as error:
        strategy, blocks, why = Strategy.WEIGHTED, (), why or f"a row of it cannot be read: {error}"
    return strategy, (Block(UNDECIDED, why), *blocks) if why else blocks


def _blocks(row: dict[str, Any], now: datetime) -> Iterator[Block]:
    if (hold := in_force(stored.hold(row["paused"]), now.timestamp())) is not None:
        yield _by_hold("paused", hold)
    moved, lifted = row["last_failover_at"], row["cooldown_lifted_at"]
    if moved is not None and (lifted is None or lifted < moved):
        ends = moved + timedelta(seconds=row["cooldown"])
        if ends > now:
            yield Block("cool-down", "no further automatic failover until it ends; an acknowledgement lifts it", ends)


def _by_hold(word: str, hold: Hold) -> Block:
    """A hold in words: who, why, until when."""
    who = f"by {hold.owner}" if hold.owner else ""
    return Block(word, ": ".join(part for part in (who, hold.reason) if part), stored.moment(hold.until))
