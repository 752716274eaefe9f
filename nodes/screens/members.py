"""The nodes of a pool as a table in take-over order: those that can serve first and numbered, who is out last.

What changes often is a fragment of its own, a cell of a row; a node that changes its place brings the table whole.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple

from nodes.charts import texts
from nodes.charts.stack import TINTS
from nodes.engine.enums import AdminState, Health, State
from nodes.screens.decisions import DecisionRecord
from nodes.screens.fragments import Fragment
from nodes.screens.node_row import NodeRow
from nodes.screens.overview import PoolRow

NODES_SHOWN = 200
CHANGE_LASTS = timedelta(hours=1)  # for which the last move of shares is shown beside them
_TEMPLATE = "nodes/members.html"


class StateCell(NamedTuple):
    id: int
    word: str
    beside: str  # small, below: what its breaker makes of it, where the breaker has no column


class ShareCell(NamedTuple):
    id: int
    name: str
    share: int
    change: str  # in the last move, in words; empty when that was long ago
    received: int
    tint: int


class BreakerCell(NamedTuple):
    id: int
    word: str
    until: datetime | None
    before: str  # words before the countdown, or alone
    over: str


class ChecksCell(NamedTuple):
    id: int
    recent: str


class LatencyCell(NamedTuple):
    id: int
    p95: float | None


class WhyCell(NamedTuple):
    id: int
    why: str
    since: datetime | None


Cell = StateCell | ShareCell | BreakerCell | ChecksCell | LatencyCell | WhyCell


@dataclass(frozen=True, slots=True)
class Member:
    """A row: what stays, and its cells."""

    node: NodeRow
    place: int | None  # in take-over order; None: it is out
    state: StateCell
    share: ShareCell
    breaker: BreakerCell
    checks: ChecksCell
    latency: LatencyCell
    why: WhyCell

    @property
    def id(self) -> int:
        return self.node.id

    @property
    def out(self) -> bool:
        return self.place is None and not self.node.share


@dataclass(frozen=True, slots=True)
class Members:
    """The pool's nodes, the worst of very many."""

    pool_id: int
    shown: tuple[Member, ...]
    left_out: int


def members(row: PoolRow, decisions: Sequence[DecisionRecord], p95: Mapping[int, float], now: datetime) -> Members:
    kept = row.nodes
    if len(kept) > NODES_SHOWN:
        kept = tuple(sorted(kept, key=lambda node: -node.rank)[:NODES_SHOWN])
    tints = {node.id: i % TINTS + 1 for i, node in enumerate(row.nodes)}
    changes = _changes(decisions, now)
    ordered = sorted(kept, key=lambda node: (not node.eligible, not node.share, node.priority, node.name))
    shown = [
        _member(node, place if node.eligible else None, tints[node.id], changes.get(node.id, 0), p95.get(node.id), row)
        for place, node in enumerate(ordered, 1)
    ]
    return Members(row.id, tuple(shown), len(row.nodes) - len(shown))


def fragments(found: Members) -> Iterator[Fragment]:
    """The table, and its cells."""
    cells = tuple(_cells(found))
    order = tuple(f"row-{each.id}-{each.node.name}-{each.place}-{each.out}" for each in found.shown)
    yield Fragment("members", f"{_TEMPLATE}#members", "members", found, children=(*(cell.id for cell in cells), *order))
    yield from cells


def _cells(found: Members) -> Iterator[Fragment]:
    for each in found.shown:
        for name in ("state", "share", "breaker", "checks", "latency", "why"):
            urgent = name if name in ("checks", "latency") else None
            yield Fragment(f"node-{each.id}-{name}", f"{_TEMPLATE}#{name}", name, getattr(each, name), urgent=urgent)


def _changes(decisions: Sequence[DecisionRecord], now: datetime) -> dict[int, int]:
    """What each node got or gave in the last move of shares, unless that was long ago."""
    last = next((each for each in decisions if each.epoch is not None), None)
    if last is None or last.at < now - CHANGE_LASTS:
        return {}
    return {line.node: line.gained for line in last.considered}


def _member(node: NodeRow, place: int | None, tint: int, change: int, p95: float | None, pool: PoolRow) -> Member:
    sign = "+" if change > 0 else "\N{MINUS SIGN}"
    moved = f"{sign}{texts.percent(abs(change))}" if change else ""
    return Member(
        node=node,
        place=place,
        state=StateCell(node.id, word(node), _beside(node)),
        share=ShareCell(node.id, node.name, node.share, moved, max(0, change), tint),
        breaker=breaker_cell(node),
        checks=ChecksCell(node.id, node.recent),
        latency=LatencyCell(node.id, p95),
        why=WhyCell(node.id, _why(node, pool), node.first_bad_at if node.why else None),
    )


def word(node: NodeRow) -> str:
    """Its state in a word that has a shape: an open breaker is never green, and who fails below the limit is suspect."""
    if node.admin == AdminState.ENABLED and node.health in (Health.HEALTHY, Health.DEGRADED) and not node.stale:
        if node.effective == State.OPEN:
            return node.breaker_word
        if node.fails:
            return "suspect"
        if node.effective == State.HALF_OPEN:
            return "on trial"
    return str(node.word)


def _beside(node: NodeRow) -> str:
    return " · ".join(filter(None, (node.beside, node.breaker_effect, f"breaker {node.breaker_word}")))


def breaker_cell(node: NodeRow) -> BreakerCell:
    if node.mode_until:
        return BreakerCell(node.id, node.breaker_word, node.mode_until, "ends in", "a moment")
    if node.waits_for_health:
        return BreakerCell(node.id, node.breaker_word, None, "trial after recovery", "")
    if node.trial_at:
        return BreakerCell(node.id, node.breaker_word, node.trial_at, "trial in", "a moment")
    return BreakerCell(node.id, node.breaker_word, None, "", "")


def _why(node: NodeRow, pool: PoolRow) -> str:
    if node.why:
        return node.why
    if node.admin != AdminState.ENABLED:
        return f"taken out by a person{f', {node.health}' if node.beside else ''}"
    if node.eligible:
        stands_by = pool.active_tier is not None and node.priority != pool.active_tier
        return f"{'stands by' if stands_by else 'eligible'}, {node.place}"
    return f"breaker {node.breaker_word}" if node.effective != State.CLOSED else str(node.health)
