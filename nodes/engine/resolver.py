"""Whether the resolver of a checker's host is away: told once, as a warning, and as critical once it silences a pool.

Names that are not answered make checks unknown, which is nobody's failure; the last good answers serve meanwhile.  What falls
silent all the same is listed here, and not told of as silence besides.
In: what the runners of a host see of their resolver together.  Out: the checkers as they are now, and the events.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from nodes.engine.belief import Checker, Checkers, Told
from nodes.engine.enums import EventType
from nodes.engine.event_meaning import Stakes
from nodes.engine.event_types import event
from nodes.engine.types import Event

WORDS = "our resolver "  # with which the message of a check begins that came to nothing because of it
AWAY_FOR = 5.0  # s of trouble without an answer after which it is told; the runners themselves wait as long
BACK_FOR = 10.0  # s of answers that end it
UNASKED_FOR = 120.0  # s in which nobody asks it, which end it too


@dataclass(frozen=True, slots=True)
class SeenOfResolver:
    """What the runners of one host see: `trouble` is empty once any of them is answered."""

    trouble: str = ""
    answers: bool = False
    silent: tuple[int, ...] = ()  # nodes without a result for too long because of it
    pools: tuple[str, ...] = ()  # most of whose nodes are


def judge_resolver(checkers: Checkers, host: str, seen: SeenOfResolver, now: float) -> Told:
    """What this changes."""
    checker = checkers.of(host)
    known = checker.resolver
    turned = not seen.trouble if known.told else bool(seen.trouble)
    since = min(now, now if known.turning_since is None else known.turning_since) if turned else None
    known = replace(known, turning_since=since)
    if since is not None and now - since >= _patience(known.told, seen):
        told = () if known.told else (_away(checker, seen),)
        events = (_answers(checker, seen),) if known.told else told
        known = replace(known, told=not known.told, grave=not known.told and bool(seen.pools), turning_since=None)
        return checkers.put(replace(checker, resolver=known)), events
    if known.told and seen.trouble and seen.pools and not known.grave:
        return checkers.put(replace(checker, resolver=replace(known, grave=True))), (_away(checker, seen),)
    return checkers.put(replace(checker, resolver=known)), ()


def _patience(told: bool, seen: SeenOfResolver) -> float:
    if not told:
        return AWAY_FOR
    return BACK_FOR if seen.answers else UNASKED_FOR


def _away(checker: Checker, seen: SeenOfResolver) -> Event:
    said = f"The resolver of {checker.host} is away: {seen.trouble}. Nodes are asked at their last addresses"
    if seen.pools:
        said += f"; most nodes of {_names(seen.pools)} have none and are not watched"
    detail = {"checker": checker.host, "nodes": list(seen.silent)}
    return event(EventType.RESOLVER_DOWN, said, detail=detail, stakes=Stakes(silences=bool(seen.pools)))


def _answers(checker: Checker, seen: SeenOfResolver) -> Event:
    how = "answers again" if seen.answers else "is asked no more"
    return event(EventType.RESOLVER_ANSWERS, f"The resolver of {checker.host} {how}", detail={"checker": checker.host})


def _names(pools: Iterable[str]) -> str:
    names = sorted(pools)
    more = len(names) - 3
    return ", ".join(names[:3]) + (f" and {more} more pools" if more > 0 else "")
