"""A pool's page: who serves how much and since when, what would happen, what keeps automation from acting, what was decided."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from nodes.engine import policy_words
from nodes.engine.enums import Strategy
from nodes.engine.types import PoolPolicy
from nodes.models import Event, Failover, Incident, Pool
from nodes.screens import members as nodes_of
from nodes.screens.chrome import of_fleet
from nodes.screens.decisions import decision_records
from nodes.screens.fragments import Fragment, Screen, by_id
from nodes.screens.history_lines import event_lines, incident_rows
from nodes.screens.outlook import Outlook, pool_outlook
from nodes.screens.overview import Overview, PoolRow, overview
from nodes.screens.pool_charts import PoolKey, pool_charts
from nodes.screens.pool_head import facts, figures
from nodes.screens.what_if import what_if
from nodes.series import Range
from nodes.series.kept import Kept
from nodes.series.node_present import nodes_p95

EVENTS_SHOWN = 10
FAILOVERS_SHOWN = 8
INCIDENTS_SHOWN = 4
PAGE = "nodes/pool.html"


@dataclass(frozen=True, slots=True)
class PoolActions:
    """What an operator can do with the pool now."""

    slug: str
    paused: bool
    tiered: bool


def pool(slug: str, now: datetime) -> Screen | None:
    """None when there is no such pool, or it was removed."""
    fleet = overview(now, slug=slug)
    return _screen(_with_policies(fleet.pools[0], now), fleet, now) if fleet.pools else None


def _read_with_policies(key: tuple[int, int], _now: datetime) -> Pool:
    return Pool.objects.select_related("failover_policy", "breaker_policy").get(pk=key[0])


_kept: Kept[tuple[int, int], Pool] = Kept(timedelta(seconds=60), _read_with_policies)


def _with_policies(row: PoolRow, now: datetime) -> Pool:
    """The pool as it is configured, read again after each edit."""
    return _kept((row.id, row.versions[2]), now)


def _screen(found: Pool, fleet: Overview, now: datetime) -> Screen:
    row = fleet.pools[0]
    decisions = decision_records(Failover.objects.filter(pool=found).order_by("-at", "-pk")[:FAILOVERS_SHOWN])
    outlook = pool_outlook(found.pk, row.versions, now)
    subjects: dict[str, Any] = {
        "facts": facts(row, fleet.blocks),
        "actions": PoolActions(found.slug, row.paused, row.strategy == Strategy.ACTIVE_PASSIVE),
        "figures": figures(row, outlook, decisions, now),
        "decisions": decisions,
        "incidents": incident_rows(Incident.objects.filter(pool=found).order_by("-opened_at")[:INCIDENTS_SHOWN]),
        "events": event_lines(Event.objects.filter(pool=found).order_by("-at", "-pk")[:EVENTS_SHOWN]),
    }
    members = nodes_of.members(row, decisions, nodes_p95(found.pk, now), now)
    context = {
        **subjects, "pool": found, "row": row, "members": members, "outlook": outlook, "now": now,
        "checked_at": fleet.checked_at, "chrome": of_fleet(fleet.fleet), "words": words(found),
    }  # fmt: skip  # names beside names
    return Screen(context, by_id(*_fragments(subjects), *nodes_of.fragments(members)), frozenset({found.pk}))


def _fragments(subjects: Mapping[str, Any]) -> list[Fragment]:
    acted_on = ("actions", "incidents")
    ids = {"facts": "pool-facts", "figures": "pool-figures"}
    return [
        Fragment(
            ids.get(name, name),
            f"{PAGE}#{name}",
            name,
            subject,
            has_actions=name in acted_on,
            urgent=name if name == "figures" else None,
        )
        for name, subject in subjects.items()
    ]


def pool_cards(slug: str, span: Range, lost: Collection[int], now: datetime) -> dict[str, Any] | None:
    """What the page shows beside what is pushed: charts over a range, and what if; None as in `pool`."""
    row = next(iter(overview(now, slug=slug).pools), None)
    if row is None:
        return None
    found = _with_policies(row, now)
    return cards(found, row, pool_outlook(found.pk, row.versions, now), span, lost, now)


def cards(found: Pool, row: PoolRow, outlook: Outlook, span: Range, lost: Collection[int], now: datetime) -> dict[str, Any]:
    """The same of a pool that was read."""
    key = PoolKey(found.pk, found.name, tuple(node.id for node in row.nodes), row.epoch, span)
    shown = {"charts": pool_charts(key, now), "what_if": what_if(row, outlook, lost, now), "ranges": tuple(Range)}
    return {**shown, "pool": found, "now": now}


def words(found: Pool) -> tuple[policy_words.Sentence, ...]:
    """The pool's policies as sentences; of a strategy that this version does not know nothing can be said."""
    if found.strategy not in set(Strategy):
        return ()
    policy = found.failover_policy
    fields = {name: getattr(policy, name) for name in PoolPolicy.__dataclass_fields__}
    return policy_words.sentences(policy.in_force(), found.breaker_policy.value(), PoolPolicy(**fields), Strategy(found.strategy))
