"""What one pass over a pool has come to: a value that each part of the pass takes and gives on, changed."""

from __future__ import annotations

from dataclasses import dataclass, replace

from nodes.engine.decide import carry_out
from nodes.engine.decision import Decision
from nodes.engine.types import Event, Member, Pool


class Refused(Exception):  # noqa: N818 - the word of the page
    """An act that cannot be; the sentence says why and what to do."""


class NothingToDo(Refused):
    """What is asked for is so already."""


def member_of(pool: Pool, node_id: int) -> Member:
    """The node of this id; raises `Refused` when it was removed."""
    found = next((node for node in pool.members if node.id == node_id), None)
    if found is None:
        raise Refused("This node was removed; reload the page.")
    return found


@dataclass(frozen=True, slots=True)
class Step:
    """The pool so far, its history in order, and when time alone changes more (s since the epoch; known at the end)."""

    pool: Pool
    events: tuple[Event, ...] = ()
    decisions: tuple[Decision, ...] = ()
    wake_at: float | None = None

    def tell(self, *events: Event) -> Step:
        """With these events told, in this order."""
        return replace(self, events=self.events + events) if events else self

    def member(self, node_id: int) -> Member:
        """The node as it is by now; raises `Refused` when it was removed."""
        return member_of(self.pool, node_id)

    def put(self, *nodes: Member) -> Step:
        """With these nodes in the place of those of the same ids."""
        new = {node.id: node for node in nodes}
        members = tuple([new.get(each.id, each) for each in self.pool.members])
        return replace(self, pool=replace(self.pool, members=members))

    def with_pool(self, pool: Pool) -> Step:
        """With the pool as it is by now."""
        return replace(self, pool=pool)

    def carry_out(self, *decisions: Decision) -> Step:
        """With these decisions made, one after the other."""
        pool = self.pool
        for decision in decisions:
            pool = carry_out(pool, decision)
        return replace(self, pool=pool, decisions=self.decisions + decisions)
