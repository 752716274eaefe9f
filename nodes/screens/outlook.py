"""What would happen now, for a pool's page: the engine's own answer for each node that holds a share.

Cached in this process until the pool, the fleet or the configuration changes, or a guard's time is over.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from math import inf

import psycopg
from django.db import connection, transaction
from psycopg.rows import dict_row

from nodes.engine import guards
from nodes.engine.decision import Decision
from nodes.engine.outlook import Prospect, outlook
from nodes.ledger.pools import PoolGoneError, look
from nodes.ledger.rows import Cursor, moment
from nodes.ledger.undecided import cause

PROSPECTS_SHOWN = 20  # of the greatest shares; each takes a decision over the whole pool
NAMES_SHOWN = 3
_MAX_CACHED = 64  # pools


@dataclass(frozen=True, slots=True)
class ShareReceiver:
    id: int
    name: str
    gained: int  # basis points


@dataclass(frozen=True, slots=True)
class ProspectLine:
    """What would happen if one node failed: who receives its share, or which guard blocks it; `pending`: it failed already."""

    id: int
    name: str
    share: int
    receivers: tuple[ShareReceiver, ...]
    more: int  # receivers that are not named
    blocked_by: str = ""
    because: str = ""
    lifts_at: datetime | None = None
    pending: bool = False

    @property
    def tone(self) -> str:
        return "paused" if self.blocked_by else "idle"


@dataclass(frozen=True, slots=True)
class Outlook:
    lines: tuple[ProspectLine, ...]
    left_out: int  # nodes with smaller shares
    trouble: str = ""  # why nothing can be said


_Key = tuple[int, int, int]
_cache: dict[int, tuple[_Key, float, Outlook]] = {}


def pool_outlook(pool_id: int, key: _Key, now: datetime, *, most: int = PROSPECTS_SHOWN) -> Outlook:
    """`key` is made of the versions that the answer depends on."""
    instant = now.timestamp()
    cached = _cache.get(pool_id)
    if cached is not None and cached[0] == key and instant < cached[1]:
        return cached[2]
    computed, until = _computed(pool_id, instant, most)
    if len(_cache) >= _MAX_CACHED:
        _cache.clear()
    _cache[pool_id] = (key, until, computed)
    return computed


def _computed(pool_id: int, now: float, most: int) -> tuple[Outlook, float]:
    try:
        return _looked_at(pool_id, now, most)
    except PoolGoneError:
        return Outlook((), 0), inf
    except psycopg.Error:
        raise
    except Exception as error:  # a row of another version, a policy that cannot work: the runners meet it too, and tell it
        return Outlook((), 0, cause(error)), inf


def _looked_at(pool_id: int, now: float, most: int) -> tuple[Outlook, float]:
    with transaction.atomic(), connection.cursor() as wrapper:
        cursor: Cursor = wrapper.cursor
        cursor.row_factory = dict_row
        pool, fleet = look(cursor, pool_id)
    prospects = outlook(pool, fleet, now, most=most)
    lifts = [each.decision.lifts_at for each in prospects if each.decision.lifts_at is not None]
    holding = sum(node.share > 0 for node in pool.members)
    return Outlook(tuple(_line(each) for each in prospects), holding - len(prospects)), min(lifts, default=inf)


def _line(prospect: Prospect) -> ProspectLine:
    decision, node = prospect.decision, prospect.node
    receivers = _receivers(decision)
    line = ProspectLine(
        node.id, node.name, node.share, tuple(receivers[:NAMES_SHOWN]), max(0, len(receivers) - NAMES_SHOWN), pending=prospect.waits
    )
    blocking = guards.blocking(decision.guards)
    if blocking is None:
        return line
    return ProspectLine(
        node.id,
        node.name,
        node.share,
        (),
        0,
        blocked_by=blocking.guard.words,
        because=blocking.reason,
        lifts_at=moment(decision.lifts_at),
        pending=prospect.waits,
    )


def _receivers(decision: Decision) -> list[ShareReceiver]:
    gains = [
        ShareReceiver(each.node, each.name, each.after - each.before) for each in decision.considered if each.after > each.before
    ]
    return sorted(gains, key=lambda receiver: (-receiver.gained, receiver.name))
