"""Appends check results to the day-partitioned table, by binary COPY; no lock but that of writing."""

from __future__ import annotations

from collections.abc import Sequence

from nodes.ledger.letters import LETTERS
from nodes.ledger.pools import Result
from nodes.ledger.rows import Cursor, moment


def store_results(cursor: Cursor, results: Sequence[Result]) -> None:
    """Append check results, within the caller's transaction."""
    with cursor.copy("COPY nodes_checkresult (node_id, at, verdict, latency, message) FROM STDIN (FORMAT BINARY)") as copy:
        copy.set_types(["int8", "timestamptz", "text", "float4", "text"])  # a "char" is sent as the one byte that it is
        for result in results:
            seen = result.observation
            copy.write_row((result.node, moment(seen.started_at), LETTERS[seen.verdict], seen.latency, seen.message[:200] or None))
