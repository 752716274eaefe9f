"""Large fleets beside the demo's: rows as the ledger writes them, of nodes that nobody checks for an hour."""

from __future__ import annotations

import json

from tests.product import Product

_POLICY = """
INSERT INTO nodes_failoverpolicy (name, interval, failure_threshold, recovery_threshold, failback, failback_delay, panic_threshold,
    max_failed_percent, cooldown, auto_rebalance, rebalance_interval, slow_start, flapping_within, page_on)
SELECT 'Seldom', 3600, failure_threshold, recovery_threshold, failback, failback_delay, panic_threshold, max_failed_percent,
    cooldown, auto_rebalance, rebalance_interval, slow_start, flapping_within, page_on
FROM nodes_failoverpolicy ORDER BY id LIMIT 1 ON CONFLICT (name) DO NOTHING
"""
_POOLS = """
INSERT INTO nodes_pool (name, slug, strategy, breaker_policy_id, failover_policy_id, runbook)
SELECT pool, pool, 'weighted', (SELECT min(id) FROM nodes_breakerpolicy), f.id, ''
FROM unnest(%s::text[]) AS pool, nodes_failoverpolicy f WHERE f.name = 'Seldom'
"""
_NODES = """
INSERT INTO nodes_node (pool_id, name, address, port, weight, priority, zone, tags, created_at)
SELECT p.id, p.slug || '-' || n, '10.0.' || p.id %% 250 || '.' || n, 443, 100, 1, (ARRAY['a-east', 'b-west'])[p.id %% 2 + 1],
    ARRAY[(ARRAY['edge', 'storefront', 'data', 'models', 'internal'])[p.id %% 5 + 1]], now() - interval '2 days'
FROM nodes_pool p, generate_series(1, %s) n WHERE p.slug = ANY(%s)
"""
_POOL_STATES = """
INSERT INTO nodes_poolstate (pool_id, epoch, epoch_at, version, failback_told, low_capacity, missing_told, busy)
SELECT id, 1, now() - interval '2 days', 1, false, false, false, false FROM nodes_pool WHERE slug = ANY(%s)
"""
_STATES = """
INSERT INTO nodes_nodestate (node_id, pool_id, version, due_at, due_interval, token, checked_at, observed_at, last_verdict,
    last_latency, last_message, recent, admin_state, health, health_since, fails, passes, stale, ever_able, share,
    breaker_state, breaker_generation, breaker_failures, breaker_successes, breaker_reopened, breaker_wait, breaker_opened_by,
    breaker_opened_why, breaker_window, breaker_reported, breaker_trials, breaker_last_permit, breaker_mode, breaker_mode_reason,
    breaker_mode_owner, breaker_total, breaker_successful, breaker_failed, breaker_rejected, breaker_ignored, breaker_late,
    breaker_late_lapsed, breaker_times_opened, breaker_closings, breaker_open_seconds)
SELECT n.id, n.pool_id, 1, now() + interval '1 hour', 3600, 0, now(), now(), 'pass', 0.021, '', repeat('p', 40), 'enabled',
    'healthy', now() - interval '2 days', 0, 40, false, true, 10000 / count(*) OVER of_pool
      + CASE WHEN row_number() OVER (of_pool ORDER BY n.id) = 1 THEN 10000 %% count(*) OVER of_pool ELSE 0 END,
    'closed', 0, 0, 0, 0, 0, '', '', '[]', '[]', '[]', 0, 'auto', '', '', 0, 0, 0, 0, 0, 0, 0, 0, 0, 0
FROM nodes_node n JOIN nodes_pool p ON p.id = n.pool_id WHERE p.slug = ANY(%s) WINDOW of_pool AS (PARTITION BY n.pool_id)
"""
_DECIDED = "UPDATE nodes_fleetstate SET version = version + 1"
NAMES = "auth cart catalog edge orders users gateway images stock llm-eu llm-us mail pricing queue recommend reviews sessions hooks"


def names(count: int) -> list[str]:
    """`count` names, the first ones without a number."""
    words = NAMES.split()
    return [words[n % len(words)] + (f"-{n // len(words)}" if n >= len(words) else "") for n in range(count)]


def add_pools(product: Product, pools: list[str], *, nodes: int) -> None:
    """Healthy pools of so many nodes, all at their weights since two days."""
    product.do(_POLICY)
    product.do(_POOLS, pools)
    product.do(_NODES, nodes, pools)
    product.do(_POOL_STATES, pools)
    product.do(_STATES, pools)
    product.do(_DECIDED)


_FAILED = """
UPDATE nodes_nodestate SET health = 'failed', fails = 3, first_bad_at = now() - interval '4 minutes', share = 0,
    version = version + 1, health_since = now() - interval '4 minutes', last_message = %s, fault = %s,
    breaker_state = 'open', breaker_opened_at = now(), breaker_wait = 600, breaker_opened_by = 'checks',
    recent = repeat('p', 30) || repeat('f', 10)
WHERE node_id = (SELECT id FROM nodes_node WHERE name = %s)
"""
_TAKEN_OVER = """
UPDATE nodes_nodestate s SET version = version + 1,
    share = 10000 / e.n + CASE WHEN s.node_id = e.first THEN 10000 %% e.n ELSE 0 END
FROM (SELECT s.pool_id, count(*) AS n, min(node_id) AS first FROM nodes_nodestate s WHERE health <> 'failed' GROUP BY 1) e
WHERE e.pool_id = s.pool_id AND s.health <> 'failed' AND s.pool_id = (SELECT pool_id FROM nodes_node WHERE name = %s)
"""
_DECISION = """
INSERT INTO nodes_failover (kind, status, pool_id, node_id, epoch, at, actor, reason, refused_by, shares_before, shares_after,
    record)
SELECT 'failover', 'completed', pool_id, id, 2, now() - interval '4 minutes', 'engine', 'it failed', '', %s::jsonb, '{}', '{}'
FROM nodes_node WHERE name = %s ON CONFLICT DO NOTHING
"""
_INCIDENT = """
INSERT INTO nodes_incident (pool_id, severity, summary, opened_at, detected_at, acknowledged_by, acknowledgement)
SELECT pool_id, %s, %s, now() - interval '4 minutes', now() - interval '4 minutes', '', '' FROM nodes_node WHERE name = %s
"""
_HELD = """
SELECT s.node_id, s.share FROM nodes_nodestate s JOIN nodes_node n ON n.id = s.node_id
WHERE n.pool_id = (SELECT pool_id FROM nodes_node WHERE name = %s)
"""


def fail(product: Product, node: str, message: str) -> None:
    """A node that failed four minutes ago; its share went to the others of its pool, and an incident is open."""
    before = {row["node_id"]: row["share"] for row in product.rows(_HELD, node)}
    product.do(_FAILED, message, message, node)
    product.do(_TAKEN_OVER, node)
    product.do(_DECISION, json.dumps(before), node)
    product.do(_INCIDENT, "warning", f"{node} failed: {message}", node)
    product.do(_DECIDED)
