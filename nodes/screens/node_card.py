"""The card of one node: its state and why, its breaker, its share now and before the last change."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from nodes.charts import CellState
from nodes.models import Node
from nodes.screens.by_people import RECENT, Forced, TakenOut, by_people
from nodes.screens.cells import cell_state
from nodes.screens.node_row import NodeRow
from nodes.screens.overview import overview


@dataclass(frozen=True, slots=True)
class NodeCard:
    """`before`: the share before the last change (basis points), `failover`: that change; None when it is the same, or long ago."""

    row: NodeRow
    pool: str
    state: CellState
    since: datetime | None
    taken_out: TakenOut | None
    forced: Forced | None
    before: int | None
    failover: int | None


def node_card(node_id: int, now: datetime) -> NodeCard | None:
    """None when there is no such node, or it was removed."""
    pool_id = Node.objects.filter(pk=node_id, removed_at=None, pool__removed_at=None).values_list("pool_id", flat=True).first()
    pools = overview(now, pool_id).pools if pool_id is not None else ()
    row = next((node for pool in pools for node in pool.nodes if node.id == node_id), None)
    if row is None:
        return None
    known = by_people([node_id], [pools[0].id], now - timedelta(seconds=RECENT))
    taken_out, switch = known.taken_out.get(node_id), known.switches.get(pools[0].id)
    before = switch.before.get(node_id, 0) if switch else row.share
    state = cell_state(row)
    since = taken_out.since if taken_out else row.first_bad_at or (row.health_since if state is not CellState.HEALTHY else None)
    moved = before != row.share
    return NodeCard(
        row=row,
        pool=pools[0].name,
        state=state,
        since=since,
        taken_out=taken_out,
        forced=known.forced.get(node_id),
        before=before if moved else None,
        failover=switch.failover if switch and moved else None,
    )
