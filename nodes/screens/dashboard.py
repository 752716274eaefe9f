"""The dashboard: the state of the whole fleet, in three queries."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import Case, IntegerField, Value, When

from nodes.engine.enums import Severity
from nodes.ledger import rows as stored
from nodes.models import Event, Incident
from nodes.screens.fragments import Fragment, Screen, by_id
from nodes.screens.history_lines import EventLine, IncidentRow, event_lines, incident_rows
from nodes.screens.node_row import NodeRow, Rank
from nodes.screens.overview import STATUS_TONES, UNDECIDED, Block, Overview, PoolRow, PoolStatus, overview

EVENTS_SHOWN = 15
INCIDENTS_SHOWN = 20
NODES_SHOWN = 12  # of one pool; the worst of a larger one
ROWS_SHOWN = 120  # of all pools together; what follows is counted


@dataclass(frozen=True, slots=True)
class IsolatedChecker:
    """A checker that is not believed, why and since when; `others`: another one is."""

    host: str
    reason: str
    since: datetime | None
    others: bool


@dataclass(frozen=True, slots=True)
class Automation:
    """Whether the engine may act by itself, and what keeps it from that."""

    blocks: tuple[Block, ...]
    paused: bool
    pools_paused: tuple[tuple[str, str], ...]  # name and slug
    checkers: tuple[IsolatedChecker, ...] = ()

    @property
    def on(self) -> bool:
        return not self.blocks

    @property
    def tone(self) -> str:
        if self.checkers and self.on:
            return "warn"
        return "ok" if self.on and not self.pools_paused else "paused"


@dataclass(frozen=True, slots=True)
class Headline:
    """The fleet in one line."""

    tone: str
    sentence: str


@dataclass(frozen=True, slots=True)
class PoolHead:
    """The counts of a pool, and what keeps its automation from acting."""

    id: int
    name: str
    slug: str
    status: PoolStatus
    tone: str
    strategy: str
    eligible: int
    enabled: int
    epoch: int
    failover_pending: bool
    low_capacity: bool
    unserved: bool
    blocks: tuple[Block, ...]


@dataclass(frozen=True, slots=True)
class PoolCard:
    """A pool on the dashboard: its head, and as many of its nodes as there is room for."""

    head: PoolHead
    shown: tuple[NodeRow, ...]
    left_out: str  # in words; empty when all are shown


@dataclass(frozen=True, slots=True)
class Pipeline:
    """What checks and alerts are doing: whether the page shows the present."""

    checked_at: datetime | None
    overdue: int
    runners: int
    alert_runners: int
    lateness: float  # seconds, the worst runner's p99
    outbox: int
    isolated: bool
    clocks_off: tuple[str, ...] = ()  # hosts whose clock differs from the database's, and by how much

    @property
    def runners_tone(self) -> str:
        return "" if self.runners else "bad"

    @property
    def alert_runners_tone(self) -> str:
        return "" if self.alert_runners else "bad"

    @property
    def outbox_tone(self) -> str:
        return "warn" if self.outbox > 1000 or (self.outbox and not self.alert_runners) else ""

    @property
    def overdue_tone(self) -> str:
        return "warn" if self.overdue else ""


def dashboard(now: datetime) -> Screen:
    """Pools worst first, open incidents, the latest events, and the pipeline behind them."""
    found = overview(now)
    pools = sorted(found.pools, key=lambda pool: pool.rank)
    incidents = incident_rows(_open_incidents())
    events = event_lines(Event.objects.order_by("-at", "-pk")[:EVENTS_SHOWN])
    automation, pipeline = _automation(found, pools), _pipeline(found.fleet)
    headline = _headline(pools, automation, pipeline)
    cards = _cards(pools)
    context = {
        "headline": headline, "automation": automation, "incidents": incidents, "cards": cards, "events": events,
        "pipeline": pipeline, "checked_at": pipeline.checked_at, "now": now,
    }  # fmt: skip  # as above
    return Screen(context, _fragments(headline, automation, incidents, cards, events, pipeline))


def _open_incidents() -> Any:
    severity = Case(When(severity=Severity.CRITICAL, then=Value(0)), default=Value(1), output_field=IntegerField())
    return Incident.objects.filter(closed_at=None).order_by(severity, "opened_at")[:INCIDENTS_SHOWN]


def _automation(found: Overview, pools: list[PoolRow]) -> Automation:
    paused = any(block.word == "paused" for block in found.blocks)
    others = found.fleet["fleet_isolated"] is None
    checkers = tuple(
        IsolatedChecker(host, reason, stored.moment(since), others)
        for host, reason, since in stored.plain(found.fleet["isolated_checkers"]) or ()
    )
    return Automation(found.blocks, paused, tuple((pool.name, pool.slug) for pool in pools if pool.paused), checkers)


def _pipeline(fleet: Mapping[str, Any]) -> Pipeline:
    return Pipeline(
        checked_at=fleet["checked_at"],
        overdue=fleet["overdue"],
        runners=fleet["runners"],
        alert_runners=fleet["alert_runners"],
        lateness=fleet["lateness"],
        outbox=fleet["outbox"],
        isolated=fleet["fleet_isolated"] is not None,
        clocks_off=tuple(_clock_off(host, ahead) for host, ahead in sorted((fleet["clocks_off"] or {}).items())),
    )


def _clock_off(host: str, ahead: float) -> str:
    return f"{host} is {abs(ahead):.0f} s {'ahead' if ahead > 0 else 'behind'}"


def _headline(pools: list[PoolRow], automation: Automation, pipeline: Pipeline) -> Headline:
    """The worst thing first, and never green while checks do not run."""
    if not pools:
        return Headline("idle", "No pool yet: an admin adds the first one")
    counts = Counter(pool.status for pool in pools)
    worst, *others = [status for status in PoolStatus if status in counts]
    first = f"{counts[worst]} {'pool' if counts[worst] == 1 else 'pools'} {worst}"
    parts = [", ".join([first, *(f"{counts[status]} {status}" for status in others)])]
    tone = STATUS_TONES[worst]
    if pending := sum(pool.failover_pending for pool in pools):
        tone = "bad"  # traffic goes where it is not served
        parts.append(f"failover pending in {pending} {'pool' if pending == 1 else 'pools'}")
    if undecided := sum(pool.undecided for pool in pools):
        tone = "bad"
        parts.append(f"{undecided} {'pool' if undecided == 1 else 'pools'} {UNDECIDED}")
    parts.append("automation on" if automation.on else f"automation held: {', '.join(block.word for block in automation.blocks)}")
    if pipeline.overdue:
        parts.append(f"{pipeline.overdue} {'check' if pipeline.overdue == 1 else 'checks'} overdue")
    if not pipeline.alert_runners:
        parts.append("nobody is notified: no alert runner lives")
    if tone in ("ok", "idle") and (pipeline.overdue or automation.blocks or not pipeline.alert_runners):
        tone = "warn"
    return Headline(tone, "; ".join(parts))


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
        pool.id, pool.name, pool.slug, pool.status, pool.tone, pool.strategy_words, pool.eligible, len(pool.enabled), pool.epoch,
        pool.failover_pending, pool.low_capacity, pool.unserved, pool.blocks,
    )  # fmt: skip  # what belongs together stays on a line


def _left_out(pool: PoolRow, shown: tuple[NodeRow, ...]) -> str:
    more = len(pool.nodes) - len(shown)
    if not more:
        return ""
    unhealthy = sum(node.rank != Rank.HEALTHY for node in pool.nodes) - sum(node.rank != Rank.HEALTHY for node in shown)
    total = f"all {len(pool.nodes)} nodes" if not shown else f"{more} more"
    return f"{total}, {unhealthy} of them not healthy" if unhealthy else f"{total}, all healthy"


def _fragments(
    headline: Headline,
    automation: Automation,
    incidents: tuple[IncidentRow, ...],
    cards: tuple[PoolCard, ...],
    events: tuple[EventLine, ...],
    pipeline: Pipeline,
) -> dict[str, Fragment]:
    page = "nodes/dashboard.html"
    found = by_id(
        Fragment("headline", f"{page}#headline", "headline", headline),
        Fragment("automation", f"{page}#automation", "automation", automation, has_actions=True),
        Fragment("incidents", f"{page}#incidents", "incidents", incidents, has_actions=True),
        Fragment("pools", f"{page}#pools", "cards", cards, children=tuple(f"pool-{card.head.id}" for card in cards)),
    )
    for card in cards:
        found |= _card_fragments(card)
    return found | by_id(
        Fragment("events", f"{page}#events", "events", events),
        Fragment("pipeline", f"{page}#pipeline", "pipeline", pipeline, urgent=pipeline.isolated),
    )


def _card_fragments(card: PoolCard) -> dict[str, Fragment]:
    name = f"pool-{card.head.id}"
    inner = [
        Fragment(f"{name}-head", "nodes/pool_card.html#head", "head", card.head),
        *(node_fragment(node) for node in card.shown),
    ]
    if card.left_out:
        inner.append(Fragment(f"{name}-more", "nodes/pool_card.html#more", "card", card, urgent=card.left_out))
    whole = Fragment(name, "nodes/pool_card.html", "card", card, children=tuple(fragment.id for fragment in inner))
    return by_id(whole, *inner)


def node_fragment(node: NodeRow) -> Fragment:
    return Fragment(f"node-{node.id}", "nodes/node_row.html", "node", node, urgent=node.urgent)
