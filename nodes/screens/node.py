"""A node's page: its state and why, charts, checks, breaker, actions, failures and events; also after it was removed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.contrib.postgres.expressions import ArraySubquery
from django.db.models import OuterRef
from django.db.models.functions import JSONObject

from nodes.charts import checks_strip, texts
from nodes.engine import policy_words
from nodes.engine.enums import AdminState, EventType, Verdict
from nodes.engine.headline import span
from nodes.engine.types import HealthPolicy
from nodes.ledger import rows
from nodes.models import Check, CheckResult, Event, Failure, Node, NodeState
from nodes.screens.breaker_panel import breaker_panel, readable
from nodes.screens.check_words import expected_of
from nodes.screens.chrome import of_fleet
from nodes.screens.fragments import Fragment, Screen, by_id
from nodes.screens.history_lines import EventLine, event_lines, failure_lines
from nodes.screens.members import word
from nodes.screens.node_actions import node_actions
from nodes.screens.node_charts import NodeKey, node_charts, node_uptime
from nodes.screens.node_row import NodeRow
from nodes.screens.overview import Overview, overview
from nodes.screens.verdicts import VERDICT_TONES, verdict_of
from nodes.series import Range
from nodes.series.kept import Kept

CHECKS_SHOWN = 50
STRIP = 40  # of them
CHECKS_REACH = timedelta(days=2)  # so that only the latest partitions are read
EVENTS_SHOWN = 10
OPENS_SHOWN = 6
FAILURES_SHOWN = 8
PAGE = "nodes/node.html"
_BREAKER_EVENTS = (EventType.BREAKER_OPENED, EventType.BREAKER_CLOSED, EventType.BREAKER_FORCED)


@dataclass(frozen=True, slots=True)
class Status:
    """The head of the page: what the node is, and why."""

    row: NodeRow
    word: str
    flapping: str  # in words; empty when it does not flap

    @property
    def urgent(self) -> object:
        return self.row.urgent, self.flapping


@dataclass(frozen=True, slots=True)
class Schedule:
    """The last check, and when the next one is due."""

    checked_at: datetime | None
    due_at: datetime | None
    verdict: str
    message: str
    latency: float | None
    load: str  # in words, empty while none was reported


@dataclass(frozen=True, slots=True)
class CheckLine:
    at: datetime
    verdict: Verdict
    latency: float | None
    message: str

    @property
    def tone(self) -> str:
        return VERDICT_TONES[self.verdict]

    @property
    def tip(self) -> str:
        """What the strip says of it."""
        return " · ".join(filter(None, (texts.latency(self.latency) if self.latency is not None else "", self.message)))


@dataclass(frozen=True, slots=True)
class Checks:
    """The latest checks, the newest first."""

    lines: tuple[CheckLine, ...]

    @property
    def strip(self) -> str:
        """The last of them as bars to walk."""
        shown = self.lines[:STRIP][::-1]
        return checks_strip([each.verdict for each in shown], tips=[each.tip for each in shown], times=[each.at for each in shown])


def node(node_id: int, now: datetime) -> Screen | None:
    """None when there is no such node; one that was removed is shown with its history, and cannot be acted on."""
    state = _state(node_id, now)
    if state is None:
        return None
    found: Node = state.node
    fleet = overview(now, found.pool_id)
    history = _history(state)
    live = _live(state, fleet, now)
    context: dict[str, Any] = {
        "node": found, "definitions": _definitions((found.pk, fleet.fleet["config_version"] or 0), now),
        "words": words(found), "overrides": _overrides(found), "now": now,
        "checked_at": fleet.checked_at, "chrome": of_fleet(fleet.fleet), "uptime": node_uptime(found.pk, now), **history, **live,
    }  # fmt: skip  # names beside names
    return Screen(context, by_id(*_fragments({**history, **live})), frozenset({found.pool_id}))


def _state(node_id: int, now: datetime) -> NodeState | None:
    """Its row, with its latest checks as `latest`."""
    checks = CheckResult.objects.filter(node_id=OuterRef("node_id"), at__gt=now - CHECKS_REACH).order_by("-at")
    values = JSONObject(at="at", verdict="verdict", latency="latency", message="message")
    latest = ArraySubquery(checks.values_list(values)[:CHECKS_SHOWN])
    states = NodeState.objects.select_related("node__pool__failover_policy", "node__pool__breaker_policy").annotate(latest=latest)
    return states.filter(node_id=node_id).first()


def _history(state: NodeState) -> dict[str, Any]:
    events, opens = _events(state.node_id)
    return {
        "checks": Checks(tuple(_check(each) for each in getattr(state, "latest", ()))),
        "events": events,
        "opens": opens,
        "failures": failure_lines(Failure.objects.filter(node_id=state.node_id).order_by("-marked_at")[:FAILURES_SHOWN]),
    }


def _check(found: Mapping[str, Any]) -> CheckLine:
    at = datetime.fromisoformat(found["at"])
    return CheckLine(at, verdict_of(found["verdict"]), found["latency"], found["message"] or "")


def _events(node_id: int) -> tuple[tuple[EventLine, ...], tuple[EventLine, ...]]:
    """The latest events, and the latest ones of its breaker, in one query."""
    own = Event.objects.filter(node_id=node_id).order_by("-at", "-pk")
    latest, breaker = own[:EVENTS_SHOWN], own.filter(type__in=_BREAKER_EVENTS)[:OPENS_SHOWN]
    found = event_lines(Event.objects.filter(pk__in=latest.values("pk").union(breaker.values("pk"))).order_by("-at", "-pk"))
    return found[:EVENTS_SHOWN], tuple(each for each in found if each.type in _BREAKER_EVENTS)[:OPENS_SHOWN]


def _live(state: NodeState, fleet: Overview, now: datetime) -> dict[str, Any]:
    """What there is of a node that was not removed."""
    pool = next(iter(fleet.pools), None)
    row = next((each for each in pool.nodes if each.id == state.node_id), None) if pool else None
    if row is None or pool is None:
        return {}
    actions = node_actions(row, pool, state)
    return {
        "status": Status(row, word(row), readable(lambda: _flapping(state, now))),
        "actions": actions,
        "schedule": _schedule(state),
        "breaker": breaker_panel(state, row, state.node, actions, now),
    }


def _fragments(subjects: Mapping[str, Any]) -> Iterator[Fragment]:
    urgent: dict[str, Any] = {"checks": "checks"}
    if "status" in subjects:
        row = subjects["status"].row
        breaker = (row.breaker, row.mode, row.mode_until, row.trial_at, subjects["breaker"].actions)
        urgent |= {"status": subjects["status"].urgent, "breaker": breaker, "schedule": subjects["schedule"].verdict}
    for name, subject in subjects.items():
        acted_on = name in ("actions", "breaker", "failures")
        yield Fragment(name, f"{PAGE}#{name}", name, subject, urgent=urgent.get(name), has_actions=acted_on)


def _flapping(state: NodeState, now: datetime) -> str:
    found = rows.flapping(state.flapping)
    if found is None:
        return ""
    often = f"It is flapping: failed {found.failures} times in {span(found.failed_at - found.since)}"
    if found.quiet_since is None:
        return f"{often}."
    left = found.quiet_since + state.node.pool.failover_policy.flapping_within - now.timestamp()
    return f"{often}; quiet since, over in {span(left)}." if left > 0 else f"{often}; quiet since."


def _load(state: NodeState, found: Node) -> str:
    """The load reported last, in words."""
    if state.load is None:
        return ""
    last = f"{state.load['last']:g}"
    return f"{last} of {found.capacity:g}, {state.load['last'] / found.capacity:.0%}" if found.capacity else last


def _schedule(state: NodeState) -> Schedule:
    due = None if state.admin_state == AdminState.DISABLED else state.due_at
    load = readable(lambda: _load(state, state.node))
    return Schedule(state.checked_at, due, state.last_verdict, state.last_message, state.last_latency, load)


def _read_definitions(key: tuple[int, int], _now: datetime) -> tuple[tuple[Check, str], ...]:
    return tuple((each, expected_of(each)) for each in Check.objects.defer("headers", "client_key").filter(node=key[0]))


# By node and version of the configuration: read again after each edit.
_definitions: Kept[tuple[int, int], tuple[tuple[Check, str], ...]] = Kept(timedelta(seconds=60), _read_definitions)


def words(found: Node) -> tuple[policy_words.Sentence, ...]:
    """How soon this node is out, in sentences."""
    policy = found.pool.failover_policy
    return policy_words.of_node(policy.in_force(found), found.pool.breaker_policy.value())


def _overrides(found: Node) -> tuple[tuple[str, object], ...]:
    """What the node has of its own in place of its pool's policy."""
    fields = ((name, getattr(found, name)) for name in HealthPolicy.__dataclass_fields__)
    return tuple((name.replace("_", " "), value) for name, value in fields if value is not None)


def node_cards(found: Node, over: Range, now: datetime) -> dict[str, Any]:
    """What the page shows beside what is pushed: charts over a range."""
    return {"charts": node_charts(NodeKey(found.pk, found.name, over), now), "ranges": tuple(Range)}
