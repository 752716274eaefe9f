"""What lasts now, by the names under which alerts keep it: incidents, failures, and what lasts outside incidents.  Reads only."""

from __future__ import annotations

from nodes.engine.troubles import HIGH_REPORTS
from nodes.ledger.rows import Cursor

_LASTING = """
SELECT 'incident/' || id AS name FROM nodes_incident WHERE closed_at IS NULL
UNION ALL
SELECT 'node/' || s.node_id || '/' || lasts.what FROM nodes_nodestate s
JOIN nodes_node n ON n.id = s.node_id AND n.removed_at IS NULL,
LATERAL (VALUES ('failure', s.failure IS NOT NULL), ('high_load', coalesce((s.load->>'high')::int >= %(high)s, false)),
                ('trial_starved', coalesce((s.trial->>'starved')::bool, false))) AS lasts (what, holds)
WHERE (s.failure IS NOT NULL OR s.load IS NOT NULL OR s.trial IS NOT NULL) AND lasts.holds
UNION ALL
SELECT 'pool/' || p.pool_id || '/' || lasts.what FROM nodes_poolstate p,
LATERAL (VALUES ('low_capacity', p.low_capacity), ('pool_down', p.down),
                ('checks_missing', p.missing_told), ('node_stale', p.stale_told <> '{}'),
                ('pool_undecided', p.undecided_told)) AS lasts (what, holds)
WHERE lasts.holds
UNION ALL
SELECT 'fleet/' || lasts.what FROM nodes_fleetstate f,
LATERAL (VALUES ('checks_missing', f.missing_told), ('no_checker_believed', f.nobody_told),
                ('login_failures', f.logins_told)) AS lasts (what, holds)
WHERE lasts.holds
UNION ALL
SELECT 'checker/' || c.host || '/' || lasts.what FROM nodes_checker c,
LATERAL (VALUES ('checker_isolated', c.told AND c.doubt <> ''), ('checks_late', c.late),
                ('resolver_down', c.resolver_told)) AS lasts (what, holds)
WHERE lasts.holds
"""


def lasting(cursor: Cursor) -> frozenset[str]:
    """The names of all troubles of incidents, nodes, pools, checkers and the fleet that were told and have not ended."""
    cursor.execute(_LASTING, {"high": HIGH_REPORTS})
    return frozenset(row["name"] for row in cursor.fetchall())
