"""A report in a sentence and a few figures, out of its rows."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from nodes.reports.figures import Report, Row


@dataclass(frozen=True, slots=True)
class Summary:
    """All pools together; times in seconds, None where there is nothing to count."""

    pools: int
    measured: int  # pools of which something was measured
    available: int  # of these, pools that were never down
    worst: Row | None  # the pool that was available least, if one was down at all
    availability: float | None
    downtime: float
    failures: int
    incidents: int
    failovers: int
    to_detect: float | None
    to_recover: float | None


def summary(report: Report) -> Summary:
    """Means weigh each failure alike, so that they are what the rows would be if all pools were one."""
    pools = report.pools
    measured = [row for row in pools if row.availability is not None]
    down = [row for row in measured if row.downtime > 0]
    total = sum(row.counted for row in measured)
    return Summary(
        pools=len(pools),
        measured=len(measured),
        available=len(measured) - len(down),
        worst=min(down, key=lambda row: row.availability or 0.0, default=None),
        availability=1 - sum(row.downtime for row in measured) / total if total else None,
        downtime=sum(row.downtime for row in measured),
        failures=sum(row.failures for row in pools),
        incidents=sum(row.incidents for row in pools),
        failovers=sum(row.failovers for row in pools),
        to_detect=_weighted((row.to_detect, row.failures) for row in pools),
        to_recover=_weighted((row.to_recover, row.recoveries) for row in pools),
    )


def _weighted(pairs: Iterable[tuple[float | None, int]]) -> float | None:
    known = [(mean, number) for mean, number in pairs if mean is not None and number]
    return sum(mean * number for mean, number in known) / sum(number for _, number in known) if known else None
