"""What people did that still holds, and the last change of shares of pools that are not as they should be: one query."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.db import connection

from nodes.engine.enums import ChangeKind, EventType

RECENT = 3600  # s for which a change of shares is news


@dataclass(frozen=True, slots=True)
class TakenOut:
    """Who took a node out, why and since when; empty and None where history does not say."""

    by: str = ""
    reason: str = ""
    since: datetime | None = None


@dataclass(frozen=True, slots=True)
class Forced:
    """Who put a breaker in a mode, why and until when (None: until somebody releases it)."""

    by: str
    reason: str
    until: datetime | None


@dataclass(frozen=True, slots=True)
class Switch:
    """A change of shares, with those before it by node; not kept: where it is long ago."""

    failover: int
    at: datetime
    before: Mapping[int, int]


@dataclass(frozen=True, slots=True)
class ByPeople:
    """By node; the changes of shares by pool."""

    taken_out: Mapping[int, TakenOut] = field(default_factory=dict)
    forced: Mapping[int, Forced] = field(default_factory=dict)
    switches: Mapping[int, Switch] = field(default_factory=dict)


_QUERY = f"""
SELECT 'node' AS kind, s.node_id, s.admin_state <> 'enabled' AS out, e.actor, e.detail->>'reason', e.at,
       s.breaker_mode <> 'auto' AS forced, s.breaker_mode_owner, s.breaker_mode_reason, s.breaker_mode_until, NULL::jsonb
FROM nodes_nodestate s LEFT JOIN LATERAL (
    SELECT actor, detail, at FROM nodes_event e
    WHERE e.node_id = s.node_id AND type = '{EventType.ADMIN_STATE_CHANGED}' ORDER BY at DESC, id DESC LIMIT 1
) e ON s.admin_state <> 'enabled'
WHERE s.node_id = ANY(%(nodes)s)
UNION ALL
SELECT 'pool', pool, false, '', '', f.at, false, '', f.id::text, NULL, f.shares_before
FROM unnest(%(pools)s::bigint[]) AS pool, LATERAL (
    SELECT id, at, shares_before FROM nodes_failover
    WHERE pool_id = pool AND epoch IS NOT NULL AND kind <> '{ChangeKind.REBALANCE}' AND at > %(recent)s
    ORDER BY at DESC LIMIT 1
) f
"""


def by_people(nodes: Collection[int], pools: Collection[int], recent: datetime) -> ByPeople:
    """Of these nodes, and of these pools since `recent`; asks nothing about nobody."""
    if not nodes and not pools:
        return ByPeople()
    with connection.cursor() as cursor:
        cursor.execute(_QUERY, {"nodes": list(nodes), "pools": list(pools), "recent": recent})
        found: dict[str, dict[int, Any]] = defaultdict(dict)
        for kind, number, out, actor, why, at, forced, owner, reason, until, before in cursor.fetchall():
            if kind == "pool":
                found[kind][number] = Switch(int(reason), at, _shares(before))
            if out:
                found["out"][number] = TakenOut(actor or "", why or "", at)
            if forced:
                found["forced"][number] = Forced(owner, reason, until)
    return ByPeople(found["out"], found["forced"], found["pool"])


def _shares(stored: Any) -> dict[int, int]:
    """By node; what another version wrote is nothing."""
    held = json.loads(stored) if isinstance(stored, str) else stored
    if not isinstance(held, dict):
        return {}
    return {int(node): points for node, points in held.items() if node.isdigit() and isinstance(points, int)}
