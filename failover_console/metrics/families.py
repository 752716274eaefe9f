"""Makes metric families: whose figure each is, every series there from the start, sums that never fall.

In: names, HELP, counts by labels.  Out: families of `prometheus_client`, their series in a stable order.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import product
from typing import Any

from django.db import connection
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily

DATABASE = "Database-wide"  # the same from every web process
PROCESS = "This process"

Labels = tuple[str, ...]


def rows(query: str, parameters: Mapping[str, Any] | None = None) -> list[tuple[Any, ...]]:
    """All rows of a query."""
    with connection.cursor() as cursor:
        cursor.execute(query, parameters)
        return list(cursor.fetchall())


def help_text(what: str, whose: str = DATABASE) -> str:
    return f"{whose}: {what}"


def gauge(name: str, what: str, labels: Sequence[str] = ()) -> GaugeMetricFamily:
    """A database-wide gauge without a series yet."""
    return GaugeMetricFamily(name, help_text(what), labels=labels)


def figure(name: str, what: str, value: float, *, whose: str = DATABASE) -> GaugeMetricFamily:
    """A gauge of one series."""
    return GaugeMetricFamily(name, help_text(what, whose), value=value)


def total(name: str, what: str, value: float) -> CounterMetricFamily:
    """A database-wide counter of one series."""
    return CounterMetricFamily(name, help_text(what), value=value)


def totals(
    name: str, what: str, labels: Mapping[str, Iterable[str]], counts: Iterable[tuple[Labels, float]]
) -> CounterMetricFamily:
    """A database-wide counter: every combination of the values of `labels`, at 0 where `counts` has none."""
    family = CounterMetricFamily(name, help_text(what), labels=list(labels))
    series = dict.fromkeys(product(*labels.values()), 0.0) | dict(counts)
    for combination, count in series.items():
        family.add_metric(combination, count)
    return family


def one_of(family: GaugeMetricFamily, labels: Sequence[str], states: Iterable[str], state: str) -> None:
    """A series for each of the states: 1 for the one that is."""
    for each in states:
        family.add_metric([*labels, each], float(each == state))


def histogram(name: str, what: str, bounds: tuple[float, ...], durations: str) -> HistogramMetricFamily:
    """A histogram of the column `took` (an interval) of the query `durations`.

    Summed as exact numbers, in whatever order the rows come, and none below 0, whatever the clocks did: the sum never falls.
    """
    upto = ", ".join(f"count(*) FILTER (WHERE took <= interval '{bound} s')" for bound in bounds)
    [(*counts, number, summed)] = rows(
        f"""SELECT {upto}, count(*), coalesce(extract(epoch FROM sum(took)), 0)::float8
            FROM (SELECT greatest(took, interval '0') AS took FROM ({durations}) AS spans) AS durations"""
    )
    buckets = [*zip(map(str, map(float, bounds)), counts, strict=True), ("+Inf", number)]
    return HistogramMetricFamily(name, help_text(what), buckets=buckets, sum_value=summed)
