"""The nodes that failed most in a report's range, and why; one query."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass

from django.db.models import Count

from nodes.models import Failure
from nodes.reports.figures import Report, Row

_MOST = 6


@dataclass(frozen=True, slots=True)
class Offender:
    """A node; `part` of the failures of the first one in percent, for its bar."""

    row: Row
    cause: str
    part: float


def offenders(report: Report) -> list[Offender]:
    """At most six, by failures and then by downtime."""
    failing = sorted((row for row in report.rows if row.node and row.failures), key=lambda row: (-row.failures, -row.downtime))
    first = failing[:_MOST]
    causes = _causes(report, {row.node for row in first if row.node})
    return [Offender(row, causes.get((row.pool, row.node or ""), ""), row.failures / first[0].failures) for row in first]


def _causes(report: Report, names: set[str]) -> dict[tuple[str, str], str]:
    """The most frequent cause of each node, by pool and name."""
    failures = Failure.objects.filter(node__name__in=names, marked_at__gte=report.start, marked_at__lt=report.end)
    said = failures.values_list("node__pool__name", "node__name", "message", "cause").annotate(number=Count("pk")).order_by()
    found: dict[tuple[str, str], Counter[str]] = defaultdict(Counter)
    for pool, node, message, cause, number in said:
        found[pool, node][message or cause] += number
    return {node: causes.most_common(1)[0][0] for node, causes in found.items()}
