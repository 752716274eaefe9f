"""The eight stops of an incident from its first bad check to its recovery, each with one fact, and how long each way took."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from nodes.engine.enums import ChangeKind, EventType
from nodes.notices import Notice
from nodes.screens.decisions import DecisionRecord
from nodes.screens.incident_story import NodeFailure, Story

_NO_BREAK = "\u00a0"


@dataclass(frozen=True, slots=True)
class Stop:
    """One stop; `at` None: not yet, or never.  `gap`: seconds to the next stop, None when that is not reached."""

    word: str
    icon: str
    hue: str
    at: datetime | None
    fact: str
    trial_at: datetime | None = None
    gap: float | None = None
    onward: bool = False  # something is still to come: the way is open


def stops(story: Story, decisions: Iterable[DecisionRecord], notices: Sequence[Notice]) -> tuple[Stop, ...]:
    """In the order they were reached; what is not reached stands where it would come."""
    made = [
        *_failing(story.first),
        *_moving(story, next((each for each in decisions if each.kind == ChangeKind.FAILOVER), None)),
        _notified(story, notices),
        _acknowledged(story),
        *_recovering(story),
    ]
    return _with_gaps(_in_order(made), is_open=story.row.closed_at is None)


def _in_order(made: Sequence[Stop]) -> list[Stop]:
    """By their instants; one without any comes after those before it in the story."""
    placed, latest = [], None
    for number, stop in enumerate(made):
        latest = stop.at if latest is None else max(latest, stop.at or latest)
        placed.append((stop.at or latest, number, stop))
    known = [each for each in placed if each[0] is not None]
    return [stop for _, _, stop in sorted(known, key=lambda each: each[:2])] + [each[2] for each in placed if each[0] is None]


def _with_gaps(ordered: Sequence[Stop], *, is_open: bool) -> tuple[Stop, ...]:
    found = []
    for number, stop in enumerate(ordered):
        later = ordered[number + 1].at if number + 1 < len(ordered) else None
        reached = stop.at is not None and later is not None
        gap = (later - stop.at).total_seconds() if reached and later and stop.at else None
        found.append(replace(stop, gap=gap, onward=is_open and gap is None and number + 1 < len(ordered)))
    return tuple(found)


def cause_of(failure: NodeFailure) -> str:
    """What was wrong, without the name and the count before it."""
    return failure.message.partition(": ")[2] or failure.message or failure.cause


def _failing(first: NodeFailure | None) -> tuple[Stop, Stop]:
    if first is None:
        return Stop("First bad check", "suspect", "warn", None, "not known"), Stop(
            "Marked failed", "failed", "bad", None, "not known"
        )
    by_checks = first.cause == "health"
    counted = first.message.partition(": ")[0].removeprefix(f"{first.name} ")
    return (
        Stop("First bad check" if by_checks else "First failed call", "suspect", "warn", first.first_bad_at, cause_of(first)),
        Stop("Marked failed", "failed", "bad", first.marked_at, counted)
        if by_checks
        else Stop("Breaker opened", "open", "bad", first.marked_at, cause_of(first)),
    )


def _moving(story: Story, decision: DecisionRecord | None) -> tuple[Stop, Stop]:
    if decision is None:
        why = "it held no share" if story.first and not story.first.had_share else "no decision yet"
        return Stop("Decided", "decision", "acc", None, why), Stop("Shares moved", "shares", "acc", None, "nothing moved")
    passed = sum(not guard.blocks for guard in decision.guards)
    answered = f"{passed} of {len(decision.guards)} guards passed" if decision.guards else "no guard was asked"
    if decision.refused_by:
        blocked = Stop("Blocked", "paused", "warn", decision.at, f"by {decision.refused_by}")
        return blocked, Stop("Shares moved", "shares", "acc", _first_move(story), "later, or not at all")
    gained = sum(line.gained > 0 for line in decision.considered)
    moved = sum(max(0, -line.gained) for line in decision.considered) / 100
    fact = f"{moved:g}{_NO_BREAK}% to {gained} node{'' if gained == 1 else 's'}, epoch {decision.epoch}"
    return Stop("Decided", "decision", "acc", decision.at, answered), Stop(
        "Shares moved", "shares", "acc", _first_move(story), fact
    )


def _first_move(story: Story) -> datetime | None:
    return min((each.moved_at for each in story.failures if each.moved_at), default=None)


def _notified(story: Story, notices: Sequence[Notice]) -> Stop:
    if not notices:
        return Stop("Notified", "message", "off", None, "nobody yet" if story.row.closed_at is None else "nobody")
    names = list(dict.fromkeys(notice.destination for notice in notices))
    return Stop("Notified", "message", "off", notices[0].at, _listed(names))


def _acknowledged(story: Story) -> Stop:
    row = story.row
    if row.acknowledged_at is None:
        return Stop("Acknowledged", "person", "hand", None, "nobody yet" if row.closed_at is None else "nobody did")
    note = f": “{row.acknowledgement}”" if row.acknowledgement else ""
    return Stop("Acknowledged", "person", "hand", row.acknowledged_at, f"{row.acknowledged_by}{note}")


def _recovering(story: Story) -> tuple[Stop, Stop]:
    out = [each for each in story.failures if each.recovered_at is None]
    begun = [event for event in story.events if event.type in (EventType.RECOVERY_STARTED, EventType.BREAKER_HALF_OPENED)]
    trial = max((each.trial_at for each in out if each.trial_at), default=None)
    fact = begun[-1].message if begun else f"waits for {_listed([each.name for each in out])}" if out else ""
    begins = Stop("Recovery begins", "recovering", "acc", begun[-1].at if begun else None, fact, trial_at=trial)
    if story.row.closed_at is None:
        return begins, Stop("Recovered", "check", "ok", None, f"{len(out)} of {len(story.failures)} still out")
    return begins, Stop("Recovered", "check", "ok", story.row.closed_at, "all nodes are back or accounted for")


def _listed(names: Sequence[str], most: int = 2) -> str:
    unique = list(dict.fromkeys(names))
    rest = len(unique) - most
    return f"{', '.join(unique[:most])} and {rest} more" if rest > 0 else " and ".join(unique)
