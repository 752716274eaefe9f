"""The ranges that charts offer, and how finely each one is drawn; buckets begin where rows of the roll-ups begin."""

from __future__ import annotations

from datetime import datetime, timedelta
from enum import StrEnum
from typing import NamedTuple

from nodes.rollups.resolutions import floor


class Window(NamedTuple):
    """[start, end) in so many even buckets; the last one holds the present and ends after it."""

    start: datetime
    end: datetime
    buckets: int


class Range(StrEnum):
    """A range by its word in the URL."""

    HOUR = "1h"
    SIX_HOURS = "6h"
    DAY = "24h"
    WEEK = "7d"
    MONTH = "30d"
    QUARTER = "90d"
    YEAR = "1y"

    @classmethod
    def asked(cls, text: str | None, default: Range | None = None) -> Range:
        """The range of this word; `default`, else 24 hours, for any other."""
        return next((each for each in cls if each == text), default or cls.DAY)

    @property
    def length(self) -> timedelta:
        return _LENGTHS[self][0]

    @property
    def bucket(self) -> timedelta:
        """How long a bucket of this range is."""
        return _LENGTHS[self][1]

    @property
    def words(self) -> str:
        return _LENGTHS[self][2]

    @property
    def short(self) -> str:
        """As a button says it: 24 h."""
        return f"{self[:-1]}\u00a0{self[-1]}"

    def window(self, now: datetime) -> Window:
        """The range up to the end of the bucket that `now` lies in."""
        end = floor(now, self.bucket) + self.bucket
        return Window(end - self.length, end, self.length // self.bucket)


_MINUTE, _HOUR, _DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
_LENGTHS = {
    Range.HOUR: (_HOUR, _MINUTE, "1\u00a0hour"),
    Range.SIX_HOURS: (6 * _HOUR, 5 * _MINUTE, "6\u00a0hours"),
    Range.DAY: (_DAY, 15 * _MINUTE, "24\u00a0hours"),
    Range.WEEK: (7 * _DAY, _HOUR, "7\u00a0days"),
    Range.MONTH: (30 * _DAY, 6 * _HOUR, "30\u00a0days"),
    Range.QUARTER: (90 * _DAY, _DAY, "90\u00a0days"),
    Range.YEAR: (365 * _DAY, _DAY, "1\u00a0year"),
}
