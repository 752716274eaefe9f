"""A step in the making: the pool so far, and what is to be written of it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from nodes.engine.decide import carry_out
from nodes.engine.record import Decision
from nodes.engine.types import Event, Member, Pool


class Refused(Exception):  # noqa: N818 - the word of the page
    """An act that cannot be; the sentence says why and what to do."""


def member_of(pool: Pool, node_id: int) -> Member:
    found = next((node for node in pool.members if node.id == node_id), None)
    if found is None:
        raise Refused("This node was removed; reload the page.")
    return found


@dataclass
class Course:
    pool: Pool
    events: list[Event] = field(default_factory=list)
    decisions: list[Decision] = field(default_factory=list)

    def tell(self, event: Event) -> None:
        self.events.append(event)

    def member(self, node_id: int) -> Member:
        return member_of(self.pool, node_id)

    def set(self, node: Member) -> None:
        self.pool = replace(self.pool, members=tuple(node if each.id == node.id else each for each in self.pool.members))

    def decided(self, decision: Decision) -> None:
        self.decisions.append(decision)
        self.pool = carry_out(self.pool, decision)
