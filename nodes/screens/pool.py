"""A pool's page: who serves how much, what keeps automation from acting, what was decided."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from nodes.engine.enums import Strategy
from nodes.models import Event, Failover, Incident, Pool
from nodes.screens.dashboard import node_fragment
from nodes.screens.decisions import decision_records
from nodes.screens.fragments import Fragment, Screen, by_id
from nodes.screens.history_lines import event_lines, incident_rows
from nodes.screens.node_row import NodeRow
from nodes.screens.outlook import pool_outlook
from nodes.screens.overview import Block, PoolRow, PoolStatus, overview

EVENTS_SHOWN = 15
FAILOVERS_SHOWN = 20
INCIDENTS_SHOWN = 5
NODES_SHOWN = 200


@dataclass(frozen=True, slots=True)
class PoolActions:
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
    status: PoolStatus
    tone: str
    strategy: str
    eligible: int
    enabled: int
    total: int
    epoch: int
    epoch_at: datetime | None
    failover_pending: bool
    low_capacity: bool
    unserved: bool
    blocks: tuple[Block, ...]


def pool(slug: str, now: datetime) -> Screen | None:
    """None when there is no such pool, or it was removed."""
    found = Pool.objects.select_related("failover_policy", "breaker_policy").filter(slug=slug, removed_at=None).first()
    if found is None:
        return None
    fleet = overview(now, found.pk)
    row = fleet.pools[0]
    facts, members, actions = (
        _facts(row, fleet.blocks),
        _members(row),
        PoolActions(slug, row.paused, row.strategy == Strategy.ACTIVE_PASSIVE),
    )
    prospects = pool_outlook(found.pk, row.versions, now)
    incidents = incident_rows(Incident.objects.filter(pool=found).order_by("-opened_at")[:INCIDENTS_SHOWN])
    decisions = decision_records(Failover.objects.filter(pool=found).order_by("-at", "-pk")[:FAILOVERS_SHOWN])
    events = event_lines(Event.objects.filter(pool=found).order_by("-at", "-pk")[:EVENTS_SHOWN])
    context = {
        "pool": found, "facts": facts, "members": members, "actions": actions, "incidents": incidents, "decisions": decisions,
        "events": events, "outlook": prospects, "now": now, "checked_at": fleet.checked_at,
    }  # fmt: skip  # names beside names
    page = "nodes/pool.html"
    fragments = by_id(
        Fragment("pool-facts", f"{page}#facts", "facts", facts),
        Fragment("actions", f"{page}#actions", "actions", actions, has_actions=True),
        Fragment("members", f"{page}#members", "members", members, children=tuple(f"node-{node.id}" for node in members.shown)),
        *(node_fragment(node) for node in members.shown),
        Fragment("outlook", f"{page}#outlook", "outlook", prospects),
        Fragment("incidents", f"{page}#incidents", "incidents", incidents, has_actions=True),
        Fragment("decisions", f"{page}#decisions", "decisions", decisions),
        Fragment("events", f"{page}#events", "events", events),
    )
    return Screen(context, fragments, frozenset({found.pk}))


def _members(row: PoolRow) -> Members:
    if len(row.nodes) <= NODES_SHOWN:
        return Members(row.nodes, 0)
    return Members(tuple(sorted(row.nodes, key=lambda node: -node.rank)[:NODES_SHOWN]), len(row.nodes) - NODES_SHOWN)


def _facts(row: PoolRow, fleet_blocks: tuple[Block, ...]) -> PoolFacts:
    return PoolFacts(
        name=row.name,
        status=row.status,
        tone=row.tone,
        strategy=row.strategy_words,
        eligible=row.eligible,
        enabled=len(row.enabled),
        total=len(row.nodes),
        epoch=row.epoch,
        epoch_at=row.epoch_at,
        failover_pending=row.failover_pending,
        low_capacity=row.low_capacity,
        unserved=row.unserved,
        blocks=fleet_blocks + row.blocks,
    )
