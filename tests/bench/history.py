"""A fleet with a long past, written by SQL alone: what pages and charts are measured with.

`seed` makes pools and nodes, roll-ups of minutes, hours and days as retention would have left them, events, failures with their
incidents, decisions with their shares, and check results.  Pools and nodes are made through the doors that people use; the past is
made of `generate_series`, so it is large within minutes and says nothing that the engine would not.  The last failure of each pool
ended hours ago; what goes on now is for the caller to add.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import connection, transaction

DAY = timedelta(days=1)


@dataclass(frozen=True)
class Size:
    """How much there is; all times reach back from now."""

    nodes: int = 1000
    pools: int = 200
    events: int = 1_000_000  # over a year
    results: int = 10_000_000  # over a day
    changes: int = 100_000  # of shares over a year, of the first pool; the others have as many together
    days: int = 365  # of roll-ups by day and hour
    minute_days: int = 2  # of roll-ups by minute; retention keeps 30
    ports: tuple[int, ...] = (1024,)  # on which the nodes are


def seed(now: datetime, size: Size) -> None:
    """Fill an empty, migrated database, and bring the planner's figures up to date."""
    values = {"now": now, "day": now.replace(hour=0, minute=0, second=0, microsecond=0)}
    with connection.cursor() as cursor:
        _partitions(cursor, size, values["day"])  # before there is a node, so that no result is where it may not stay
        _fleet(size)
        for span, count in (("minute", size.minute_days * 1440), ("hour", size.days * 24), ("day", size.days)):
            cursor.execute(_ROLLUP.format(span=span), {**values, "count": count})
            cursor.execute(_PROGRESS, {**values, "span": span})
        cursor.execute(_FAILURES, {**values, "each": 12})
        cursor.execute(_DECISIONS, {**values, "count": size.changes})
        cursor.execute(_SHARES)
        with transaction.atomic():
            cursor.execute("SELECT FROM nodes_poolstate ORDER BY pool_id FOR UPDATE")  # as the console locks them
            cursor.execute(_STATE)
        cursor.execute(_EVENTS, {**values, "count": size.events})
        cursor.execute(_RESULTS, {**values, "count": size.results, "nodes": size.nodes})
        cursor.execute("VACUUM ANALYZE")  # as autovacuum would have


def _fleet(size: Size) -> None:
    """Pools of even size with HTTP checks; the nodes are a year old."""
    from nodes import operations
    from nodes.models import BreakerPolicy, Check, FailoverPolicy, Node, NodeState, Pool

    with transaction.atomic():
        breaker = BreakerPolicy.objects.create(name="bench")
        failover = FailoverPolicy.objects.create(name="bench", interval=10)
        for number in range(size.pools):
            name = f"pool-{number + 1}"
            pool = Pool.objects.create(name=name, slug=name, breaker_policy=breaker, failover_policy=failover)
            made = [
                Node(pool=pool, name=f"{name}-{each + 1}", address="127.0.0.1", port=size.ports[place % len(size.ports)])
                for place, each in enumerate(range(number, size.nodes, size.pools))
            ]
            Check.objects.bulk_create(Check(node=node, path="/health") for node in Node.objects.bulk_create(made))
            operations.configuration_saved(pool, actor="bench", before={}, after={})
        NodeState.objects.update(admin_state="disabled")  # so that nothing goes on before the past is written
        Node.objects.update(created_at=Node.objects.values_list("created_at", flat=True)[0] - size.days * DAY)


def _partitions(cursor: Any, size: Size, today: datetime) -> None:
    """The partitions that housekeeping would have made."""
    from nodes.rollups.retention import HOURS, MINUTES, RESULTS

    for table, back in ((RESULTS, 2), (MINUTES, size.minute_days + 1), (HOURS, size.days + 1)):
        start = table.start(today - back * DAY)
        there = {part.start for part in table.partitions()}
        while start <= today + 2 * DAY:
            end = table.end(start)
            if start not in there:
                name = f"{table.name}_{start:%Y%m}" if table.monthly else f"{table.name}_{start:%Y%m%d}"
                cursor.execute(f"CREATE TABLE {name} PARTITION OF {table.name} FOR VALUES FROM ('{start}') TO ('{end}')")
            start = end


# Latencies lie in eight neighbouring buckets, which are others for each node.
_ROLLUP = """
INSERT INTO nodes_{span}rollup (node_id, start, passes, warns, fails, unknowns, latency_sum, latency_max, histogram)
SELECT n.id, at, checks - failed, 0, failed, 0, checks * 0.02, 0.2, histogram
FROM (SELECT id, array_fill(NULL::int, ARRAY[10 + (id %% 20)::int]) || ARRAY[1, 5, 20, 12, 8, 3, 1, 1]
                 || array_fill(NULL::int, ARRAY[46 - (id %% 20)::int]) AS histogram FROM nodes_node) n,
     (SELECT date_bin('1 {span}', %(now)s - interval '3 minutes', 'epoch'::timestamptz)
                 - number * interval '1 {span}' AS at,
             (extract(epoch FROM interval '1 {span}') / 10)::int AS checks, (number %% 97 = 0)::int AS failed
      FROM generate_series(1, %(count)s) number) span
"""
_PROGRESS = """
INSERT INTO nodes_rollupprogress (span, done_until)
SELECT %(span)s, date_bin(('1 ' || %(span)s)::interval, %(now)s - interval '3 minutes', 'epoch'::timestamptz)
ON CONFLICT (span) DO UPDATE SET done_until = EXCLUDED.done_until
"""
# Each node failed so often within the year, for four minutes, the last time three hours ago or more.
_FAILURES = """
WITH failed AS (
    SELECT n.id AS node, n.pool_id AS pool, n.name,
           %(now)s - interval '3 hours' - number * interval '30 days' - n.id %% 30 * interval '1 day' AS at
    FROM nodes_node n, generate_series(0, %(each)s - 1) number
), opened AS (
    INSERT INTO nodes_incident (pool_id, opened_at, detected_at, closed_at, severity, summary, acknowledged_by, acknowledgement)
    SELECT pool, at, at + interval '6 s', at + interval '4 min', 'critical', name || ' failed', '', '' FROM failed
    RETURNING id, pool_id, opened_at, summary
)
INSERT INTO nodes_failure (node_id, incident_id, cause, message, had_share, first_bad_at, marked_at, moved_at, recovered_at)
SELECT f.node, o.id, 'health', 'connection refused', true, f.at, f.at + interval '6 s', f.at + interval '6 s',
       f.at + interval '4 min'
FROM failed f JOIN opened o ON o.pool_id = f.pool AND o.opened_at = f.at AND o.summary = f.name || ' failed'
"""
# By turns the first node of a pool loses its share and gets it back.
_DECISIONS = """
WITH member AS (
    SELECT id, pool_id, name, count(*) OVER (PARTITION BY pool_id) AS members,
           row_number() OVER (PARTITION BY pool_id ORDER BY id) AS nth
    FROM nodes_node
), held AS (
    SELECT *, 10000 / members + (nth <= 10000 %% members)::int AS whole,
           CASE WHEN nth > 1 THEN 10000 / (members - 1) + (nth - 1 <= 10000 %% (members - 1))::int ELSE 0 END AS without
    FROM member
), pool AS (
    SELECT pool_id AS id, min(id) AS first, row_number() OVER (ORDER BY pool_id) AS place, count(*) OVER () AS pools,
           jsonb_object_agg(id::text, whole) AS whole, jsonb_object_agg(id::text, without) AS without,
           jsonb_build_object(
               'seen', 'refused', 'steps', jsonb_build_array(),
               'guards', jsonb_build_array(jsonb_build_object('guard', 'paused', 'holds', false, 'reason', 'automation is on')),
               'considered', jsonb_agg(jsonb_build_object(
                   'name', name, 'node', id, 'rule', 'eligible, receives', 'taken', true, 'before', whole, 'after', without))
           ) AS record
    FROM held GROUP BY pool_id
), counted AS (
    SELECT *, CASE WHEN place = 1 THEN %(count)s / 2 ELSE greatest(1, %(count)s / 2 / greatest(pools - 1, 1)) END * 2 + 1 AS changes
    FROM pool
), change AS (
    SELECT *, epoch %% 2 = 0 AS out, %(now)s - interval '3 hours' - (changes - epoch) * (interval '365 days' / changes) AS at
    FROM counted CROSS JOIN LATERAL generate_series(1, changes) AS epoch
)
INSERT INTO nodes_failover (kind, status, pool_id, node_id, epoch, at, completed_at, actor, reason, refused_by,
                            shares_before, shares_after, trials, record)
SELECT CASE WHEN out THEN 'failover' ELSE 'recovery' END, 'completed', id, first, epoch, at, at, 'engine', 'refused', '',
       CASE WHEN out THEN whole ELSE without END, CASE WHEN out THEN without ELSE whole END, 0, record
FROM change
"""
_SHARES = """
INSERT INTO nodes_sharepoint (pool_id, at, epoch, shares, failover_id)
SELECT pool_id, at, epoch, (SELECT jsonb_object_agg(key, value) FROM jsonb_each(shares_after) WHERE value <> '0'), id
FROM nodes_failover ORDER BY at
"""
# All is well now, and shares are as the last decision left them.
_STATE = """
WITH last AS (SELECT DISTINCT ON (pool_id) pool_id, epoch, at, shares FROM nodes_sharepoint ORDER BY pool_id, at DESC),
pool AS (UPDATE nodes_poolstate s SET epoch = last.epoch, epoch_at = last.at FROM last WHERE last.pool_id = s.pool_id)
UPDATE nodes_nodestate s
SET share = coalesce((last.shares ->> s.node_id::text)::int, 0), health = 'healthy', health_since = now() - interval '1 day',
    observed_at = now(), checked_at = now(), last_verdict = 'pass', last_latency = 0.02, recent = repeat('p', 40),
    ever_able = true, admin_state = 'enabled', due_at = now()
FROM last WHERE last.pool_id = s.pool_id
"""
_EVENTS = """
INSERT INTO nodes_event (at, type, severity, pool_id, node_id, actor, message, detail)
SELECT %(now)s - interval '365 days' * (1 - number::float8 / %(count)s),
       (ARRAY['node_marked_failed', 'failover_started', 'failover_completed', 'node_degraded', 'breaker_opened', 'breaker_closed',
              'recovery_started', 'recovery_completed', 'rebalanced', 'config_changed'])[1 + number %% 10],
       (ARRAY['critical', 'warning', 'info', 'info'])[1 + number %% 4], n.pool_id, n.id, 'engine',
       n.name || ': line ' || number, '{}'
FROM generate_series(1, %(count)s) number JOIN (
    SELECT id, pool_id, name, row_number() OVER (ORDER BY id) - 1 AS place, count(*) OVER () AS nodes FROM nodes_node
) n ON n.place = number %% n.nodes
ORDER BY number
"""
_RESULTS = """
INSERT INTO nodes_checkresult (node_id, at, verdict, latency)
SELECT n.id, %(now)s - interval '1 day' * (1 - number::float8 / %(count)s), CASE number %% 997 WHEN 0 THEN 'f' ELSE 'p' END, 0.02
FROM generate_series(1, %(count)s) number
JOIN (SELECT id, row_number() OVER (ORDER BY id) - 1 AS place FROM nodes_node) n ON n.place = number %% %(nodes)s
"""
