"""What would happen now, for a pool's page: the engine's own answer for each node that holds a share.

Kept in this process until the pool, the fleet or the configuration changes, or a guard's time is over.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from math import inf

from django.db import connection, transaction
from psycopg.rows import dict_row

from nodes.engine.decision import Decision
from nodes.engine.outlook import Prospect, outlook
from nodes.ledger.pools import PoolGoneError, look
from nodes.ledger.rows import Cursor, moment
from nodes.screens.records import guard_words

PROSPECTS_SHOWN = 20  # of the greatest shares; each takes a decision over the whole pool
NAMES_SHOWN = 3
_MOST_KEPT = 64  # pools


@dataclass(frozen=True, slots=True)
class Taker:
    id: int
    name: str
    gained: int  # basis points


@dataclass(frozen=True, slots=True)
class Line:
    """One node's prospect; `held_by` says which guard would refuse, `waits` that it fails already."""

    id: int
    name: str
    share: int
    takers: tuple[Taker, ...]
    more: int  # takers that are not named
    held_by: str = ""
    because: str = ""
    lifts_at: datetime | None = None
    waits: bool = False

    @property
    def look(self) -> str:
        return "hold" if self.held_by else "idle"


@dataclass(frozen=True, slots=True)
class Outlook:
    lines: tuple[Line, ...]
    left_out: int  # nodes with smaller shares


_Key = tuple[int, int, int]
_kept: dict[int, tuple[_Key, float, Outlook]] = {}


def pool_outlook(pool_id: int, key: _Key, now: datetime, *, most: int = PROSPECTS_SHOWN) -> Outlook:
    """`key` is made of the versions that the answer depends on."""
    instant = now.timestamp()
    known = _kept.get(pool_id)
    if known is not None and known[0] == key and instant < known[1]:
        return known[2]
    made, until = _made(pool_id, instant, most)
    if len(_kept) >= _MOST_KEPT:
        _kept.clear()
    _kept[pool_id] = (key, until, made)
    return made


def _made(pool_id: int, now: float, most: int) -> tuple[Outlook, float]:
    try:
        with transaction.atomic(), connection.cursor() as wrapper:
            cursor: Cursor = wrapper.cursor
            cursor.row_factory = dict_row
            pool, fleet = look(cursor, pool_id)
    except PoolGoneError:
        return Outlook((), 0), inf
    prospects = outlook(pool, fleet, now, most=most)
    lifts = [each.decision.lifts_at for each in prospects if each.decision.lifts_at is not None]
    holding = sum(node.share > 0 for node in pool.members)
    return Outlook(tuple(_line(each) for each in prospects), holding - len(prospects)), min(lifts, default=inf)


def _line(prospect: Prospect) -> Line:
    decision, node = prospect.decision, prospect.node
    takers = _takers(decision)
    line = Line(
        node.id, node.name, node.share, tuple(takers[:NAMES_SHOWN]), max(0, len(takers) - NAMES_SHOWN), waits=prospect.waits
    )
    if decision.refused_by is None:
        return line
    holder = next(answer for answer in decision.guards if answer.holds and not answer.overridden)
    return Line(
        node.id,
        node.name,
        node.share,
        (),
        0,
        held_by=guard_words(decision.refused_by),
        because=holder.reason,
        lifts_at=moment(decision.lifts_at),
        waits=prospect.waits,
    )


def _takers(decision: Decision) -> list[Taker]:
    gains = [Taker(each.node, each.name, each.after - each.before) for each in decision.considered if each.after > each.before]
    return sorted(gains, key=lambda taker: (-taker.gained, taker.name))
