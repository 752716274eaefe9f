"""What lasts: whether automation acts by itself, and everything that a person keeps from being automatic."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from nodes.engine.enums import AdminState
from nodes.ledger import rows as stored
from nodes.screens.by_people import ByPeople, TakenOut
from nodes.screens.node_row import NodeRow
from nodes.screens.overview import Block, Overview, PoolRow
from nodes.screens.wanted import View, Wanted

SHOWN = 2  # things by name; the others are counted


@dataclass(frozen=True, slots=True)
class IsolatedChecker:
    """A checker that is not believed, why and since when; `others`: another one is."""

    host: str
    reason: str
    since: datetime | None
    others: bool


@dataclass(frozen=True, slots=True)
class ResolverAway:
    """A checker whose resolver answers nothing; `grave`: most nodes of a pool are not watched because of it."""

    host: str
    grave: bool


@dataclass(frozen=True, slots=True)
class Thing:
    """One thing that is not on automatic: `state` is the word of its shape; a pool by its slug or a node by its id."""

    state: str
    name: str
    words: str
    about: str
    until: datetime | None = None
    slug: str = ""
    node_id: int | None = None


@dataclass(frozen=True, slots=True)
class Lasting:
    """`blocks`: what keeps all automation from acting."""

    blocks: tuple[Block, ...]
    paused: bool
    checkers: tuple[IsolatedChecker, ...]
    resolvers: tuple[ResolverAway, ...]
    shown: tuple[Thing, ...]
    total: int
    everything: str  # address of all of it

    @property
    def on(self) -> bool:
        return not self.blocks


def lasting(found: Overview, pools: Sequence[PoolRow], people: ByPeople) -> Lasting:
    others = found.fleet["fleet_isolated"] is None
    checkers = tuple(
        IsolatedChecker(host, reason, stored.moment(since), others)
        for host, reason, since in stored.plain(found.fleet["isolated_checkers"]) or ()
    )
    resolvers = tuple(ResolverAway(host, grave) for host, grave in stored.plain(found.fleet["resolvers_away"]) or ())
    paused = any(block.word == "paused" for block in found.blocks)
    things = sorted(_things(pools, people), key=lambda thing: _ORDER.index(thing.state))
    everything = Wanted(view=View.PEOPLE).address
    return Lasting(found.blocks, paused, checkers, resolvers, tuple(things[:SHOWN]), len(things) + paused, everything)


_ORDER = ["paused", "forced open", "forced closed", "metrics only", "maintenance", "draining", "disabled"]


def _things(pools: Sequence[PoolRow], people: ByPeople) -> Iterator[Thing]:
    for pool in pools:
        for block in pool.blocks:
            if block.word == "paused":
                yield Thing("paused", pool.name, "paused", block.reason, block.until, slug=pool.slug)
        for node in pool.nodes:
            yield from _of_node(node, people)


def _of_node(node: NodeRow, people: ByPeople) -> Iterator[Thing]:
    if node.forced:
        act = people.forced.get(node.id)
        about = _about(act.reason, act.by) if act else ""
        yield Thing(node.breaker_word, node.name, node.breaker_word, about, act.until if act else node.mode_until, node_id=node.id)
    if node.taken_out:
        out = people.taken_out.get(node.id, TakenOut())
        words = "in maintenance" if node.admin == AdminState.MAINTENANCE else str(node.admin)
        yield Thing(str(node.admin), node.name, words, _about(out.reason, out.by), node_id=node.id)


def _about(reason: str, by: str) -> str:
    return " · ".join(filter(None, (reason, by)))
