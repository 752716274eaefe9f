"""What charts are made from and what they come out as."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from django.utils.safestring import SafeString


@dataclass(frozen=True, slots=True)
class Span:
    """The time that a chart shows; ValueError when it is empty."""

    start: datetime
    end: datetime
    live: bool = False  # ends now, and says so

    def __post_init__(self) -> None:
        if self.end <= self.start:
            raise ValueError(f"a span ends after its start, not at {self.end} after {self.start}")

    @property
    def length(self) -> timedelta:
        return self.end - self.start

    def part(self, instant: datetime) -> float:
        """Where in the span an instant lies: 0 at its start, 1 at its end, outside of both beyond."""
        return (instant - self.start) / self.length

    def holds(self, instant: datetime) -> bool:
        return self.start <= instant <= self.end


class Cause(StrEnum):
    """Who moved the shares."""

    AUTOMATION = "automation"
    PERSON = "person"


@dataclass(frozen=True, slots=True)
class Pin:
    """What happened at an instant: one bold line, and at most two grey ones with cause, guards, epoch."""

    at: datetime
    what: str
    lines: tuple[str, ...] = ()
    cause: Cause = Cause.AUTOMATION


@dataclass(frozen=True, slots=True)
class Table:
    """The figures behind a chart, as text."""

    headings: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True, slots=True)
class LegendEntry:
    """`mark` is the class of its sample: a tint, a line, a shape."""

    mark: str
    text: str
    value: str = ""


@dataclass(frozen=True, slots=True)
class Point:
    """A stop of the tooltip: it holds from `x` (0 to 1) to the next one; `at` is an ISO instant or day, or nothing."""

    x: float
    at: str
    lines: tuple[str, ...]
    y: float | None = None  # 0 to 1, in charts with rows


@dataclass(frozen=True, slots=True)
class SideText:
    """What stands left and right of a row; the page draws it with links, the file as text."""

    y: float  # px, base line
    left: str
    right: str


@dataclass(frozen=True, slots=True)
class Chart:
    """A picture, the sentence that says the same, and the table behind it; `notes` say in words what pins show."""

    svg: SafeString
    label: str
    table: Table
    legend: tuple[LegendEntry, ...] = ()
    notes: tuple[str, ...] = ()
    sides: tuple[SideText, ...] = ()
