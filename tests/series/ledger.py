"""A pool at work in real PostgreSQL, and what its share points must say of it."""

from __future__ import annotations

from nodes.models import FailoverPolicy, NodeState, PoolState, SharePoint


def held(pool: int) -> dict[str, int]:
    """Who holds how many basis points now, by node id as text; nodes without any are left out."""
    found = NodeState.objects.filter(pool_id=pool, node__removed_at=None, share__gt=0)
    return {str(node): share for node, share in found.values_list("node_id", "share")}


class Watched:
    """Compares each step of a pool with the row that it wrote, or with none."""

    def __init__(self, pool: int) -> None:
        self.pool = pool
        self.epoch = self._epoch()
        self.rows = self._rows()

    def _epoch(self) -> int:
        return PoolState.objects.get(pool_id=self.pool).epoch

    def _rows(self) -> int:
        return SharePoint.objects.filter(pool_id=self.pool).count()

    def look(self) -> None:
        """One row more if the epoch has grown since the last look, none otherwise; the last row is the state."""
        epoch, rows = self._epoch(), self._rows()
        assert rows - self.rows == (epoch != self.epoch)
        self.epoch, self.rows = epoch, rows
        last = SharePoint.objects.filter(pool_id=self.pool).order_by("at", "pk").last()
        if last is not None:
            assert (last.epoch, last.shares) == (epoch, held(self.pool))
            assert sum(last.shares.values()) in (0, 10_000)


def slowly(seconds: float) -> None:
    FailoverPolicy.objects.update(slow_start=seconds)
