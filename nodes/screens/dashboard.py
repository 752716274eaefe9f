"""The dashboard: how the fleet is, in one look and three queries."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import Case, IntegerField, Value, When

from nodes.engine.enums import Severity
from nodes.models import Event, Incident
from nodes.screens.lines import EventLine, IncidentRow, event_lines, incident_rows
from nodes.screens.node_row import DOUBT, FAILING, TROUBLE, WELL, NodeRow
from nodes.screens.pieces import Piece, Screen, by_id
from nodes.screens.rows import Board, PoolRow, Standing, board

EVENTS_SHOWN = 15
INCIDENTS_SHOWN = 20
NODES_SHOWN = 12  # of one pool; the worst of a larger one
ROWS_SHOWN = 120  # of all pools together; what follows is counted


@dataclass(frozen=True, slots=True)
class Automation:
    """Whether the engine may act by itself, and what holds it."""

    holds: tuple[Standing, ...]
    paused: bool
    pools_paused: tuple[tuple[str, str], ...]  # name and slug

    @property
    def on(self) -> bool:
        return not self.holds

    @property
    def look(self) -> str:
        return "ok" if self.on and not self.pools_paused else "hold"


@dataclass(frozen=True, slots=True)
class Verdict:
    """The fleet in one line."""

    look: str
    sentence: str


@dataclass(frozen=True, slots=True)
class PoolHead:
    """The counts of a pool and what holds it."""

    id: int
    name: str
    slug: str
    word: str
    look: str
    strategy: str
    eligible: int
    enabled: int
    epoch: int
    low_capacity: bool
    unserved: bool
    holds: tuple[Standing, ...]


@dataclass(frozen=True, slots=True)
class PoolCard:
    """A pool on the dashboard: its head, and as many of its nodes as there is room for."""

    head: PoolHead
    shown: tuple[NodeRow, ...]
    left_out: str  # in words; empty when all are shown


@dataclass(frozen=True, slots=True)
class Pipeline:
    """Whether this screen can be trusted."""

    checked_at: datetime | None
    overdue: int
    runners: int
    alert_runners: int
    lateness: float  # seconds, the worst runner's p99
    outbox: int
    isolated: bool

    @property
    def runners_look(self) -> str:
        return "" if self.runners else "bad"

    @property
    def outbox_look(self) -> str:
        return "warn" if self.outbox > 1000 or (self.outbox and not self.alert_runners) else ""

    @property
    def overdue_look(self) -> str:
        return "warn" if self.overdue else ""


def dashboard(now: datetime) -> Screen:
    """Pools worst first, open incidents, the latest events, and the pipeline behind them."""
    found = board(now)
    pools = sorted(found.pools, key=lambda pool: -pool.rank)
    incidents = incident_rows(_open_incidents())
    events = event_lines(Event.objects.order_by("-at", "-pk")[:EVENTS_SHOWN])
    automation, pipeline = _automation(found, pools), _pipeline(found.fleet)
    verdict = _verdict(pools, automation, pipeline)
    cards = _cards(pools)
    context = {
        "verdict": verdict, "automation": automation, "incidents": incidents, "cards": cards, "events": events,
        "pipeline": pipeline, "checked_at": pipeline.checked_at, "now": now,
    }  # fmt: skip  # as above
    return Screen(context, _pieces(verdict, automation, incidents, cards, events, pipeline))


def _open_incidents() -> Any:
    severity = Case(When(severity=Severity.CRITICAL, then=Value(0)), default=Value(1), output_field=IntegerField())
    return Incident.objects.filter(closed_at=None).order_by(severity, "opened_at")[:INCIDENTS_SHOWN]


def _automation(found: Board, pools: list[PoolRow]) -> Automation:
    paused = any(hold.word == "paused" for hold in found.holds)
    return Automation(found.holds, paused, tuple((pool.name, pool.slug) for pool in pools if pool.paused))


def _pipeline(fleet: Mapping[str, Any]) -> Pipeline:
    return Pipeline(
        checked_at=fleet["checked_at"],
        overdue=fleet["overdue"],
        runners=fleet["runners"],
        alert_runners=fleet["alert_runners"],
        lateness=fleet["lateness"],
        outbox=fleet["outbox"],
        isolated=fleet["fleet_isolated"] is not None,
    )


def _verdict(pools: list[PoolRow], automation: Automation, pipeline: Pipeline) -> Verdict:
    """The worst thing first, and never green while checks do not run."""
    if not pools:
        return Verdict("idle", "No pool yet: an admin adds the first one")
    counts: dict[str, int] = {}
    for pool in pools:
        counts[pool.word] = counts.get(pool.word, 0) + 1
    first, *others = [
        f"{counts[word]} {word}" for word in ("down", "failing", "degraded", "unknown", "idle", "well") if word in counts
    ]
    number, word = first.split(" ", 1)
    parts = [", ".join([f"{number} {'pool' if number == '1' else 'pools'} {word}", *others])]
    parts.append("automation on" if automation.on else f"automation held: {', '.join(hold.word for hold in automation.holds)}")
    worst = max(pool.rank for pool in pools)
    look = "bad" if worst >= FAILING else "warn" if worst in (TROUBLE, DOUBT) else "ok" if worst == WELL else "idle"
    if pipeline.overdue:
        parts.append(f"{pipeline.overdue} {'check' if pipeline.overdue == 1 else 'checks'} overdue")
    if look in ("ok", "idle") and (pipeline.overdue or automation.holds):
        look = "warn"
    return Verdict(look, "; ".join(parts))


def _cards(pools: list[PoolRow]) -> tuple[PoolCard, ...]:
    room = ROWS_SHOWN
    cards = []
    for pool in pools:
        most = min(NODES_SHOWN, room)
        shown = pool.nodes
        if len(shown) > most:
            worst = {node.id for node in sorted(pool.nodes, key=lambda node: -node.rank)[:most]}
            shown = tuple(node for node in pool.nodes if node.id in worst)
        room -= len(shown)
        cards.append(PoolCard(pool_head(pool), shown, _left_out(pool, shown)))
    return tuple(cards)


def pool_head(pool: PoolRow) -> PoolHead:
    return PoolHead(
        pool.id, pool.name, pool.slug, pool.word, pool.look, pool.strategy_words, pool.eligible, len(pool.enabled), pool.epoch,
        pool.low_capacity, pool.unserved, pool.holds,
    )  # fmt: skip  # what belongs together stays on a line


def _left_out(pool: PoolRow, shown: tuple[NodeRow, ...]) -> str:
    more = len(pool.nodes) - len(shown)
    if not more:
        return ""
    unwell = sum(node.rank != WELL for node in pool.nodes) - sum(node.rank != WELL for node in shown)
    total = f"all {len(pool.nodes)} nodes" if not shown else f"{more} more"
    return f"{total}, {unwell} of them not well" if unwell else f"{total}, all well"


def _pieces(
    verdict: Verdict,
    automation: Automation,
    incidents: tuple[IncidentRow, ...],
    cards: tuple[PoolCard, ...],
    events: tuple[EventLine, ...],
    pipeline: Pipeline,
) -> dict[str, Piece]:
    page = "nodes/dashboard.html"
    found = by_id(
        Piece("verdict", f"{page}#verdict", "verdict", verdict),
        Piece("automation", f"{page}#automation", "automation", automation, acts=True),
        Piece("incidents", f"{page}#incidents", "incidents", incidents, acts=True),
        Piece("pools", f"{page}#pools", "cards", cards, inside=tuple(f"pool-{card.head.id}" for card in cards)),
    )
    for card in cards:
        found |= _card_pieces(card)
    return found | by_id(
        Piece("events", f"{page}#events", "events", events),
        Piece("pipeline", f"{page}#pipeline", "pipeline", pipeline, steady=pipeline.isolated),
    )


def _card_pieces(card: PoolCard) -> dict[str, Piece]:
    name = f"pool-{card.head.id}"
    inner = [Piece(f"{name}-head", "nodes/pool_card.html#head", "head", card.head), *(node_piece(node) for node in card.shown)]
    if card.left_out:
        inner.append(Piece(f"{name}-more", "nodes/pool_card.html#more", "card", card, steady=card.left_out))
    whole = Piece(name, "nodes/pool_card.html", "card", card, inside=tuple(piece.id for piece in inner))
    return by_id(whole, *inner)


def node_piece(node: NodeRow) -> Piece:
    return Piece(f"node-{node.id}", "nodes/node_row.html", "node", node, steady=node.steady)
