"""Checkers as rows: what their runners see, which of them are believed, and what that changes.

In: each second, and before failures are applied, what one runner sees.  Out: how its checker stands, and the events of a change.
The engine's `belief` judges; a change is judged again and written under the lock of the fleet's row, which says for every pool
whether automation is blocked.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from functools import partial

import psycopg
from psycopg.types.json import Jsonb

from nodes.engine import belief, resolver
from nodes.engine.belief import Checker, Checkers, Doubt, Evidence, Isolation, Resolver, Told
from nodes.engine.resolver import SeenOfResolver
from nodes.engine.types import Hold
from nodes.ledger import rows
from nodes.ledger.fleet import wake_all
from nodes.ledger.history import append
from nodes.ledger.intervals import FAST_INTERVAL
from nodes.ledger.leases import ALIVE, Slot
from nodes.ledger.pools import lock_fleet
from nodes.ledger.rows import Cursor, Row, moment, seconds
from nodes.ledger.silence import silenced_by_resolver

FRESH = 5.0  # s for which the evidence of a runner counts
REASON_LENGTH = 500

_DOUBTS = {each.value: each for each in Doubt}


@dataclass(frozen=True, slots=True)
class Sighting:
    """What one runner sees; as `Evidence`, with the ids of the pools."""

    canary_trouble: str = ""
    observed: int = 0
    failing: int = 0
    pools: tuple[int, ...] = ()
    asked: int = 0
    asked_failing: int = 0
    askable: bool = False
    resolver_trouble: str = ""  # why the resolver is away; neither this nor the next: it was not asked lately
    resolver_answers: bool = False

    @property
    def doubtful(self) -> bool:
        """Whether this part of the evidence would do: the whole can only where some part does."""
        return self.failing > belief.THRESHOLD * self.observed


@dataclass(frozen=True, slots=True)
class Standing:
    """How a checker stands: how many are believed, and if it is isolated, which nodes were healthy when that began."""

    believed: int = 1
    isolated: bool = False
    healthy: frozenset[int] = frozenset()
    changed: bool = False  # this very look changed something that people see

    @property
    def shadow(self) -> bool:
        """It is isolated while another one is believed: what it asks does not count."""
        return self.isolated and self.believed > 0


def begin(connection: psycopg.Connection[Row], host: str, term_number: int) -> None:
    """A term begins: the checker is known from now on, and takes over an isolation that outlived its host."""
    with connection.cursor() as cursor:
        cursor.execute(
            """INSERT INTO nodes_checker (host, doubt, reason, told, healthy, stalls, contradicted, overruled, late)
               VALUES (%s, '', '', false, '{}', '{}', '{}', '{}', false) ON CONFLICT DO NOTHING""",
            (host,),
        )
        cursor.execute(
            f"""DELETE FROM nodes_checker c WHERE host <> %s AND doubt = '' AND NOT late AND NOT resolver_told
                AND NOT EXISTS (SELECT 1 FROM nodes_lease l WHERE l.kind = 'checks' AND l.host = c.host AND {ALIVE})""",
            (host,),
        )
        _change(cursor, lambda known, _: belief.take_over(known, host), without_term=term_number)


def look(connection: psycopg.Connection[Row], slot: Slot, term_number: int, sighting: Sighting) -> Standing | None:
    """Leave what this runner sees, and judge its checker by what all its runners see; None when its lease is over."""
    with connection.cursor() as cursor:
        cursor.execute(
            f"""UPDATE nodes_runner SET evidence = %s || jsonb_build_object('at', extract(epoch FROM clock_timestamp()))
                WHERE kind = 'checks' AND host = %s AND slot = %s
                  AND EXISTS (SELECT 1 FROM nodes_lease WHERE term_number = %s AND {ALIVE})""",
            (Jsonb(asdict(sighting)), slot.host, slot.number, term_number),
        )
        if not cursor.rowcount:
            return None
        evidence = _evidence(cursor, slot.host)
        known = _read(cursor)
        changed = _change(cursor, partial(_judge, host=slot.host, evidence=evidence), known)
        if changed is not None:
            known = _read(cursor)
    checker = known.checkers.of(slot.host)
    healthy = frozenset(known.healthy.get(slot.host, ())) if checker.isolation else frozenset()
    return Standing(len(known.checkers.believed), checker.isolation is not None, healthy, bool(changed))


def judge_lateness(cursor: Cursor, host: str) -> bool:
    """Judge how late the checks of a host start, by its worst living runner; True when something was told."""
    cursor.execute(
        f"""SELECT coalesce(max(r.lateness_p99), 0) AS lateness FROM nodes_runner r
            JOIN nodes_lease l ON l.kind = r.kind AND l.host = r.host AND l.slot = r.slot AND {ALIVE}
            WHERE r.kind = 'checks' AND r.host = %s""",
        (host,),
    )
    row = cursor.fetchone()
    lateness = float(row["lateness"]) if row else 0.0
    return bool(_change(cursor, lambda known, now: belief.judge_lateness(known, host, lateness, now)))


def judge_resolver(cursor: Cursor, host: str) -> bool:
    """Judge whether the resolver of a host is away, by what its living runners left; True when something was told."""
    cursor.execute(_RESOLVER, {"host": host, "fresh": FRESH})
    row = cursor.fetchone()
    assert row is not None  # an aggregate answers
    trouble = "" if row["answers"] else str(row["trouble"])[:REASON_LENGTH]
    seen = SeenOfResolver(trouble, row["answers"])
    if trouble:
        nodes, pools = silenced_by_resolver(cursor)
        seen = replace(seen, silent=tuple(nodes), pools=tuple(pools))
    return bool(_change(cursor, lambda known, now: resolver.judge_resolver(known, host, seen, now)))


def note_stall(cursor: Cursor, host: str) -> None:
    """A check loop of this host stood still for long."""
    _change(cursor, lambda known, now: (known.put(belief.with_stall(known.of(host), now)), ()))


def note_answer(cursor: Cursor, witness: str, node: int, *, confirmed: bool) -> None:
    """Another checker answered for a node that would have been marked on this witness's word alone."""
    _change(cursor, lambda known, _: (known.put(belief.with_answer(known.of(witness), node, confirmed=confirmed)), ()))


def believe(cursor: Cursor, host: str, actor: str) -> bool:
    """A person believes an isolated checker; False when it is not isolated."""
    return bool(_change(cursor, lambda known, now: belief.believe(known, host, actor, now)))


def askable(cursor: Cursor, host: str, *, limit: int) -> tuple[list[int], int | None]:
    """Some nodes that were healthy when the isolation of this checker began, and that others, if any are believed, call healthy.

    With them the version of the configuration, None without any.
    """
    cursor.execute(
        """SELECT s.node_id, (SELECT config_version FROM nodes_fleetstate WHERE id = 1) AS config_version
           FROM nodes_nodestate s JOIN nodes_node n ON n.id = s.node_id AND n.removed_at IS NULL
           JOIN nodes_checker c ON c.host = %s AND s.node_id = ANY(c.healthy)
           WHERE s.admin_state IN ('enabled', 'draining')
             AND ((SELECT believed FROM nodes_fleetstate WHERE id = 1) = 0 OR (s.health IN ('healthy', 'degraded') AND s.fails = 0))
             AND EXISTS (SELECT 1 FROM nodes_check k WHERE k.node_id = s.node_id)
             AND NOT EXISTS (SELECT 1 FROM nodes_check k WHERE k.node_id = s.node_id AND k.kind = 'push')
           ORDER BY random() LIMIT %s""",
        (host, limit),
    )
    found = cursor.fetchall()
    return [row["node_id"] for row in found], found[0]["config_version"] if found else None


_RESOLVER = f"""
SELECT coalesce(max(r.evidence ->> 'resolver_trouble'), '') AS trouble,
       coalesce(bool_or((r.evidence ->> 'resolver_answers')::bool), false) AS answers
FROM nodes_runner r
JOIN nodes_lease l ON l.kind = r.kind AND l.host = r.host AND l.slot = r.slot AND {ALIVE}
WHERE r.kind = 'checks' AND r.host = %(host)s
  AND abs((r.evidence ->> 'at')::float8 - extract(epoch FROM clock_timestamp())) < %(fresh)s
"""


# Judging --------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Known:
    now: float  # by the database's clock
    checkers: Checkers
    block: Hold | None  # as stored
    believed: int
    healthy: Mapping[str, list[int]]


def _judge(known: Checkers, now: float, *, host: str, evidence: Evidence) -> Told:
    return belief.judge(known, host, evidence, now)


def _change(
    cursor: Cursor, act: Callable[[Checkers, float], Told], known: _Known | None = None, *, without_term: int = 0
) -> bool | None:
    """Judge, and if that changes anything, judge again under the fleet's lock and write it.

    None when nothing changes, else whether people see the change.
    """
    known = known or _read(cursor, without_term)
    judged, _ = act(known.checkers, known.now)
    same = without_term or (judged.block == known.block and len(judged.believed) == known.believed)
    if same and judged == known.checkers:
        return None
    with cursor.connection.transaction():
        lock_fleet(cursor, exclusive=True)
        known = _read(cursor, without_term)
        now = known.now
        judged, events = act(known.checkers, now)
        for each in judged.all:
            if each != known.checkers.of(each.host):
                _write_checker(cursor, known, judged, each)
        blocked = _write_fleet(cursor, known, judged)
        for told in events:
            append(cursor, told, now)
        if known.block is not None and judged.block is None:
            wake_all(cursor, now)
    return bool(events) or blocked


_READ = f"""
SELECT c.*, EXISTS (SELECT 1 FROM nodes_lease l WHERE l.kind = 'checks' AND l.host = c.host AND {ALIVE}
                    AND l.term_number <> %s) AS lives
FROM nodes_checker c ORDER BY c.host
"""


_READ_FLEET = """
SELECT f.isolated, coalesce(f.believed, 1) AS believed, f.nobody_since, coalesce(f.nobody_told, false) AS nobody_told,
       extract(epoch FROM clock_timestamp())::float8 AS now
FROM (VALUES (1)) one LEFT JOIN nodes_fleetstate f ON f.id = 1
"""


def _read(cursor: Cursor, without_term: int = 0) -> _Known:
    cursor.execute(_READ_FLEET)
    fleet = cursor.fetchone()
    assert fleet is not None  # a row, whether the fleet has one or not
    cursor.execute(_READ, (without_term,))
    found = cursor.fetchall()
    return _Known(
        fleet["now"],
        Checkers(tuple(_checker(row) for row in found), seconds(fleet["nobody_since"]), fleet["nobody_told"]),
        rows.hold(fleet["isolated"]),
        fleet["believed"],
        {row["host"]: row["healthy"] for row in found},
    )


def _checker(row: Row) -> Checker:
    isolation = None
    if row["doubt"]:
        doubt = _DOUBTS.get(row["doubt"], Doubt.FAILURES)  # of another version: it is one all the same
        since = seconds(row["since"]) or 0.0
        isolation = Isolation(doubt, row["reason"], since, seconds(row["clear_since"]), row["told"])
    return Checker(
        host=row["host"],
        lives=row["lives"],
        isolation=isolation,
        stalls=tuple(each.timestamp() for each in row["stalls"]),
        contradicted=tuple(row["contradicted"]),
        overruled=frozenset(_DOUBTS[each] for each in row["overruled"] if each in _DOUBTS),
        late=row["late"],
        turning_since=seconds(row["turning_since"]),
        resolver=Resolver(row["resolver_told"], row["resolver_grave"], seconds(row["resolver_turning_since"])),
    )


def _write_checker(cursor: Cursor, known: _Known, judged: Checkers, checker: Checker) -> None:
    isolation = checker.isolation
    values = {
        "host": checker.host,
        "doubt": isolation.doubt.value if isolation else "",
        "reason": isolation.reason[:REASON_LENGTH] if isolation else "",
        "since": moment(isolation.since) if isolation else None,
        "clear_since": moment(isolation.clear_since) if isolation else None,
        "told": isolation.told if isolation else False,
        "healthy": _healthy(cursor, known, judged, checker),
        "stalls": [moment(each) for each in checker.stalls],
        "contradicted": list(checker.contradicted),
        "overruled": sorted(checker.overruled),
        "late": checker.late,
        "turning_since": moment(checker.turning_since),
        "resolver_told": checker.resolver.told,
        "resolver_grave": checker.resolver.grave,
        "resolver_turning_since": moment(checker.resolver.turning_since),
    }
    changes = ", ".join(f"{name} = excluded.{name}" for name in values if name != "host")
    cursor.execute(
        f"INSERT INTO nodes_checker ({', '.join(values)}) VALUES ({', '.join(f'%({name})s' for name in values)}) "
        f"ON CONFLICT (host) DO UPDATE SET {changes}",
        values,
    )


def _healthy(cursor: Cursor, known: _Known, judged: Checkers, checker: Checker) -> list[int]:
    """The nodes that were healthy when the isolation began; one that was taken over keeps its own."""
    if checker.isolation is None:
        return []
    if known.checkers.of(checker.host).isolation is not None:
        return known.healthy[checker.host]
    for former in known.checkers.all:
        given = former.isolation is not None and judged.of(former.host).isolation is None
        if given and former.isolation is not None and former.isolation.since == checker.isolation.since:
            return known.healthy[former.host]
    if checker.isolation.doubt is Doubt.CONTRADICTED:
        return sorted(set(checker.contradicted))
    cursor.execute(
        f"""SELECT s.node_id FROM nodes_nodestate s
            JOIN nodes_node n ON n.id = s.node_id AND n.removed_at IS NULL
            JOIN nodes_pool g ON g.id = n.pool_id
            JOIN nodes_failoverpolicy f ON f.id = g.failover_policy_id
            WHERE s.admin_state IN ('enabled', 'draining') AND s.health IN ('healthy', 'degraded')
              AND (s.first_bad_at IS NULL OR s.first_bad_at > clock_timestamp() - make_interval(secs => 2 * {FAST_INTERVAL}))
            ORDER BY s.node_id"""
    )
    return [row["node_id"] for row in cursor.fetchall()]


def _write_fleet(cursor: Cursor, known: _Known, judged: Checkers) -> bool:
    """Write what every pool is to know; True when automation is blocked or free by it."""
    block = judged.block
    cursor.execute(
        """UPDATE nodes_fleetstate SET isolated = %s, believed = %s, nobody_since = %s, nobody_told = %s, version = version + 1
           WHERE id = 1""",
        (rows.as_json(block), len(judged.believed), moment(judged.nobody_since), judged.nobody_told),
    )
    return (block is None) != (known.block is None)


def _evidence(cursor: Cursor, host: str) -> Evidence:
    """What the runners of a host see together, by what each of them left lately."""
    cursor.execute(
        f"""SELECT r.evidence FROM nodes_runner r
            JOIN nodes_lease l ON l.kind = r.kind AND l.host = r.host AND l.slot = r.slot AND {ALIVE}
            WHERE r.kind = 'checks' AND r.host = %s AND r.evidence IS NOT NULL
              AND abs((r.evidence ->> 'at')::float8 - extract(epoch FROM clock_timestamp())) < %s
            GROUP BY r.id""",
        (host, FRESH),
    )
    whole, pools = Evidence(), set()
    for row in cursor.fetchall():
        seen = rows.plain(row["evidence"])
        pools |= set(seen["pools"])
        whole = replace(
            whole,
            canary_trouble=whole.canary_trouble or seen["canary_trouble"],
            observed=whole.observed + seen["observed"],
            failing=whole.failing + seen["failing"],
            asked=whole.asked + seen["asked"],
            asked_failing=whole.asked_failing + seen["asked_failing"],
            askable=whole.askable or seen["askable"],
        )
    return replace(whole, pools=len(pools))
