"""Silence of checks, in rows: what a fleet that nobody watches looks like, and writing what was told of it.

A pool that cannot be decided is no silence: it is told as that.
In: a connection.  Out: the values of `nodes.engine.silence`; the events `checks_missing`, `node_stale` and their ends.
Lock: the fleet's row, when something changes: of two sweeps that see the same, one tells.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import Any

import psycopg

from nodes.engine.resolver import WORDS
from nodes.engine.silence import QUIET, FleetSilence, PoolSilence, Telling, Told, Watched, of_fleet, of_pool
from nodes.ledger.history import append
from nodes.ledger.intervals import INTERVAL, STALE_AT, stale
from nodes.ledger.leases import ALIVE
from nodes.ledger.pools import lock_fleet
from nodes.ledger.rows import Cursor, Row, moment, seconds

SET_BACK = 2.0  # s that a verdict may lie ahead of now
OTHERS_HEARD = 5.0  # s after a node became stale in which others are heard before it is silent alone

JUDGED = 30.0  # s of a resolver's trouble in which it is told, or was none
_BY_RESOLVER = f"(s.last_verdict = 'unknown' AND position('{WORDS}' IN s.last_message) > 0)"
_TOLD_OR_JUDGED = f"""EXISTS (
    SELECT 1 FROM nodes_checker WHERE resolver_told OR resolver_turning_since > now() - make_interval(secs => {JUDGED}))"""

_WATCHED = f"""
watched AS (
    SELECT n.id, n.name, s.pool_id, s.observed_at, s.checked_at, s.health_since, {INTERVAL} AS interval, {stale()} AS stale,
           {STALE_AT} AS stale_at, CASE WHEN s.last_verdict = 'unknown' THEN s.last_message ELSE '' END AS trouble,
           {_BY_RESOLVER} AS by_resolver, {_BY_RESOLVER} AND {_TOLD_OR_JUDGED} AS explained
    FROM nodes_nodestate s
    JOIN nodes_node n ON n.id = s.node_id
    JOIN nodes_pool g ON g.id = n.pool_id
    JOIN nodes_failoverpolicy f ON f.id = g.failover_policy_id
    WHERE n.removed_at IS NULL AND s.admin_state IN ('enabled', 'draining')
      AND NOT EXISTS (SELECT 1 FROM nodes_poolstate u WHERE u.pool_id = s.pool_id AND u.undecided_since IS NOT NULL)
)
"""

_FLEET = f"""
WITH told AS (SELECT missing_told, watched_since FROM nodes_fleetstate WHERE id = 1), {_WATCHED}
SELECT extract(epoch FROM clock_timestamp())::float8 AS now,
       count(*) AS nodes, count(*) FILTER (WHERE stale) AS stale, count(*) FILTER (WHERE stale AND explained) AS explained,
       count(*) FILTER (WHERE NOT stale AND observed_at > (SELECT watched_since FROM told)
                          AND now() >= (SELECT watched_since FROM told) + make_interval(secs => interval)) AS settled,
       coalesce(extract(epoch FROM clock_timestamp() - max(coalesce(observed_at, health_since))), 0)::float8 AS quiet,
       coalesce((array_agg(trouble ORDER BY checked_at DESC NULLS LAST) FILTER (WHERE stale AND trouble <> ''))[1], '')
           AS last_message,
       (SELECT count(*) FROM nodes_lease WHERE kind = 'checks' AND {ALIVE}) AS runners,
       (SELECT extract(epoch FROM clock_timestamp() - min(r.started_at))::float8 FROM nodes_runner r
        JOIN nodes_lease l ON l.kind = r.kind AND l.host = r.host AND l.slot = r.slot AND {ALIVE}
        WHERE r.kind = 'checks') AS longest_life,
       coalesce((SELECT missing_told FROM told), false) AS missing_told, (SELECT watched_since FROM told) AS watched_since,
       EXISTS (SELECT 1 FROM nodes_poolstate WHERE missing_told OR stale_told <> '{{}}') AS pools_told
FROM watched
"""


def _since_stale(duration: str) -> str:
    """Whether others were heard so many seconds after the node became stale, or the fleet has been looked at by itself."""
    return f"coalesce(w.stale_at + make_interval(secs => {duration}) < newest.at OR %(quiet)s, true)"


# The pools of which something is told, or is to be.
_POOLS = f"""
WITH {_WATCHED}, newest AS (SELECT max(observed_at) AS at FROM watched),
judged AS MATERIALIZED (
    SELECT w.*, w.stale AND NOT w.explained AND {_since_stale(f"{OTHERS_HEARD}")} AS alone,
           w.stale AND NOT w.explained AND {_since_stale(f"{OTHERS_HEARD} + w.interval")} AS lasting
    FROM watched w, newest
)
SELECT p.pool_id, g.name AS pool, p.missing_told, p.stale_told, p.watched_since,
       j.id, j.name, j.stale, j.alone, j.lasting, j.interval, j.observed_at, j.checked_at, j.trouble
FROM nodes_poolstate p
JOIN nodes_pool g ON g.id = p.pool_id
LEFT JOIN judged j ON j.pool_id = p.pool_id
WHERE p.missing_told OR p.stale_told <> '{{}}' OR p.pool_id IN (SELECT pool_id FROM judged WHERE alone)
ORDER BY p.pool_id, j.id
"""


_SILENCED = f"""
WITH {_WATCHED}
SELECT g.name, count(*) AS nodes, array_agg(w.id ORDER BY w.id) FILTER (WHERE w.stale AND w.by_resolver) AS silent
FROM watched w JOIN nodes_pool g ON g.id = w.pool_id
GROUP BY g.id HAVING bool_or(w.stale AND w.by_resolver)
"""


def silenced_by_resolver(cursor: Cursor) -> tuple[list[int], list[str]]:
    """The nodes that are silent because names are not answered, and the pools most of whose nodes are."""
    cursor.execute(_SILENCED)
    pools = cursor.fetchall()
    nodes = sorted(node for pool in pools for node in pool["silent"])
    return nodes, sorted(pool["name"] for pool in pools if 2 * len(pool["silent"]) > pool["nodes"])


def look_for_silence(cursor: Cursor) -> FleetSilence:
    """How the fleet is watched just now; nothing is locked."""
    cursor.execute(_FLEET)
    row = cursor.fetchone()
    assert row is not None  # an aggregate answers
    told = Told(row.pop("missing_told"), watched_since=seconds(row.pop("watched_since")))
    return FleetSilence(told=told, **row)


def tell_silence(connection: psycopg.Connection[Row], *, patient: bool) -> bool:
    """Look, and write what changed; True when something was told."""
    with connection.transaction(), connection.cursor() as cursor:
        found = look_for_silence(cursor)
        if found.quiet < -SET_BACK:  # the clock was set back: what was heard ahead of now was heard just now
            cursor.execute("UPDATE nodes_nodestate SET observed_at = now(), version = version + 1 WHERE observed_at > now()")
        if not any(_changes(cursor, found, patient)):
            return False
        lock_fleet(cursor, exclusive=True)
        found = look_for_silence(cursor)  # anew: another sweep may have told it meanwhile
        changes = list(_changes(cursor, found, patient))
        for pool, (told, events) in changes:
            _write(cursor, pool, told, version=bool(events))
            for each in events:
                append(cursor, each, found.now, pool=pool)
    return any(events for _, (_, events) in changes)


def _changes(cursor: Cursor, found: FleetSilence, patient: bool) -> Iterator[tuple[int | None, Telling]]:
    """The fleet (None) and the pools of which something else is told from now on."""
    telling = of_fleet(found, patient=patient)
    if telling[0] != found.told:
        yield None, telling
    if not found.pools_told and (not found.stale or telling[0].missing):
        return
    for pool in _look_at_pools(cursor, found):
        answer = of_pool(pool, found, fleet_told=telling[0].missing, patient=patient)
        if answer[0] != pool.told:
            yield pool.id, answer


def _look_at_pools(cursor: Cursor, found: FleetSilence) -> Iterator[PoolSilence]:
    cursor.execute(_POOLS, {"quiet": found.quiet > QUIET})
    rows: Mapping[int, list[dict[str, Any]]] = defaultdict(list)
    for row in cursor.fetchall():
        rows[row["pool_id"]].append(row)
    for number, nodes in rows.items():
        first = nodes[0]
        told = Told(first["missing_told"], frozenset(first["stale_told"]), seconds(first["watched_since"]))
        yield PoolSilence(number, first["pool"], {row["id"]: _watched(row) for row in nodes if row["id"] is not None}, told)


def _watched(row: Row) -> Watched:
    observed_at, asked_at = seconds(row["observed_at"]), seconds(row["checked_at"])
    silent = row["stale"], row["alone"], row["lasting"]
    return Watched(row["name"], *silent, row["interval"], observed_at, asked_at, row["trouble"])


def _write(cursor: Cursor, pool: int | None, told: Told, *, version: bool) -> None:
    """Remember what is told; the version tells pages that there is an event to be seen."""
    values = {
        "missing": told.missing,
        "since": moment(told.watched_since),
        "nodes": sorted(told.nodes),
        "pool": pool,
        "up": int(version),
    }
    if pool is None:
        cursor.execute(
            """UPDATE nodes_fleetstate SET missing_told = %(missing)s, watched_since = %(since)s, version = version + %(up)s
               WHERE id = 1""",
            values,
        )
    else:
        cursor.execute(
            """UPDATE nodes_poolstate SET missing_told = %(missing)s, stale_told = %(nodes)s, watched_since = %(since)s,
                                          version = version + %(up)s WHERE pool_id = %(pool)s""",
            values,
        )
