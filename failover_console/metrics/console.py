"""One scrape: which families it holds, by scope and by pool."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from prometheus_client.core import Metric
from prometheus_client.registry import Collector

from failover_console.metrics import alerts, checking, fleet, history, process


class Scope(StrEnum):
    """Whose figures are asked for."""

    ALL = "all"
    DATABASE = "database"
    PROCESS = "process"


@dataclass(frozen=True, slots=True)
class Console(Collector):
    """The figures of a scope, or those of some pools alone, by their slugs; `loop_lag` in seconds is this process's."""

    scope: Scope = Scope.ALL
    pools: tuple[str, ...] = ()
    loop_lag: float = 0.0

    def collect(self) -> Iterator[Metric]:
        if self.pools:
            yield from fleet.pools_and_nodes(self.pools)
            return
        if self.scope is not Scope.PROCESS:
            yield from fleet.pools_and_nodes()
            yield from fleet.whole_fleet()
            yield from checking.families()
            yield from history.families()
            yield from alerts.families()
        if self.scope is not Scope.DATABASE:
            yield from process.families(self.loop_lag)

    def describe(self) -> list[Metric]:
        return []
