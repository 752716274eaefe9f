"""Which silence of checks is told: that of the fleet, of a pool, or of single nodes; the widest alone.

A verdict is a pass, a warning or a fail; checks that are asked and come to nothing are silence as much as checks that nobody asks.
A node is stale by the rule of `nodes.engine.health`.  It is *silent alone* once others have had verdicts since it became stale;
until then the whole fleet may be silent, and nothing narrower is told.  Likewise a list of nodes waits for an interval more, in
which most of the pool may turn out to be silent.

In: what the rows show of the fleet and of its pools, and what was told of each.  Out: what is told of each from now on, with the
events that say so.  A wider trouble that begins ends the narrower ones; when it ends, what is silent still is told by itself.
What is silent because the resolver is away is told of with that (`nodes.engine.resolver`), and not here.  A trouble ends once
verdicts have come for one interval: from most nodes of a fleet or a pool, from every node of a list; or when there is nobody left
to watch.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from nodes.engine.enums import EventType
from nodes.engine.event_types import event
from nodes.engine.types import Event

QUIET = 60.0  # s without any verdict
BEGINNING = 20.0  # s that a check runner is given before silence counts
NAMES_TOLD = 10  # nodes that a message names


@dataclass(frozen=True, slots=True)
class Told:
    """What was told of a fleet or a pool and not taken back; instants in epoch seconds."""

    missing: bool = False  # most of it is silent
    nodes: frozenset[int] = frozenset()  # of a pool: those listed as silent
    watched_since: float | None = None  # since when as many have had verdicts as end it; None while they have not


@dataclass(frozen=True, slots=True)
class Watched:
    """A node that somebody should watch."""

    name: str
    stale: bool
    alone: bool  # silent alone
    lasting: bool  # and for an interval more, in which the rest of its pool would have become so too
    interval: float
    observed_at: float | None  # start of the last check with a verdict
    asked_at: float | None  # start of the last check
    trouble: str = ""  # what the last check said when it came to nothing

    def has_settled(self, since: float | None, now: float) -> bool:
        """Whether it has had verdicts for one interval since then."""
        heard = since is not None and self.observed_at is not None and self.observed_at > since
        return heard and not self.stale and now >= (since or 0.0) + self.interval


@dataclass(frozen=True, slots=True)
class PoolSilence:
    """A pool with its watched nodes, by id; a removed pool has none."""

    id: int
    name: str
    nodes: Mapping[int, Watched]
    told: Told = Told()

    @property
    def alone(self) -> frozenset[int]:
        """Its nodes that are silent alone."""
        return frozenset(number for number, node in self.nodes.items() if node.alone)

    @property
    def lasting(self) -> frozenset[int]:
        """Those of them that are to be told by themselves."""
        return frozenset(number for number, node in self.nodes.items() if node.lasting)


@dataclass(frozen=True, slots=True)
class FleetSilence:
    """How many nodes should be watched, how many are stale, for how long no verdict came, and how that looks."""

    now: float
    nodes: int
    stale: int
    settled: int  # nodes with verdicts for one interval since the fleet is watched again
    quiet: float  # s since the newest verdict of any node, or since the newest node is to be watched
    runners: int  # check runners that live
    longest_life: float | None  # s since the oldest of them began
    last_message: str  # of the newest check that came to nothing, of a stale node
    explained: int = 0  # stale nodes whose silence is told of by its cause
    told: Told = Told()
    pools_told: bool = False  # something narrower is told

    @property
    def missing(self) -> bool:
        """Whether nobody watches the fleet, though somebody should."""
        return self.stale > 0 and self.quiet > QUIET and (not self.runners or 2 * self.stale > self.nodes)

    @property
    def to_be_told(self) -> bool:
        """Whether that is news: a resolver that is away is told of by itself."""
        return self.missing and (not self.runners or 2 * (self.stale - self.explained) > self.nodes)

    @property
    def sentence(self) -> str:
        """What is missing and why, as far as the rows know."""
        why = f"the last check said: {self.last_message}" if self.last_message else "the runners ask and get no result"
        if not self.runners:
            why = "no check runner lives"
        return f"No check had a result for {self.quiet:.0f} s, {self.stale} of {self.nodes} nodes are not watched: {why}"

    @property
    def runners_began(self) -> bool:
        """Whether some runner has lived for long enough to have asked everybody."""
        return self.longest_life is not None and self.longest_life >= BEGINNING


Telling = tuple[Told, tuple[Event, ...]]


def of_fleet(found: FleetSilence, *, patient: bool = True) -> Telling:
    """What is told of the whole fleet; a `patient` sweep gives runners the time to begin."""
    told = found.told
    if not told.missing:
        if not found.to_be_told or (patient and not found.runners_began):
            return told, ()
        return Told(missing=True), (event(EventType.CHECKS_MISSING, found.sentence),)
    if not found.nodes:
        return Told(), (event(EventType.CHECKS_RESUMED, "No node is left that checks should watch"),)
    told = _since(told, found.quiet <= QUIET and 2 * found.stale <= found.nodes, found.now)
    if told.watched_since is not None and 2 * found.settled >= found.nodes:
        return Told(), (event(EventType.CHECKS_RESUMED, "Checks have results again"),)
    return told, ()


def of_pool(pool: PoolSilence, fleet: FleetSilence, *, fleet_told: bool, patient: bool = True) -> Telling:
    """What is told of one pool, given whether the silence of the whole fleet is told."""
    told = pool.told
    if fleet_told:
        return Told(), _ends(pool, told, f"The silence of {pool.name} is part of the fleet's now")
    events: tuple[Event, ...] = ()
    if told.missing:
        told, events = _follow_missing(pool, fleet.now)
        if told.missing:
            return told, events
    begins = fleet.runners_began or not patient
    if begins and 2 * len(pool.alone) > len(pool.nodes):
        missing = event(EventType.CHECKS_MISSING, _missing_sentence(pool), detail=_detail(pool.alone))
        return Told(missing=True), (*events, missing, *_ends(pool, told, f"Most nodes of {pool.name} are silent now"))
    told, more = _follow_nodes(pool, told, begins, fleet.now)
    return told, (*events, *more)


def _follow_missing(pool: PoolSilence, now: float) -> Telling:
    """A pool most of whose nodes were silent: told until most have had verdicts for one interval."""
    nodes = pool.nodes.values()
    if not nodes:
        return Told(), _ends(pool, pool.told, f"{pool.name} has no node left that checks should watch")
    told = _since(pool.told, 2 * sum(node.stale for node in nodes) <= len(nodes), now)
    if 2 * sum(node.has_settled(told.watched_since, now) for node in nodes) >= len(nodes):
        return Told(), _ends(pool, told, f"Checks of {pool.name} have results again")
    return told, ()


def _follow_nodes(pool: PoolSilence, told: Told, begins: bool, now: float) -> Telling:
    """Single silent nodes: one list a pool, which others join, told until each of them has had verdicts for one interval."""
    if begins and pool.lasting - told.nodes:
        listed = (told.nodes & pool.nodes.keys()) | pool.alone
        said = _list_sentence(pool, listed - told.nodes)
        return Told(nodes=listed), (event(EventType.NODE_STALE, said, detail=_detail(listed)),)
    if not told.nodes:
        return told, ()
    listed = told.nodes & pool.nodes.keys()
    if not listed:
        return Told(), _ends(pool, told, f"The silent nodes of {pool.name} are to be watched no more")
    told = _since(replace(told, nodes=listed), not any(pool.nodes[each].stale for each in listed), now)
    if all(pool.nodes[each].has_settled(told.watched_since, now) for each in listed):
        return Told(), _ends(pool, told, f"{_names(pool, listed)} of {pool.name} can be watched again")
    return told, ()


def _since(told: Told, watched: bool, now: float) -> Told:
    """Note since when enough nodes have had verdicts; one odd verdict ends nothing."""
    if not watched:
        return replace(told, watched_since=None)
    return replace(told, watched_since=min(now if told.watched_since is None else told.watched_since, now))


def _ends(pool: PoolSilence, told: Told, sentence: str) -> tuple[Event, ...]:
    """The end of what is told of the pool, if anything is."""
    kinds = ((told.missing, EventType.CHECKS_RESUMED), (bool(told.nodes), EventType.NODE_STALE_ENDED))
    return tuple(event(kind, sentence) for holds, kind in kinds if holds)


def _detail(nodes: Iterable[int]) -> Mapping[str, object]:
    return {"nodes": sorted(nodes)}


def _missing_sentence(pool: PoolSilence) -> str:
    counts = f"{len(pool.alone)} of its {len(pool.nodes)} nodes"
    return f"Nobody watches {pool.name}: no check of {counts} had a result for too long: {_why(pool, pool.alone)}"


def _list_sentence(pool: PoolSilence, nodes: frozenset[int]) -> str:
    keeps = "it keeps its share and takes" if len(nodes) == 1 else "they keep their shares and take"
    said = f"{pool.name}: no check of {_names(pool, nodes)} had a result for too long, {keeps} over from nobody"
    return f"{said}: {_why(pool, nodes)}"


def _names(pool: PoolSilence, nodes: frozenset[int]) -> str:
    names = sorted(pool.nodes[each].name for each in nodes)
    more = len(names) - NAMES_TOLD
    return ", ".join(names[:NAMES_TOLD]) + (f" and {more} more" if more > 0 else "")


def _why(pool: PoolSilence, nodes: frozenset[int]) -> str:
    """What the newest of their checks that came to nothing said; else nobody asks."""
    asked = [pool.nodes[each] for each in nodes if pool.nodes[each].trouble]
    if not asked:
        return "no runner asks"
    newest = max(asked, key=lambda node: node.asked_at or 0.0)
    return f"the last check of {newest.name} said: {newest.trouble}"
