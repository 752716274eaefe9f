"""What if: the nodes that somebody fears to lose, and what the engine would then do with their traffic.

Nothing is ticked: what would become of each alone (`nodes.screens.outlook`).  Otherwise of all ticked ones at once.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime

import psycopg
from django.db import connection, transaction
from psycopg.rows import dict_row

from nodes.charts import Part, shares_bar, texts
from nodes.charts.stack import TINTS
from nodes.engine import guards
from nodes.engine.decision import Decision
from nodes.engine.enums import Guard
from nodes.engine.losses import Loss, if_lost
from nodes.ledger.pools import PoolGoneError, look
from nodes.ledger.rows import Cursor, moment
from nodes.ledger.undecided import cause
from nodes.screens.node_row import NodeRow
from nodes.screens.outlook import Outlook, ProspectLine
from nodes.screens.overview import PoolRow
from nodes.screens.phrases import listed

CHOICES = 20  # nodes to tick, those with the greatest shares; and whatever is ticked
BAR = 12  # px


@dataclass(frozen=True, slots=True)
class Choice:
    """A node to tick."""

    id: int
    name: str
    ticked: bool
    note: str
    alone: ProspectLine | None  # what would become of it alone, while nothing is ticked


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the engine would do; `hue` is that of the consequence."""

    hue: str
    bold: str
    text: str
    now: str  # bars
    then: str
    received: tuple[tuple[int, str, int], ...]  # tint, name, share then
    passed: str
    refusal: str  # the guard in words; empty when none refuses
    because: str
    lifts_at: datetime | None


@dataclass(frozen=True, slots=True)
class WhatIf:
    choices: tuple[Choice, ...]
    left_out: int
    verdict: Verdict | None
    trouble: str = ""  # why nothing can be said


def what_if(row: PoolRow, outlook: Outlook, asked: Collection[int], now: datetime) -> WhatIf:
    """The card; ids that are none of the pool's are ignored."""
    lost = {node.id for node in row.nodes if node.id in asked}
    holding = sorted(row.nodes, key=lambda node: (-node.share, node.priority, node.name))
    shown = {node.id for node in holding[:CHOICES]} | lost
    alone = {line.id: line for line in outlook.lines} if not lost else {}
    choices = tuple(Choice(n.id, n.name, n.id in lost, _note(n), alone.get(n.id)) for n in row.nodes if n.id in shown)
    left_out = len(row.nodes) - len(choices)
    if not lost:
        return WhatIf(choices, left_out, None, outlook.trouble)
    try:
        return WhatIf(choices, left_out, _verdict(_looked_at(row.id, lost, now), row))
    except PoolGoneError as error:
        return WhatIf(choices, left_out, None, str(error))
    except psycopg.Error:
        raise
    except Exception as error:  # a row of another version, a policy that cannot work: the runners meet it too, and tell it
        return WhatIf(choices, left_out, None, cause(error))


def _note(node: NodeRow) -> str:
    if node.share:
        return f"{texts.percent(node.share)} to place"
    return "holds nothing" if node.eligible else "is out already"


def _looked_at(pool_id: int, lost: Collection[int], now: datetime) -> Loss:
    with transaction.atomic(), connection.cursor() as wrapper:
        cursor: Cursor = wrapper.cursor
        cursor.row_factory = dict_row
        pool, fleet = look(cursor, pool_id)
    return if_lost(pool, fleet, now.timestamp(), lost)


def _verdict(loss: Loss, row: PoolRow) -> Verdict:
    gains = {node.id: loss.after.get(node.id, 0) - loss.before.get(node.id, 0) for node in row.nodes}
    now = tuple(Part(node.name, loss.before.get(node.id, 0)) for node in row.nodes)
    then = tuple(Part(node.name, loss.after.get(node.id, 0), max(0, gains[node.id])) for node in row.nodes)
    received = tuple((i % TINTS + 1, node.name, loss.after[node.id]) for i, node in enumerate(row.nodes) if loss.after.get(node.id))
    hue, bold, text = _consequence(loss, row)
    refusal = loss.refusal
    blocking = guards.blocking(refusal.guards) if refusal is not None else None
    return Verdict(
        hue=hue,
        bold=bold,
        text=text,
        now=shares_bar(now, height=BAR),
        then=shares_bar(then, height=BAR),
        received=received,
        passed=", ".join(guard.words for guard in loss.passed),
        refusal=blocking.guard.words if blocking else "",
        because=blocking.reason if blocking else "",
        lifts_at=moment(blocking.lifts_at) if blocking else None,
    )


def _consequence(loss: Loss, row: PoolRow) -> tuple[str, str, str]:
    """Hue, what it is for users, and why."""
    names = {node.id: node.name for node in row.nodes}
    over = [f"{names[node]} at {part:.0%}" for node, part in loss.loads.items() if part > 1 and node in names]
    capacity = f"{listed(over)} of its capacity".replace("%", "\N{NO-BREAK SPACE}%") if over else ""
    if loss.stranded:
        stuck = listed([names[node] for node in sorted(loss.lost, key=names.__getitem__) if loss.after[node]])
        also = f" Besides, {capacity}." if over else ""
        return "bad", "Users would be hit.", f"{texts.percent(loss.stranded)} would stay on {stuck} {_until(loss.refusal)}.{also}"
    if not loss.to_place:
        hue = "warn" if any(node.eligible for node in row.nodes if node.id in loss.lost) else "ok"
        return hue, "No traffic would move.", f"{_left(loss)}."
    takers = listed([names[node] for node in names if loss.after.get(node, 0) > loss.before.get(node, 0)])
    moved = f"{texts.percent(loss.to_place)} would go to {takers}"
    if over:
        return "bad", "Users would be hit.", f"{moved}, and that is too much: {capacity}."
    carry = (
        f"; the busiest at {max(loss.loads.values()):.0%} of its capacity".replace("%", "\N{NO-BREAK SPACE}%") if loss.loads else ""
    )
    return "warn", "All would be served.", f"{moved}{carry}. {_left(loss)}."


def _left(loss: Loss) -> str:
    if loss.left > 1:
        return f"{loss.left} nodes would be left"
    return "One node would be left, and no reserve" if loss.left else "No node would be left"


def _until(refusal: Decision | None) -> str:
    waits: dict[Guard, str] = {
        Guard.PAUSED: "until automation is resumed, or somebody moves it",
        Guard.CHECKER_ISOLATED: "until a checker is believed again",
        Guard.COOLDOWN: "until the cool-down is over, or an acknowledgement lifts it",
        Guard.NO_CANDIDATE: "until one of them passes: no other node can take it",
    }
    guard = refusal.refused_by if refusal is not None else None
    return waits.get(guard, f"until somebody overrides the {guard.words}") if guard is not None else "for now"


def ids(texts: Sequence[str]) -> frozenset[int]:
    """The ids in an address; whatever is none is ignored."""
    return frozenset(int(text) for text in texts if text.isascii() and text.isdigit() and len(text) < 19)
