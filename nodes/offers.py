"""Actions as they are offered: with the consequence that the engine computes, and done only while that is still true.

An offer reads and locks nothing; it is checked again at the action, under the locks of the action.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TypeVar

import psycopg
from django.db import OperationalError, transaction

from nodes import operations
from nodes.engine.pool_step import step
from nodes.engine.step import NothingToDo, Refused, Step
from nodes.engine.types import Fleet, Pool
from nodes.engine.what_if import Command, Consequence, digest, what_if
from nodes.ledger import PoolGoneError, clock
from nodes.ledger.pools import lock_fleet, look
from nodes.ledger.rows import Cursor
from nodes.ledger.undecided import cause
from nodes.models import Pool as PoolModel

FleetChange = Callable[[Fleet], Fleet]

_LOST = (psycopg.errors.DeadlockDetected, psycopg.errors.SerializationFailure, psycopg.errors.LockNotAvailable)
_Done = TypeVar("_Done")


class OutdatedError(Refused):
    """What it would do has changed since it was offered."""


class LostRaceError(Refused):
    """Somebody else changed this at the same moment, and nothing was done; try again."""


@dataclass(frozen=True, slots=True)
class Offer:
    """What an action would do now; a `refusal` in its place when it cannot be.

    `overriding` is what it would do with every guard overridden, where that makes a difference.
    """

    version: str = ""
    consequences: tuple[Consequence, ...] = ()
    refusal: str = ""
    overriding: Consequence | None = None
    nothing_to_do: bool = False  # which is no refusal of a wish

    @property
    def can_be(self) -> bool:
        return bool(self.version)


@dataclass(frozen=True, slots=True)
class Carried:
    """An action that was done: the pool before and after it."""

    before: Pool
    after: Pool


def offer(pool_id: int, command: Command, *, overriding: Command | None = None) -> Offer:
    """What this command would do to the pool now."""
    try:
        with operations.ledger() as cursor:
            pool, fleet = look(cursor, pool_id)
            now = clock.now(cursor)
        return _offer(pool, fleet, now, command, overriding or command)
    except PoolGoneError as error:
        return Offer(refusal=str(error))
    except psycopg.Error:
        raise
    except Exception as error:  # as in `operations`: a row of another version, a policy that cannot work
        return Offer(refusal=f"This pool cannot be decided: {cause(error)}")


def _offer(pool: Pool, fleet: Fleet, now: float, command: Command, widest: Command) -> Offer:
    try:
        most = what_if(widest, pool, fleet, now)
    except Refused as refused:
        return Offer(refusal=str(refused), nothing_to_do=isinstance(refused, NothingToDo))
    try:
        return Offer(most.version, (what_if(command, pool, fleet, now),))
    except Refused as refused:
        return Offer(most.version, (), str(refused), most)


def accept(pool_id: int, command: Command, version: str, *, overriding: Command | None = None) -> Carried:
    """Do what was offered; raises `OutdatedError` when it would do something else by now, `Refused` when it cannot be."""
    seen: list[Pool] = []

    def checked(pool: Pool, fleet: Fleet, now: float) -> Step:
        if what_if(overriding or command, pool, fleet, now).version != version:
            raise OutdatedError(OutdatedError.__doc__)
        seen[:] = [pool]
        return command(pool, fleet, now)

    done = retried(lambda: operations.carry_out(pool_id, checked))
    return Carried(seen[0], done.pool)


def offer_together(commands: Mapping[int, Command]) -> Offer:
    """What these commands would do to their pools in one go: all of it, or the refusal of the first pool that refuses."""
    found: list[Consequence] = []
    said = ""
    for pool_id in sorted(commands):
        each = offer(pool_id, commands[pool_id])
        if each.nothing_to_do:
            said = each.refusal
        elif not each.can_be or each.refusal:
            return Offer(refusal=each.refusal)
        found += each.consequences
    if not found:
        return Offer(refusal=said or "Nothing is selected.", nothing_to_do=True)
    return Offer(digest(each.version for each in found), tuple(found))


def accept_together(commands: Mapping[int, Command], version: str) -> tuple[Carried, ...]:
    """Do what was offered, in one transaction; raises as `accept` does, and then nothing of it is done.

    Locks: the fleet (shared), then each pool with its nodes, in the order of their ids.
    """

    def work() -> tuple[Carried, ...]:
        done: list[Carried] = []
        would: list[str] = []

        def noting(command: Command) -> Command:
            def act(pool: Pool, fleet: Fleet, now: float) -> Step:
                would.append(what_if(command, pool, fleet, now).version)
                step = command(pool, fleet, now)
                done.append(Carried(pool, step.pool))
                return step

            return act

        with transaction.atomic():
            for pool_id in sorted(commands):
                with suppress(NothingToDo):
                    operations.carry_out(pool_id, noting(commands[pool_id]))
            if not would:
                raise NothingToDo("All of it is so already.")
            if digest(would) != version:
                raise OutdatedError(OutdatedError.__doc__)
        return tuple(done)

    return retried(work)


def offer_for_fleet(change: FleetChange) -> Offer:
    """What a change of the fleet would do to each pool now."""
    with operations.ledger() as cursor:
        return _offer_for_fleet(cursor, change)


def _offer_for_fleet(cursor: Cursor, change: FleetChange) -> Offer:
    if change is as_it_is:
        return Offer(digest(()))  # nothing to compute, and nobody who pauses waits for it
    now = clock.now(cursor)
    found: list[Consequence] = []
    for pool_id in PoolModel.objects.filter(removed_at=None).order_by("pk").values_list("pk", flat=True):
        try:
            pool, fleet = look(cursor, pool_id)
            as_is, then = (what_if(step, pool, each, now) for each in (fleet, change(fleet)))
        except psycopg.Error:
            raise
        except Exception:  # noqa: S112 - a pool that cannot be decided, or is gone, moves nothing; its page says so
            continue
        if then.version != as_is.version:
            found.append(then)
    return Offer(digest(each.version for each in found), tuple(found))


def accept_for_fleet(change: FleetChange, version: str, act: Callable[[], None]) -> None:
    """Do what was offered for the fleet, under its row's lock; raises as `accept` does."""

    def checked() -> None:
        with operations.ledger() as cursor:
            lock_fleet(cursor, exclusive=True)
            outdated = _offer_for_fleet(cursor, change).version != version
            act()  # refuses what is so already, which says more
            if outdated:
                raise OutdatedError(OutdatedError.__doc__)

    retried(checked)


def without_pause(fleet: Fleet) -> Fleet:
    return replace(fleet, paused=None)


def with_belief(fleet: Fleet) -> Fleet:
    return replace(fleet, isolated=None, believed=max(1, fleet.believed))


def as_it_is(fleet: Fleet) -> Fleet:
    return fleet


def retried(work: Callable[[], _Done]) -> _Done:
    """Do it, and once more when it lost a race for the rows; lost again it is refused, in a sentence."""
    try:
        return work()
    except (*_LOST, OperationalError) as error:
        if not _is_lost(error):
            raise
    try:
        return work()
    except (*_LOST, OperationalError) as error:
        if not _is_lost(error):
            raise
        raise LostRaceError(LostRaceError.__doc__) from None


def _is_lost(error: Exception) -> bool:
    return isinstance(error, _LOST) or isinstance(error.__cause__, _LOST)


__all__ = [
    "Carried",
    "LostRaceError",
    "NothingToDo",
    "Offer",
    "OutdatedError",
    "accept",
    "accept_for_fleet",
    "accept_together",
    "as_it_is",
    "offer",
    "offer_for_fleet",
    "offer_together",
    "retried",
    "with_belief",
    "without_pause",
]
