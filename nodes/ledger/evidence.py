"""What the last failing check of a node saw, kept with the failure that it belongs to, and so with its incident."""

from __future__ import annotations

from collections.abc import Mapping

from psycopg.types.json import Jsonb

from nodes.engine.enums import Verdict
from nodes.engine.types import Observation
from nodes.ledger.rows import Cursor, moment

ANEW_AFTER = 60.0  # s after which the same failure is kept anew

_KEEP = """
UPDATE nodes_failure SET evidence = %(evidence)s, evidence_at = %(at)s
WHERE id = %(id)s AND (evidence IS NULL OR evidence_at < %(at)s - make_interval(secs => %(anew)s)
                       OR evidence #>> '{checks,0,message}' IS DISTINCT FROM %(message)s)
"""


def keep(cursor: Cursor, failures: Mapping[int, int], seen: Mapping[int, Observation]) -> None:
    """Keep the evidence of what was `seen` of nodes whose failure is open (node id -> id of its row)."""
    for node, observation in seen.items():
        if node in failures and observation.verdict == Verdict.FAIL and observation.evidence is not None:
            given = {
                "evidence": Jsonb(dict(observation.evidence)),
                "at": moment(observation.started_at),
                "id": failures[node],
                "anew": ANEW_AFTER,
                "message": observation.evidence["checks"][0]["message"],
            }
            cursor.execute(_KEEP, given)
