"""Pools and their nodes as rows of a page, and the figures of the whole fleet, all from one query."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import groupby
from typing import Any

from nodes.engine.enums import AdminState, Strategy
from nodes.engine.guards import in_force
from nodes.engine.service import FleetView, PoolStatus, PoolView, Service, Truth, truth
from nodes.engine.types import Hold
from nodes.ledger import rows as stored
from nodes.ledger.service import COLUMNS, fleet_view, pool_view, read
from nodes.screens.chrome import FLEET
from nodes.screens.node_row import NodeRow, Rank, node_row

UNDECIDED = "cannot be decided"  # as it follows the pool's name


# Names of the glyphs and colours that exist.
_SERVICE_TONES = {Service.USERS_HIT: "bad", Service.UNKNOWN: "idle", Service.LESS_RESERVE: "warn", Service.SERVED: "ok"}
_STATUS_TONES = {PoolStatus.DRAINING: "out", PoolStatus.MAINTENANCE: "out"}


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
    view: PoolView
    truth: Truth

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
        return self.truth.status

    @property
    def service(self) -> Service:
        return self.truth.service

    @property
    def rank(self) -> tuple[tuple[bool, bool, int], int]:
        """Pools that need attention come first: by their truth, then by the worst node."""
        return self.truth.rank, -max((node.rank for node in self.nodes), default=Rank.HEALTHY)

    @property
    def tone(self) -> str:
        if self.undecided:
            return "bad"
        return _STATUS_TONES.get(self.status, _SERVICE_TONES[self.service])

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
    sight: FleetView

    @property
    def checked_at(self) -> datetime | None:
        """Start of the newest check of any node."""
        at: datetime | None = self.fleet["checked_at"]
        return at


_OVERVIEW = f"""
WITH fleet AS MATERIALIZED ({FLEET})
SELECT fleet.*, p.id AS pool_id, p.name AS pool, p.slug, {COLUMNS},
       ps.epoch_at, ps.active_tier, ps.version, n.address, n.port, n.zone, n.tags, n.priority,
       coalesce(n.recovery_threshold, f.recovery_threshold) AS recovery_threshold,
       s.passes, s.breaker_mode_until, s.breaker_wait, s.breaker_opened_by, s.last_latency, s.recent
FROM fleet
LEFT JOIN (nodes_pool p JOIN nodes_failoverpolicy f ON f.id = p.failover_policy_id)
       ON p.removed_at IS NULL AND (%(pool)s::bigint IS NULL OR p.id = %(pool)s) AND (%(slug)s::text IS NULL OR p.slug = %(slug)s)
LEFT JOIN nodes_poolstate ps ON ps.pool_id = p.id
LEFT JOIN (nodes_node n JOIN nodes_nodestate s ON s.node_id = n.id) ON n.pool_id = p.id AND n.removed_at IS NULL
ORDER BY p.name, p.id, n.priority, n.name
"""


def overview(now: datetime, pool_id: int | None = None, *, slug: str | None = None) -> Overview:
    """All pools, or the one of this id or slug, and the fleet: one query."""
    found = read(_OVERVIEW, {"pool": pool_id, "slug": slug})
    pools = groupby((row for row in found if row["pool_id"] is not None), key=lambda row: row["pool_id"])
    fleet = found[0]
    sight = fleet_view(fleet, now.timestamp(), tuple(_troubles(fleet)))
    return Overview(tuple(_pool(list(rows), sight, now) for _, rows in pools), fleet, tuple(_fleet_blocks(fleet, now)), sight)


def _troubles(fleet: Mapping[str, Any]) -> Iterator[str]:
    """What else keeps the console from saying that all is fine."""
    if late := fleet["overdue"]:
        yield f"{late} {'check is' if late == 1 else 'checks are'} overdue"
    if not fleet["alert_runners"]:
        yield "nobody is notified, no alert runner lives"


def _fleet_blocks(fleet: Mapping[str, Any], now: datetime) -> Iterator[Block]:
    paused, isolated = in_force(stored.hold(fleet["fleet_paused"]), now.timestamp()), stored.hold(fleet["fleet_isolated"])
    if paused is not None:
        yield _by_hold("paused", paused)
    if isolated is not None:
        yield Block("no checker believed", f"({isolated.reason})")


def _pool(found: list[dict[str, Any]], sight: FleetView, now: datetime) -> PoolRow:
    first, view = found[0], pool_view(found, now.timestamp())
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
        view=view,
        truth=truth(view, sight),
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
