"""Figures and instants as charts write them, in UTC; the page's script may write them in the reader's zone."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

_DAY, _YEARS = timedelta(days=1), timedelta(days=300)


def percent(points: float) -> str:
    """Basis points with at most one decimal: 5714 -> 57.1 %."""
    return f"{points / 100:.1f}".removesuffix(".0") + "\u00a0%"


def uptime(part: float) -> str:
    """A fraction with three decimals, never rounded up to 100: 0.9999 -> 99.990 %, 1 -> 100 %."""
    thousandths = int(part * 100_000 + 1e-6)
    return f"{thousandths / 1000:.{0 if thousandths in (0, 100_000) else 3}f}\u00a0%"


def target(part: float) -> str:
    """A fraction with the decimals that it has: 0.9995 -> 99.95 %."""
    return f"{round(part * 100, 6):g}\u00a0%"


def latency(seconds: float | None) -> str:
    """Milliseconds below one second, else seconds; a dash for none."""
    if seconds is None:
        return "–"
    if seconds >= 1:
        return f"{seconds:.2f}\u00a0s"
    return f"{seconds * 1000:.0f}\u00a0ms" if seconds >= 0.01 or not seconds else f"{seconds * 1000:.1f}\u00a0ms"


def iso(instant: datetime) -> str:
    return f"{instant.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"


def clock(instant: datetime) -> str:
    return f"{instant.astimezone(UTC):%H:%M}"


def second(instant: datetime) -> str:
    return f"{instant.astimezone(UTC):%H:%M:%S}"


def day(instant: date) -> str:
    """28 Nov; an aware instant is taken in UTC."""
    at = instant.astimezone(UTC) if isinstance(instant, datetime) else instant
    return f"{at.day} {at:%b}"


def month(instant: datetime) -> str:
    return f"{instant.astimezone(UTC):%b %Y}"


def ending(instant: datetime, length: timedelta) -> str:
    """The end of a span of that length, for where "now" would say nothing."""
    return day(instant) if length > _DAY else f"{clock(instant)} UTC"


def full(instant: datetime) -> str:
    return f"{instant.astimezone(UTC):%Y-%m-%d %H:%M:%S}"


def between(start: datetime, end: datetime) -> str:
    """A time span in words, as short as it can be: 01:17 to 02:17 UTC."""
    if end - start > _YEARS:
        return f"{day(start)} {start.year} to {day(end)} {end.year}"
    if end - start > _DAY:
        return f"{day(start)} to {day(end)}"
    return f"{clock(start)} to {clock(end)} UTC"


def counted(amount: int, one: str, many: str = "") -> str:
    """1 change, 2 changes."""
    return f"{amount} {one if amount == 1 else many or one + 's'}"
