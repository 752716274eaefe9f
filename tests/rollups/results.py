"""Results for the tests: written as a runner writes them, counted by hand as the roll-ups should."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from django.db import connection

from nodes.rollups import bucket

NOON = datetime(2026, 3, 29, 12, tzinfo=UTC)  # the clocks of Europe change this night; the roll-ups do not care


class Result(NamedTuple):
    node: int
    at: datetime
    verdict: str
    latency: float | None


def after(seconds: float) -> datetime:
    return NOON + timedelta(seconds=seconds)


def write(results: Iterable[Result]) -> None:
    with connection.cursor() as cursor:
        cursor.executemany("INSERT INTO nodes_checkresult (node_id, at, verdict, latency) VALUES (%s, %s, %s, %s)", list(results))


def forget() -> None:
    with connection.cursor() as cursor:
        for table in ("checkresult", "minuterollup", "hourrollup", "dayrollup", "rollupprogress"):
            cursor.execute(f"DELETE FROM nodes_{table}")


def by_hand(results: Iterable[Result], length: timedelta) -> dict[tuple[int, datetime], Counter[str]]:
    """(node, start) -> how often each verdict and each bucket of a good answer occurs."""
    spans: dict[tuple[int, datetime], Counter[str]] = {}
    for result in results:
        start = result.at - (result.at - datetime(1970, 1, 1, tzinfo=UTC)) % length
        counts = spans.setdefault((result.node, start), Counter())
        counts[result.verdict] += 1
        if result.verdict in "pw" and result.latency is not None:
            counts[f"bucket {bucket(result.latency)}"] += 1
    return spans


def stored(table: str) -> dict[tuple[int, datetime], Counter[str]]:
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT node_id, start, passes, warns, fails, unknowns, histogram FROM nodes_{table}")
        rows = cursor.fetchall()
    return {
        (node, start): Counter(
            {name: count for name, count in zip("pwfu", verdicts, strict=True) if count}
            | {f"bucket {index}": count for index, count in enumerate(histogram) if count}
        )
        for node, start, *verdicts, histogram in rows
    }
