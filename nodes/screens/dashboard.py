"""The dashboard: the truth of the fleet, what lasts, the pools worst first, open incidents, the latest events."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Case, IntegerField, Value, When

from nodes.engine.enums import Severity
from nodes.engine.fleet_verdict import FleetVerdict, fleet_verdict
from nodes.engine.service import Service
from nodes.models import Event, Incident
from nodes.screens.by_people import RECENT, ByPeople, by_people
from nodes.screens.chrome import of_fleet
from nodes.screens.fleet_list import fleet_list, list_fragments
from nodes.screens.fragments import Fragment, Screen, by_id
from nodes.screens.history_lines import IncidentRow, event_lines, incident_rows
from nodes.screens.lasting import lasting
from nodes.screens.node_row import NodeRow
from nodes.screens.overview import PoolRow, overview
from nodes.screens.pool_line import Known
from nodes.screens.wanted import Wanted, WantedForm, needs_a_look
from nodes.series import PoolPresent, Range, pools_now, states_24h

EVENTS_SHOWN = 12
INCIDENTS_READ = 20
INCIDENTS_SHOWN = 3

_EVERYTHING = Wanted()
_LAMPS = (Service.USERS_HIT, Service.LESS_RESERVE, Service.SERVED)
_SHAPES = {Service.USERS_HIT: "down", Service.LESS_RESERVE: "degraded", Service.SERVED: "healthy"}


@dataclass(frozen=True, slots=True)
class Lamp:
    """How many pools a truth holds for; it filters by it, and once more shows all again."""

    service: Service
    shape: str
    pools: int
    address: str
    chosen: bool


@dataclass(frozen=True, slots=True)
class Head:
    """The verdict and its lamps."""

    verdict: FleetVerdict
    lamps: tuple[Lamp, ...]

    @property
    def _troubled(self) -> bool:
        """Pools are served, and the console itself is not as it should be: then nothing is green."""
        return self.verdict.service is Service.SERVED and self.verdict.tone != "ok"

    @property
    def shape(self) -> str:
        return "degraded" if self._troubled else str(self.verdict.shape)

    @property
    def ground(self) -> str:
        return Service.LESS_RESERVE.value if self._troubled else self.verdict.ground


@dataclass(frozen=True, slots=True)
class OpenIncidents:
    shown: tuple[IncidentRow, ...]
    more: int


def dashboard(now: datetime, wanted: Wanted = _EVERYTHING) -> Screen:
    """All of it, or the pools that are wanted; four queries while the figures of the last minute are kept."""
    found = overview(now)
    pools = sorted(found.pools, key=lambda pool: pool.rank)
    incidents = incident_rows(_open_incidents())
    events = event_lines(Event.objects.order_by("-at", "-pk")[:EVENTS_SHOWN])
    verdict = fleet_verdict([pool.view for pool in pools], found.sight, _acknowledged(pools, incidents))
    people = _people(pools, now)
    chrome = of_fleet(found.fleet)
    shown = fleet_list(pools, wanted, _known(pools, people, now))
    head = Head(verdict, tuple(_lamp(service, verdict, wanted) for service in _LAMPS))
    held = lasting(found, pools, people)
    open_ones = OpenIncidents(incidents[:INCIDENTS_SHOWN], max(0, chrome.open_incidents - INCIDENTS_SHOWN))
    context = {
        "head": head, "headline": verdict, "lasting": held, "open": open_ones, "listing": shown, "counted": shown.counted,
        "events": events,
        "wanted": wanted, "form": _form(wanted, pools), "checked_at": found.checked_at, "chrome": chrome, "now": now,
    }  # fmt: skip  # names beside names
    page = "nodes/dashboard.html"
    fragments = by_id(
        Fragment("headline", f"{page}#headline", "head", head),
        Fragment("lasting", f"{page}#lasting", "lasting", held, has_actions=True),
        Fragment("incidents", f"{page}#incidents", "open", open_ones, has_actions=True),
        Fragment("events", f"{page}#events", "events", events),
    )
    return Screen(context, fragments | list_fragments(shown))


def _open_incidents() -> Any:
    severity = Case(When(severity=Severity.CRITICAL, then=Value(0)), default=Value(1), output_field=IntegerField())
    return Incident.objects.filter(closed_at=None).order_by(severity, "opened_at")[:INCIDENTS_READ]


def _acknowledged(pools: Sequence[PoolRow], incidents: Sequence[IncidentRow]) -> dict[int, str]:
    """Who has acknowledged the open incidents of each pool; empty as long as one of them waits for somebody."""
    found: dict[int, str] = {}
    ids = {pool.slug: pool.id for pool in pools}
    for each in incidents:
        if (pool := ids.get(each.pool_slug)) is not None:
            by = "" if each.awaits_person else each.acknowledged_by
            found[pool] = by if found.get(pool, by) else ""
    return found


def _people(pools: Sequence[PoolRow], now: datetime) -> ByPeople:
    nodes = [node.id for pool in pools for node in pool.nodes if node.taken_out or node.forced]
    return by_people(nodes, [pool.id for pool in pools if needs_a_look(pool)], now - timedelta(seconds=RECENT))


def _known(pools: Sequence[PoolRow], people: ByPeople, now: datetime) -> dict[int, Known]:
    ids = [pool.id for pool in pools]
    present, days = (pools_now(ids, now), states_24h(ids, now)) if ids else ({}, {})
    start = Range.DAY.window(now).start
    nothing = PoolPresent(None, None, None)
    return {each: Known(present.get(each, nothing), days.get(each, ()), start, people) for each in ids}


def _lamp(service: Service, verdict: FleetVerdict, wanted: Wanted) -> Lamp:
    chosen = wanted.state == service
    address = replace(wanted, state="" if chosen else service.value).address
    return Lamp(service, _SHAPES[service], getattr(verdict.counts, service.value), address, chosen)


def _form(wanted: Wanted, pools: Sequence[PoolRow]) -> WantedForm:
    """The filter with what can be chosen."""
    form = WantedForm({each: getattr(wanted, each) for each in WantedForm.base_fields})
    nodes: list[NodeRow] = [node for pool in pools for node in pool.nodes]
    form.offer(tags=sorted({tag for node in nodes for tag in node.tags}), zones=sorted({node.zone for node in nodes if node.zone}))
    return form
