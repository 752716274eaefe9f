"""Which checkers are believed: a checker that cannot see must not be taken for a fleet that fails.

A checker is one host with all its runners, which share its network and speak with one voice.  It is isolated once something
speaks against it (`Doubt`), and back once nothing has for ten seconds, when a person believes it, or when its last runner is gone
while another checker is believed.  Believed are those that live and are not isolated.  While there is none, automation is blocked.
Either is told once it has lasted for ten seconds: as a warning while another checker is believed, as critical while none is.
In: what the runners of a checker saw together.  Out: the checkers as they are now, and the events that tell what changed.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import StrEnum

from nodes.engine.enums import EventType
from nodes.engine.event_types import event
from nodes.engine.types import Event, Hold

THRESHOLD = 0.5  # part of what was healthy that fails together, above which the checker is doubted
LEAST_NODES, LEAST_POOLS = 5, 2  # that fail together
EARNED_BELOW = 0.25  # part of the nodes healthy at the beginning that may fail, and the checker be back
EARNED_IN = 10.0  # s without doubt that end an isolation
STALLS, STALLS_WITHIN = 2, 60.0  # stalls of a loop within so many seconds
CONTRADICTIONS, CONTRADICTED_NODES = 5, 2  # decisive failures in a row that another checker contradicted, and of how many nodes
TOLD_AFTER = 10.0  # s that an isolation, or that nobody is believed, lasts before it is told
LATE, ON_TIME = 1.0, 0.25  # s of lateness, p99
LATE_FOR, ON_TIME_FOR = 5.0, 60.0  # s after which it is told


class Doubt(StrEnum):
    """What speaks against a checker."""

    CANARIES = "canaries"
    STALLS = "stalls"
    FAILURES = "failures"
    CONTRADICTED = "contradicted"


@dataclass(frozen=True, slots=True)
class Evidence:
    """What the runners of one checker saw together."""

    canary_trouble: str = ""  # which canaries do not answer, in words, once most of them failed twice
    observed: int = 0  # nodes in the last two fast intervals that were healthy before
    failing: int = 0  # of them
    pools: int = 0  # in which they fail
    asked: int = 0  # while isolated: nodes that were healthy when that began, by their latest answers
    asked_failing: int = 0
    askable: bool = False  # there is a node that could be asked


@dataclass(frozen=True, slots=True)
class Isolation:
    """Why a checker is not believed, and since when; `clear_since`: when it last began to look right again."""

    doubt: Doubt
    reason: str
    since: float
    clear_since: float | None = None
    told: bool = False


@dataclass(frozen=True, slots=True)
class Resolver:
    """What is told of its resolver (`nodes.engine.resolver`)."""

    told: bool = False  # that it is away
    grave: bool = False  # and that it silences a pool
    turning_since: float | None = None  # since when that would no longer be true


@dataclass(frozen=True, slots=True)
class Checker:
    """One host as a checker: what is remembered of it beyond the terms of its runners."""

    host: str
    lives: bool = False  # one of its runners holds a lease
    isolation: Isolation | None = None
    stalls: tuple[float, ...] = ()  # when a loop of it stood still for long
    contradicted: tuple[int, ...] = ()  # nodes whose decisive failure another checker contradicted, since it was last confirmed
    overruled: frozenset[Doubt] = frozenset()  # a person believes it in spite of these, each until it is gone
    late: bool = False  # told that its checks start late
    turning_since: float | None = None  # since when that would no longer be true
    resolver: Resolver = Resolver()


@dataclass(frozen=True, slots=True)
class Checkers:
    """All checkers; since when none of them is believed, and whether that was told."""

    all: tuple[Checker, ...] = ()
    nobody_since: float | None = None
    nobody_told: bool = False

    def of(self, host: str) -> Checker:
        """The checker of this host, which may be new."""
        return next((each for each in self.all if each.host == host), Checker(host))

    def put(self, *changed: Checker) -> Checkers:
        """With these checkers in the place of those of the same hosts."""
        new = {each.host: each for each in self.all} | {each.host: each for each in changed}
        return replace(self, all=tuple(new[host] for host in sorted(new)))

    @property
    def believed(self) -> frozenset[str]:
        """The hosts of those that live and are not isolated."""
        return frozenset(each.host for each in self.all if each.lives and each.isolation is None)

    @property
    def block(self) -> Hold | None:
        """What blocks automation: none of the checkers is believed."""
        isolated = [each for each in self.all if each.isolation is not None]
        if not isolated or self.believed:
            return None
        reasons = [f"{each.host}: {each.isolation.reason}" for each in isolated if each.isolation is not None]
        since = min(each.isolation.since for each in isolated if each.isolation is not None)
        return Hold("; ".join(reasons), owner=isolated[0].host, since=since)


Told = tuple[Checkers, tuple[Event, ...]]


def judge(checkers: Checkers, host: str, evidence: Evidence, now: float) -> Told:
    """What this evidence of a living checker, and time, change."""
    checker = _follow_clock(checkers.of(host), now)
    if not checker.lives:
        return checkers, ()  # what it saw counts no more
    if checker.isolation is not None:
        checker, events = _earn(checker, checker.isolation, evidence, now)
    else:
        checker, events = _doubt(checker, evidence, now), ()
    checkers = checkers.put(checker)
    checkers, gone = _forget_the_gone(checkers)
    checkers, more = _tell(checkers, now)
    return checkers, (*events, *gone, *more)


def take_over(checkers: Checkers, host: str) -> Told:
    """A checker begins to live: where no other is believed, an isolation that outlived its host is now this one's to end."""
    new, others = checkers.of(host), checkers.believed - {host}
    left = [each for each in checkers.all if each.isolation is not None and not each.lives and each.host != host]
    if new.lives or new.isolation is not None or others or not left:
        return checkers, ()
    old = min(left, key=lambda each: each.isolation.since if each.isolation else 0.0)
    assert old.isolation is not None  # so it was chosen
    events = (_back(old, f"{host} took its isolation over"),) if old.isolation.told else ()
    taken = replace(old.isolation, clear_since=None, told=False)
    return checkers.put(replace(new, isolation=taken), replace(old, isolation=None)), events


def believe(checkers: Checkers, host: str, actor: str, now: float) -> Told:
    """A person believes an isolated checker, in spite of what speaks against it; nothing changes for one that is not."""
    checker = checkers.of(host)
    if checker.isolation is None:
        return checkers, ()
    back = _back(checker, f"{actor} believes it", actor=actor)
    checker = replace(checker, isolation=None, overruled=frozenset(Doubt), stalls=(), contradicted=())
    checkers, more = _tell(checkers.put(checker), now)
    return checkers, (back, *more)


def judge_lateness(checkers: Checkers, host: str, lateness: float, now: float) -> Told:
    """How late the checks of a host start (p99, seconds): told after five seconds, taken back after a minute on time."""
    checker = _follow_clock(checkers.of(host), now)
    turned = lateness < ON_TIME if checker.late else lateness > LATE
    since = (now if checker.turning_since is None else checker.turning_since) if turned else None
    checker = replace(checker, turning_since=since)
    if since is None or now - since < (ON_TIME_FOR if checker.late else LATE_FOR):
        return checkers.put(checker), ()
    told = _on_time(checker, "start on time again") if checker.late else _late(checker, lateness)
    return checkers.put(replace(checker, late=not checker.late, turning_since=None)), (told,)


def with_stall(checker: Checker, now: float) -> Checker:
    """A loop of it stood still for long; loops that stood still together count once."""
    recent = tuple(each for each in checker.stalls if now - STALLS_WITHIN < each <= now)
    together = bool(recent) and now - recent[-1] < LATE_FOR
    return replace(checker, stalls=recent if together else (*recent, now))


def with_answer(checker: Checker, node: int, *, confirmed: bool) -> Checker:
    """Another checker answered for a node that would have been marked on this one's word alone."""
    return replace(checker, contradicted=() if confirmed else (*checker.contradicted, node)[-CONTRADICTIONS:])


# Doubts ---------------------------------------------------------------------------------------------------------------


def doubts(checker: Checker, evidence: Evidence, now: float) -> dict[Doubt, str]:
    """What speaks against a checker, each in words."""
    found: dict[Doubt, str] = {}
    if evidence.canary_trouble:
        found[Doubt.CANARIES] = evidence.canary_trouble
    stalls = sum(now - STALLS_WITHIN < each <= now for each in checker.stalls)
    if stalls >= STALLS:
        found[Doubt.STALLS] = f"its check loop stood still {stalls} times within {STALLS_WITHIN:.0f} s"
    failing, observed = evidence.failing, evidence.observed
    if failing >= LEAST_NODES and evidence.pools >= LEAST_POOLS and failing > THRESHOLD * observed:
        found[Doubt.FAILURES] = f"{failing} of {observed} nodes that were healthy fail together, in {evidence.pools} pools"
    contradicted = checker.contradicted
    if len(contradicted) >= CONTRADICTIONS and len(set(contradicted)) >= CONTRADICTED_NODES:
        found[Doubt.CONTRADICTED] = f"another checker contradicted {len(contradicted)} failures in a row that only this one saw"
    return found


def _doubt(checker: Checker, evidence: Evidence, now: float) -> Checker:
    found = doubts(checker, evidence, now)
    checker = replace(checker, overruled=checker.overruled & found.keys())
    first = next(((doubt, why) for doubt, why in found.items() if doubt not in checker.overruled), None)
    return checker if first is None else replace(checker, isolation=Isolation(*first, since=now))


def _earn(checker: Checker, isolation: Isolation, evidence: Evidence, now: float) -> tuple[Checker, tuple[Event, ...]]:
    if not _looks_right(checker, evidence, now):
        return replace(checker, isolation=replace(isolation, clear_since=None)), ()
    since = now if isolation.clear_since is None else isolation.clear_since
    if now - since < EARNED_IN:
        return replace(checker, isolation=replace(isolation, clear_since=since)), ()
    back = _back(checker, f"nothing has spoken against it for {EARNED_IN:.0f} s")
    return replace(checker, isolation=None, stalls=(), contradicted=()), (back,) if isolation.told else ()


def _looks_right(checker: Checker, evidence: Evidence, now: float) -> bool:
    """Whether nothing speaks against it just now; whoever asks nobody though somebody could be asked has shown nothing."""
    stalled = any(now - EARNED_IN < each <= now for each in checker.stalls)
    if evidence.canary_trouble or stalled or (evidence.askable and not evidence.asked):
        return False
    return evidence.asked_failing < EARNED_BELOW * evidence.asked or not evidence.asked


def _follow_clock(checker: Checker, now: float) -> Checker:
    """The checker with no past ahead of `now`: the clock was set back."""
    isolation, turning = checker.isolation, checker.turning_since
    if isolation is not None and max(isolation.since, isolation.clear_since or 0.0) > now:
        clear = None if isolation.clear_since is None else min(isolation.clear_since, now)
        checker = replace(checker, isolation=replace(isolation, since=min(isolation.since, now), clear_since=clear))
    return checker if turning is None or turning <= now else replace(checker, turning_since=now)


# What is told ---------------------------------------------------------------------------------------------------------


def _forget_the_gone(checkers: Checkers) -> Told:
    """What lasts with a checker ends with its last runner, if another is believed."""
    events: list[Event] = []
    for each in checkers.all if checkers.believed else ():
        if each.lives:
            continue
        if each.isolation is not None and each.isolation.told:
            events.append(_back(each, "its last runner is gone, and another checker is believed"))
        if each.late:
            events.append(_on_time(each, "no longer start: its last runner is gone"))
        if each.resolver.told:
            said = f"The resolver of {each.host} is asked no more: its last runner is gone"
            events.append(event(EventType.RESOLVER_ANSWERS, said, detail={"checker": each.host}))
        checkers = checkers.put(replace(each, isolation=None, late=False, turning_since=None, resolver=Resolver()))
    return checkers, tuple(events)


def _tell(checkers: Checkers, now: float) -> Told:
    if checkers.believed or not any(each.isolation for each in checkers.all):
        return _tell_isolated(checkers, now)
    since = now if checkers.nobody_since is None else min(checkers.nobody_since, now)
    checkers = replace(checkers, nobody_since=since)
    if checkers.nobody_told or now - since < TOLD_AFTER or _is_earning(checkers.all):
        return checkers, ()
    block = checkers.block
    assert block is not None  # nobody is believed
    said = f"No checker is believed, automation is blocked until one is or a person believes one. {block.reason}"
    return replace(checkers, nobody_told=True), (event(EventType.NO_CHECKER_BELIEVED, said, detail={"checker": block.owner}),)


def _is_earning(checkers: Iterable[Checker]) -> bool:
    """One of them looks right again and is about to be back."""
    return any(each.lives and each.isolation is not None and each.isolation.clear_since is not None for each in checkers)


def _tell_isolated(checkers: Checkers, now: float) -> Told:
    events: list[Event] = []
    if checkers.nobody_told:
        names = " and ".join(sorted(checkers.believed)) or "another than those that lived"
        events.append(event(EventType.CHECKER_BELIEVED, f"A checker is believed again ({names}): automation acts again"))
    for each in checkers.all:
        isolation = each.isolation
        if isolation is None or isolation.told or now - isolation.since < TOLD_AFTER or _is_earning((each,)):
            continue
        said = f"Checker {each.host} is isolated: {isolation.reason}. The other checkers do its work"
        events.append(event(EventType.CHECKER_ISOLATED, said, detail={"checker": each.host, "doubt": isolation.doubt.value}))
        checkers = checkers.put(replace(each, isolation=replace(isolation, told=True)))
    return replace(checkers, nobody_since=None, nobody_told=False), tuple(events)


def _back(checker: Checker, why: str, *, actor: str = "engine") -> Event:
    said = f"Checker {checker.host} is no longer isolated: {why}"
    return event(EventType.CHECKER_REJOINED, said, detail={"checker": checker.host}, actor=actor)


def _late(checker: Checker, lateness: float) -> Event:
    said = f"Checks of {checker.host} start {lateness:.1f} s late (p99): add workers or lengthen intervals"
    return event(EventType.CHECKS_LATE, said, detail={"checker": checker.host, "lateness_p99": round(lateness, 3)})


def _on_time(checker: Checker, how: str) -> Event:
    return event(EventType.CHECKS_ON_TIME, f"Checks of {checker.host} {how}", detail={"checker": checker.host})
