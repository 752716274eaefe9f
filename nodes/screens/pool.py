"""A pool's page: who serves how much, what holds automation back, what was decided."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from nodes.engine.enums import Strategy
from nodes.models import Event, Failover, Incident, Pool
from nodes.screens.dashboard import node_piece
from nodes.screens.lines import event_lines, incident_rows
from nodes.screens.node_row import NodeRow
from nodes.screens.outlook import pool_outlook
from nodes.screens.pieces import Piece, Screen, by_id
from nodes.screens.records import records
from nodes.screens.rows import PoolRow, Standing, board

EVENTS_SHOWN = 15
FAILOVERS_SHOWN = 20
INCIDENTS_SHOWN = 5
NODES_SHOWN = 200


@dataclass(frozen=True, slots=True)
class PoolActs:
    """What an operator can do with the pool now."""

    slug: str
    paused: bool
    tiered: bool


@dataclass(frozen=True, slots=True)
class Members:
    """The pool's nodes, the worst of very many."""

    shown: tuple[NodeRow, ...]
    left_out: int


@dataclass(frozen=True, slots=True)
class PoolFacts:
    """The head of the page: everything but the nodes."""

    name: str
    word: str
    look: str
    strategy: str
    eligible: int
    enabled: int
    total: int
    epoch: int
    epoch_at: datetime | None
    low_capacity: bool
    unserved: bool
    holds: tuple[Standing, ...]


def pool(slug: str, now: datetime) -> Screen | None:
    """None when there is no such pool, or it was removed."""
    found = Pool.objects.select_related("failover_policy", "breaker_policy").filter(slug=slug, removed_at=None).first()
    if found is None:
        return None
    seen = board(now, found.pk)
    row = seen.pools[0]
    facts, members, acts = (
        _facts(row, seen.holds),
        _members(row),
        PoolActs(slug, row.paused, row.strategy == Strategy.ACTIVE_PASSIVE),
    )
    prospects = pool_outlook(found.pk, row.versions, now)
    incidents = incident_rows(Incident.objects.filter(pool=found).order_by("-opened_at")[:INCIDENTS_SHOWN])
    decisions = records(Failover.objects.filter(pool=found).order_by("-at", "-pk")[:FAILOVERS_SHOWN])
    events = event_lines(Event.objects.filter(pool=found).order_by("-at", "-pk")[:EVENTS_SHOWN])
    context = {
        "pool": found, "facts": facts, "members": members, "acts": acts, "incidents": incidents, "decisions": decisions,
        "events": events, "outlook": prospects, "now": now, "checked_at": seen.checked_at,
    }  # fmt: skip  # names beside names
    page = "nodes/pool.html"
    pieces = by_id(
        Piece("pool-facts", f"{page}#facts", "facts", facts),
        Piece("acts", f"{page}#acts", "acts", acts, acts=True),
        Piece("members", f"{page}#members", "members", members, inside=tuple(f"node-{node.id}" for node in members.shown)),
        *(node_piece(node) for node in members.shown),
        Piece("outlook", f"{page}#outlook", "outlook", prospects),
        Piece("incidents", f"{page}#incidents", "incidents", incidents, acts=True),
        Piece("decisions", f"{page}#decisions", "decisions", decisions),
        Piece("events", f"{page}#events", "events", events),
    )
    return Screen(context, pieces, frozenset({found.pk}))


def _members(row: PoolRow) -> Members:
    if len(row.nodes) <= NODES_SHOWN:
        return Members(row.nodes, 0)
    return Members(tuple(sorted(row.nodes, key=lambda node: -node.rank)[:NODES_SHOWN]), len(row.nodes) - NODES_SHOWN)


def _facts(row: PoolRow, fleet_holds: tuple[Standing, ...]) -> PoolFacts:
    return PoolFacts(
        name=row.name,
        word=row.word,
        look=row.look,
        strategy=row.strategy_words,
        eligible=row.eligible,
        enabled=len(row.enabled),
        total=len(row.nodes),
        epoch=row.epoch,
        epoch_at=row.epoch_at,
        low_capacity=row.low_capacity,
        unserved=row.unserved,
        holds=fleet_holds + row.holds,
    )
