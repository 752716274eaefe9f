"""Everything that happened in an incident, newest first, folded where it repeats."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from datetime import datetime

from django.urls import reverse

from nodes.notices import Notice
from nodes.screens.event_kinds import Kind
from nodes.screens.folding import fold
from nodes.screens.history_lines import EventLine
from nodes.screens.incident_stops import cause_of
from nodes.screens.incident_story import NodeFailure, Story

UNFOLDED = 60  # lines of one fold


@dataclass(frozen=True, slots=True)
class Line:
    """One thing that happened; `plus` in seconds from the first bad check; `href` and `why` are addresses, or empty."""

    id: str
    at: datetime
    plus: float
    kind: str
    icon: str
    hue: str
    text: str
    href: str
    why: str
    key: Hashable  # of lines that are alike

    @property
    def plus_words(self) -> str:
        """+4:09, or +2.9 s within the first minute."""
        if self.plus < 60:
            return f"+{self.plus:.1f}\u00a0s" if self.plus > 0 else "0"
        hours, minutes, seconds = int(self.plus) // 3600, int(self.plus) // 60 % 60, int(self.plus) % 60
        return f"+{hours}:{minutes:02}:{seconds:02}" if hours else f"+{minutes}:{seconds:02}"


@dataclass(frozen=True, slots=True)
class Group:
    """A line, or several that are folded: `length` lines that come `times` times."""

    first: Line
    inner: tuple[Line, ...]
    length: int
    times: int

    @property
    def lines(self) -> int:
        return self.length * self.times

    @property
    def are_more(self) -> int:
        return self.lines - len(self.inner)

    @property
    def others(self) -> int:
        return self.length - 1


def groups(story: Story, notices: Sequence[Notice]) -> tuple[Group, ...]:
    """All lines that are read, folded."""
    found = lines(story, notices)
    folds = fold([each.key for each in found])
    return tuple(
        Group(found[each.start], () if each.times == 1 else found[each.start : each.end][:UNFOLDED], each.length, each.times)
        for each in folds
    )


def lines(story: Story, notices: Sequence[Notice]) -> tuple[Line, ...]:
    """Newest first; as far back as the events that are read."""
    opened = story.row.opened_at
    since = story.events[-1].at if story.events_total > len(story.events) else opened
    found = [
        *(_of_event(event, opened) for event in story.events),
        *(_of_notice(notice, opened) for notice in notices if notice.at >= since),
        *(_of_failure(failure, number, opened) for number, failure in enumerate(story.failures) if failure.first_bad_at >= since),
    ]
    return tuple(sorted(found, key=lambda line: line.at, reverse=True))


def _of_event(event: EventLine, opened: datetime) -> Line:
    why = reverse("nodes:failover", args=[event.failover_id]) if event.failover_id else ""
    return Line(
        f"line-{event.id}", event.at, (event.at - opened).total_seconds(), event.kind, event.icon, event.hue, event.message,
        reverse("nodes:event", args=[event.id]), why, (event.type, event.node_id, event.by_person),
    )  # fmt: skip  # what belongs together stays on a line


def _of_notice(notice: Notice, opened: datetime) -> Line:
    text = f"{notice.destination}: {notice.what}, {notice.words}"
    plus = (notice.at - opened).total_seconds()
    key = ("message", notice.destination, notice.status)
    return Line(f"message-{notice.id}", notice.at, plus, Kind.MESSAGE, "message", "off", text, "", "", key)


def _of_failure(failure: NodeFailure, number: int, opened: datetime) -> Line:
    plus = (failure.first_bad_at - opened).total_seconds()
    what = "First bad check" if failure.cause == "health" else "First failed call"
    text = f"{what} of {failure.name}: {cause_of(failure)}"
    key = ("first", failure.node, failure.cause)
    return Line(f"first-{number}", failure.first_bad_at, plus, Kind.CHECK, "suspect", "warn", text, "", "", key)
