"""The head of a pool's page: who serves and what is waited for, in words, and the five figures."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from nodes.charts import texts
from nodes.engine.enums import AdminState, ChangeKind, Health, Mode, State
from nodes.engine.service import Service
from nodes.models import Pool
from nodes.screens.decisions import DecisionRecord
from nodes.screens.node_row import NodeRow
from nodes.screens.outlook import Outlook
from nodes.screens.overview import Block, PoolRow
from nodes.screens.phrases import Phrase, listed
from nodes.series import availability_over, pools_now
from nodes.series.kept import Kept

TOLD = 2  # nodes that are out of which a sentence is said
MONTH = timedelta(days=30)


@dataclass(frozen=True, slots=True)
class PoolFacts:
    """The head of the page: everything but the nodes."""

    name: str
    service: Service
    status: str
    tone: str
    strategy: str
    epoch: int
    epoch_at: datetime | None
    failover_pending: bool
    low_capacity: bool
    unserved: bool
    blocks: tuple[Block, ...]
    sentence: tuple[Phrase, ...]


def facts(row: PoolRow, fleet_blocks: tuple[Block, ...]) -> PoolFacts:
    return PoolFacts(
        name=row.name,
        service=row.service,
        status=row.status,
        tone=row.tone,
        strategy=row.strategy_words,
        epoch=row.epoch,
        epoch_at=row.epoch_at,
        failover_pending=row.failover_pending,
        low_capacity=row.low_capacity,
        unserved=row.unserved,
        blocks=fleet_blocks + row.blocks,
        sentence=tuple(sentence(row)),
    )


def sentence(row: PoolRow) -> Iterator[Phrase]:
    """Who serves, and of each node that is out why, and what is waited for."""
    serving = [node.name for node in row.nodes if node.share and not node.failover_pending]
    yield Phrase(f"Served by {listed(serving, len(row.nodes))}." if serving else "No node serves traffic.", strong=True)
    stuck = [node for node in row.nodes if node.failover_pending]
    if stuck:
        yield Phrase(
            f" {texts.percent(sum(node.share for node in stuck))} is still sent to {listed([node.name for node in stuck])}.", True
        )
    out = [node for node in row.nodes if not node.eligible or node.fails]
    for node in sorted(out, key=lambda each: -each.rank)[:TOLD]:
        yield from _about(node)
    if len(out) > TOLD:
        yield Phrase(f" {len(out) - TOLD} more need a look." if len(out) > TOLD + 1 else " One more needs a look.")


def _about(node: NodeRow) -> Iterator[Phrase]:
    if node.admin != AdminState.ENABLED:
        yield Phrase(f" {node.name} is {node.admin.words}.")
    elif node.health == Health.FAILED:
        yield from _failed(node)
    elif node.health == Health.RECOVERING:
        yield Phrase(f" {node.name} answers again, {node.passes} of {node.recovery_threshold} good checks.")
    elif node.mode == Mode.FORCED_OPEN:
        yield Phrase(f" The breaker of {node.name} is forced open.")
    elif node.effective == State.OPEN:
        yield Phrase(f" The breaker of {node.name} is open" + (", it is tried in " if node.trial_at else "."), until=None)
        if node.trial_at:
            yield Phrase(until=node.trial_at)
            yield Phrase(".")
    elif node.effective == State.HALF_OPEN:
        yield Phrase(f" {node.name} is being tried.")
    elif node.stale:
        yield Phrase(f" {node.name} has no fresh check.")
    elif node.fails:
        yield Phrase(f" {node.name} is suspect: {node.why}.")
    else:
        yield Phrase(f" {node.name} has not passed a check yet.")


def _failed(node: NodeRow) -> Iterator[Phrase]:
    yield Phrase(f" {node.name} failed ")
    yield Phrase(since=node.first_bad_at or node.health_since)
    back = f"it is back after {node.recovery_threshold} good check{'s' if node.recovery_threshold > 1 else ''}"
    yield Phrase(f" ago{f' ({node.message})' if node.message else ''}; {back}.")


# Figures --------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class PoolFigures:
    """Shares as parts of 1, times in seconds; None where there is nothing to count."""

    eligible: int
    enabled: int
    reserve: str  # in words
    p95: float | None
    errors: float | None
    switched_at: datetime | None
    switch: str  # how it came about
    available: float | None
    downtime: float


def figures(row: PoolRow, outlook: Outlook, decisions: Sequence[DecisionRecord], now: datetime) -> PoolFigures:
    present = pools_now([row.id], now)[row.id]
    month = _month(row.id, now)
    moved = next((each for each in decisions if each.epoch is not None and each.kind != ChangeKind.REBALANCE), None)
    return PoolFigures(
        eligible=row.eligible,
        enabled=len(row.enabled),
        reserve=_reserve(outlook),
        p95=present.p95,
        errors=present.errors,
        switched_at=moved.at if moved is not None else present.switched_at,
        switch=_switch(moved) if moved is not None else "",
        available=month[0],
        downtime=month[1],
    )


def _reserve(outlook: Outlook) -> str:
    """Whether the next failure could be carried, as the engine says it of each node."""
    if outlook.trouble:
        return "not known"
    if not outlook.lines:
        return "no node holds traffic"
    blocked = [line for line in outlook.lines if line.blocked_by]
    if not blocked:
        return "any one of them may fail"
    if len(blocked) == len(outlook.lines):
        return f"no reserve: {blocked[0].blocked_by}"
    return f"no reserve for {listed([line.name for line in blocked])}"


def _switch(moved: DecisionRecord) -> str:
    if moved.actor != "engine":
        return f"by {moved.actor}" if moved.kind == ChangeKind.MANUAL else f"{moved.kind} by {moved.actor}"
    if moved.kind != ChangeKind.FAILOVER or not moved.steps:
        return f"{moved.kind}{f' of {moved.node}' if moved.node else ''}"
    took = max(0.0, (moved.at - moved.steps[0].at).total_seconds())
    return f"{took:.1f}\N{NO-BREAK SPACE}s after the first bad check"


def read_month(pool_id: int, now: datetime) -> tuple[float | None, float]:
    """Availability over 30 days, and seconds of downtime."""
    whole = availability_over(Pool(pk=pool_id), now - MONTH, now, 1, now=now).whole
    return whole.availability, whole.downtime


_month: Kept[int, tuple[float | None, float]] = Kept(timedelta(seconds=60), read_month)
