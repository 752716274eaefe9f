"""What frames every page: how many incidents are open, and the footer about the checks and alerts behind it."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from threading import Lock
from typing import Any

from django.db import connection
from django.utils.functional import SimpleLazyObject

from nodes.ledger.leases import ALIVE
from nodes.ledger.runners import CLOCK_OFF, GAP

OVERDUE_AFTER = 10  # s after its due instant a check is missed
_RATE_OVER = 30.0  # s
_MANY_WAIT = 1000  # events


@dataclass(frozen=True, slots=True)
class Chrome:
    """The footer's figures, and the count beside Incidents."""

    checked_at: datetime | None
    read_at: datetime = field(compare=False)
    open_incidents: int
    checks_a_second: float | None  # None until this process has looked twice
    overdue: int
    runners: int
    alert_runners: int
    lateness: float  # seconds, the worst runner's p99
    outbox: int
    clocks_off: tuple[str, ...]  # hosts whose clock differs from the database's, and by how much

    @property
    def outbox_tone(self) -> str:
        return "warn" if self.outbox > _MANY_WAIT or (self.outbox and not self.alert_runners) else ""


# Figures of the whole fleet; the overview of the pools selects the same from it.
FLEET = f"""
SELECT now() AS read_at, f.version AS fleet_version, f.config_version, f.paused AS fleet_paused, f.isolated AS fleet_isolated,
       f.missing_told AS fleet_missing,
       c.checked_at, c.overdue,
       (SELECT json_agg(json_build_array(host, reason, extract(epoch FROM since)::float8) ORDER BY host)
        FROM nodes_checker WHERE doubt <> '') AS isolated_checkers,
       (SELECT json_agg(json_build_array(host, resolver_grave) ORDER BY host)
        FROM nodes_checker WHERE resolver_told) AS resolvers_away,
       (SELECT count(*) FROM nodes_incident WHERE closed_at IS NULL) AS open_incidents,
       r.runners, r.alert_runners, r.lateness, r.clocks_off, r.checks, o.outbox
FROM (SELECT max(checked_at) AS checked_at,
             count(*) FILTER (
                 WHERE s.admin_state <> 'disabled' AND s.due_at < now() - make_interval(secs => {OVERDUE_AFTER})
             ) AS overdue
      FROM nodes_nodestate s JOIN nodes_node n ON n.id = s.node_id AND n.removed_at IS NULL) c,
     (SELECT (SELECT count(*) FROM nodes_lease WHERE kind = 'checks' AND {ALIVE}) AS runners,
             (SELECT count(*) FROM nodes_lease WHERE kind = 'alerts' AND {ALIVE}) AS alert_runners,
             coalesce(max(lateness_p99) FILTER (WHERE kind = 'checks'), 0) AS lateness,
             coalesce(sum(checks) FILTER (WHERE kind = 'checks'), 0)::bigint AS checks,
             json_object_agg(host, clock_ahead) FILTER (WHERE abs(clock_ahead) > {CLOCK_OFF}) AS clocks_off
      FROM nodes_runner WHERE seen_at > now() - make_interval(secs => {GAP})) r,
     (SELECT count(*) AS outbox FROM (SELECT 1 FROM nodes_outbox WHERE given_up_at IS NULL LIMIT 10000) waiting) o
LEFT JOIN nodes_fleetstate f ON f.id = 1
"""


class _Rate:
    """Checks a second over the last half minute, by a total that grows and falls when a runner goes."""

    def __init__(self) -> None:
        self._seen: deque[tuple[float, int]] = deque()
        self._lock = Lock()  # pages and the hub ask from threads of their own

    def of(self, total: int) -> float | None:
        now = time.monotonic()
        with self._lock:
            if self._seen and total < self._seen[-1][1]:
                self._seen.clear()
            self._seen.append((now, total))
            while now - self._seen[0][0] > _RATE_OVER:
                self._seen.popleft()
            began, first = self._seen[0]
        span = now - began
        return (total - first) / span if span > _RATE_OVER / 3 else None


_rate = _Rate()


def chrome() -> Chrome:
    """Read it, in one query."""
    with connection.cursor() as cursor:
        cursor.execute(FLEET)
        names = [column.name for column in cursor.description or ()]
        return of_fleet(dict(zip(names, cursor.fetchone() or (), strict=True)))


def of_fleet(fleet: Mapping[str, Any]) -> Chrome:
    """The footer from a row of `FLEET` that was read for another purpose too."""
    return Chrome(
        checked_at=fleet["checked_at"],
        read_at=fleet["read_at"],
        open_incidents=fleet["open_incidents"],
        checks_a_second=_rate.of(fleet["checks"]),
        overdue=fleet["overdue"],
        runners=fleet["runners"],
        alert_runners=fleet["alert_runners"],
        lateness=fleet["lateness"],
        outbox=fleet["outbox"],
        clocks_off=tuple(_clock_off(host, ahead) for host, ahead in sorted((fleet["clocks_off"] or {}).items())),
    )


def _clock_off(host: str, ahead: float) -> str:
    return f"{host} is {abs(ahead):.0f} s {'ahead' if ahead > 0 else 'behind'}"


def framed(request: Any) -> dict[str, Any]:
    """The context processor: read when a template first asks, so that answers without a frame pay nothing."""
    return {"chrome": SimpleLazyObject(chrome)}
