"""What a command would do to a pool, without doing it: who gives, who gets, what it overrides, who would be alerted.

Pure: the command runs on the values, and the pools before and after are compared.  `Consequence.version` is equal for equal
consequences, so that a command is carried out only while it does what a person was shown.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256

from nodes.engine.enums import Severity
from nodes.engine.outlook import if_failed
from nodes.engine.seen import seen_fleet, seen_pool
from nodes.engine.service import Service, truth
from nodes.engine.shares import eligible
from nodes.engine.step import NothingToDo, Step
from nodes.engine.types import FULL_SHARE, Fleet, Member, Pool

Command = Callable[[Pool, Fleet, float], Step]  # raises `Refused`

NAMES_SHOWN = 4
MOVES_SHOWN = 8


@dataclass(frozen=True, slots=True)
class Move:
    """One node whose share changes, in basis points."""

    node: int
    name: str
    before: int
    after: int


_COARSE = 1_000  # basis points


@dataclass(frozen=True, slots=True)
class Consequence:
    """What one command would change in one pool.

    `standing` is where the nodes and the pool stand that it changes, before and after; `overridden` are guards in words.
    """

    pool: str
    moves: tuple[Move, ...] = ()
    unserved: bool = False  # the pool is left without traffic
    overridden: tuple[str, ...] = ()
    critical: tuple[str, ...] = ()  # messages of the events that page
    standing: tuple[tuple[str, str], ...] = ()
    before: Service = Service.SERVED
    after: Service = Service.SERVED
    loses_reserve: bool = False  # fewer nodes are eligible after it
    next_blow: str = ""  # what one more failure would mean; empty while the rest can take that over too

    @property
    def hits_users(self) -> bool:
        return self.unserved or (self.after is Service.USERS_HIT and self.before is not Service.USERS_HIT)

    @property
    def version(self) -> str:
        """A short digest of what it does, shares to about 10 %, for they step each few seconds while a node comes back.

        How often and how loudly people are alerted is no part of it.
        """
        moves = tuple((move.node, move.after > move.before, round(abs(move.after - move.before) / _COARSE)) for move in self.moves)
        return digest(((self.pool, moves, self.unserved, self.overridden, self.standing),))

    @property
    def more(self) -> int:
        """Moves beyond those that a dialog has room for."""
        return max(0, len(self.moves) - MOVES_SHOWN)

    @property
    def sentence(self) -> str:
        """Which share goes where."""
        givers = [move for move in self.moves if move.after < move.before]
        takers = [move for move in self.moves if move.after > move.before]
        if not self.moves:
            return "Moves no traffic now."
        taken = f"Takes {_each(givers, 'from')}" if givers else ""
        if self.unserved:
            return f"{taken}; nobody gets it: {self.pool} is left without traffic."
        given = _received(takers)
        return "; ".join(filter(None, (taken, given))) + "."


def what_if(command: Command, pool: Pool, fleet: Fleet, now: float) -> Consequence:
    """The consequence of a command on this pool; raises `Refused` when the command does."""
    step = command(pool, fleet, now)
    after = {node.id: node for node in step.pool.members}
    moves = tuple(
        Move(node.id, node.name, node.share, then)
        for node in pool.members
        if (then := after[node.id].share if node.id in after else 0) != node.share
    )
    guards = {answer.guard.words: None for made in step.decisions for answer in made.guards if answer.overridden}
    served = any(node.share for node in pool.members)
    fewer = sum(map(eligible, step.pool.members)) < sum(map(eligible, pool.members))
    return Consequence(
        pool=pool.name,
        moves=moves,
        unserved=served and not any(node.share for node in step.pool.members),
        overridden=tuple(guards),
        critical=tuple(event.message for event in step.events if event.severity == Severity.CRITICAL),
        standing=tuple(_standing(pool, step.pool)),
        before=truth(seen_pool(pool), seen_fleet(fleet)).service,
        after=truth(seen_pool(step.pool), seen_fleet(fleet)).service,
        loses_reserve=fewer,
        next_blow=_next_blow(step.pool, fleet, now) if fewer else "",
    )


def _next_blow(pool: Pool, fleet: Fleet, now: float) -> str:
    """Whether the greatest share could go anywhere if its node failed next."""
    holding = [node for node in pool.members if node.share and eligible(node)]
    if not holding:
        return ""
    greatest = max(holding, key=lambda node: (node.share, -node.id))
    decision = if_failed(pool, fleet, now, greatest)
    if decision.refused_by is None:
        return ""
    return f"If {greatest.name} fails next, its {_percent(greatest.share)} stays on it: {decision.refused_by.words}."


def together(commands: Sequence[Command]) -> Command:
    """One after the other, each on what the one before left; what is so already is passed over, unless all of it is."""

    def command(pool: Pool, fleet: Fleet, now: float) -> Step:
        so_far, said = Step(pool), ""
        for each in commands:
            try:
                done = each(so_far.pool, fleet, now)
            except NothingToDo as nothing:
                said = str(nothing)
                continue
            so_far = replace(done, events=so_far.events + done.events, decisions=so_far.decisions + done.decisions)
        if so_far.pool is pool:
            raise NothingToDo(said or "There is nothing to do.")
        return so_far

    return command


def digest(parts: Iterable[object]) -> str:
    """Equal for equal parts, short enough for a hidden field."""
    return sha256(repr(tuple(parts)).encode()).hexdigest()[:16]


def _standing(before: Pool, after: Pool) -> Iterable[tuple[str, str]]:
    new = {node.id: node for node in after.members}
    for node in before.members:
        was, then = _of_node(node), _of_node(new[node.id]) if node.id in new else "removed"
        if was != then:
            yield was, then
    if before.paused != after.paused:
        yield f"paused: {before.paused is not None}", f"paused: {after.paused is not None}"
    if before.active_tier != after.active_tier:
        yield f"tier {before.active_tier}", f"tier {after.active_tier}"


def _of_node(node: Member) -> str:
    return f"{node.id} {node.admin} {node.breaker.mode} {node.breaker.state} {node.failure is not None}"


def _percent(points: int) -> str:
    return f"{points / (FULL_SHARE / 100):g}\N{NO-BREAK SPACE}%"


def _each(givers: list[Move], preposition: str) -> str:
    named = [f"{_percent(move.before - move.after)} {preposition} {move.name}" for move in givers[:NAMES_SHOWN]]
    return _listed(named, len(givers) - len(named))


def _received(takers: list[Move]) -> str:
    gains = {move.after - move.before for move in takers}
    if len(takers) > 1 and len(gains) == 1:
        shown = takers[:NAMES_SHOWN]
        names = _listed([move.name for move in shown], len(takers) - len(shown))
        return f"{names} get {_percent(gains.pop())} each"
    named = [f"{move.name} gets {_percent(move.after - move.before)}" for move in takers[:NAMES_SHOWN]]
    return _listed(named, len(takers) - len(named))


def _listed(parts: list[str], more: int) -> str:
    if more > 0:
        return f"{', '.join(parts)} and {more} more"
    return " and ".join(filter(None, (", ".join(parts[:-1]), parts[-1]))) if parts else ""
