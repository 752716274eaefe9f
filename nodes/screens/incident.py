"""An incident's page: whether users were hit, the stops to recovery, where the traffic went, what was decided and why."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from nodes.charts import Chart
from nodes.engine.enums import ChangeKind, EventType, Health
from nodes.engine.headline import span
from nodes.models import Failover
from nodes.notices import Notice, notices
from nodes.screens.decisions import DecisionRecord, decision_records
from nodes.screens.fragments import Fragment, Screen, by_id
from nodes.screens.history_lines import EventLine, IncidentRow
from nodes.screens.impact import Hit, Impact, impact
from nodes.screens.incident_band import band
from nodes.screens.incident_lines import Group, groups
from nodes.screens.incident_stops import Stop, stops
from nodes.screens.incident_story import NodeFailure, Story, Turn, story
from nodes.screens.similar import Similar, similar

DECISIONS_SHOWN = 3  # newest, and the first that moved or should have
_NO_BREAK = "\u00a0"


@dataclass(frozen=True, slots=True)
class Head:
    """The headline: what, the truth for users, where the traffic is."""

    row: IncidentRow
    state: str
    hue: str
    icon: str
    truth: str
    traffic: str
    out: tuple[tuple[int, str], ...]  # nodes that are out


@dataclass(frozen=True, slots=True)
class Acknowledgement:
    row: IncidentRow
    seconds: float | None  # after the first bad check
    notes: tuple[EventLine, ...]


@dataclass(frozen=True, slots=True)
class Harm:
    """The impact's figures."""

    impact: Impact
    words: str  # how long
    checks: int
    checks_failed: int


@dataclass(frozen=True, slots=True)
class Decisions:
    """Those shown, the newest first, and how many there are."""

    incident: int
    shown: tuple[DecisionRecord, ...]
    total: int


@dataclass(frozen=True, slots=True)
class Everything:
    """The folded lines, and how many events are stored."""

    incident: int
    groups: tuple[Group, ...]
    total: int
    read: int


@dataclass(frozen=True, slots=True)
class IncidentView:
    """One incident, made ready for its page, its post-mortem and its file."""

    story: Story
    head: Head
    stops: tuple[Stop, ...]
    decisions: Decisions
    acknowledgement: Acknowledgement
    harm: Harm
    everything: Everything
    notices: tuple[Notice, ...]
    similar: tuple[Similar, ...]
    band: Chart | None


def incident_view(incident_id: int, now: datetime) -> IncidentView | None:
    """None when there is no such incident; three queries."""
    found = story(incident_id, now)
    if found is None:
        return None
    sent = notices(incident_id)
    chosen = _chosen(found.turns)
    records = decision_records(Failover.objects.filter(pk__in=chosen).order_by("-at", "-pk")) if chosen else ()
    harm = _harm(found, now)
    row, events = found.row, found.events
    acknowledged = (row.acknowledged_at - row.opened_at).total_seconds() if row.acknowledged_at else None
    noted = tuple(event for event in events if event.type == EventType.NOTE_ADDED)
    return IncidentView(
        story=found,
        head=_head(found, records, harm),
        stops=stops(found, reversed(records), sent),
        decisions=Decisions(incident_id, records, found.turns_total),
        acknowledgement=Acknowledgement(row, acknowledged, noted),
        harm=harm,
        everything=Everything(incident_id, groups(found, sent), found.events_total, len(events)),
        notices=sent,
        similar=similar(found),
        band=band(found, records),
    )


def incident(incident_id: int, now: datetime) -> Screen | None:
    """None when there is no such incident."""
    shown = incident_view(incident_id, now)
    if shown is None:
        return None
    page = "nodes/incident.html"
    fragments = by_id(
        Fragment("status", f"{page}#status", "head", shown.head, has_actions=True),
        Fragment("acknowledgement", f"{page}#acknowledgement", "acknowledgement", shown.acknowledgement, has_actions=True),
        Fragment("impact", f"{page}#impact", "harm", shown.harm),
        Fragment("stops", f"{page}#stops", "stops", shown.stops),
        Fragment("band", f"{page}#band", "chart", shown.band),
        Fragment("decisions", f"{page}#decisions", "decisions", shown.decisions),
        Fragment("events", f"{page}#events", "everything", shown.everything),
    )
    context = {each.name: each.subject for each in fragments.values()}
    more = {"incident": shown.story.row, "similar": shown.similar, "runbook": shown.story.runbook, "now": now}
    return Screen({**context, **more}, fragments, frozenset({shown.story.pool}))


def _chosen(turns: Sequence[Turn]) -> list[int]:
    """The first failover, and the newest decisions."""
    first = next((turn.id for turn in turns if turn.kind == ChangeKind.FAILOVER), None)
    newest = [turn.id for turn in turns[-DECISIONS_SHOWN:]]
    return newest if first is None or first in newest else [first, *newest]


def hits(found: Story) -> list[Hit]:
    """The failures of nodes that held a share, each until it had moved, it recovered, or the incident was over."""
    shares = []
    for failure in found.failures:
        if failure.had_share:
            held = (
                t for t in found.turns if t.node == failure.node and t.at >= failure.marked_at and t.kind == ChangeKind.FAILOVER
            )
            turn = next(held, None)
            end = failure.moved_at or failure.recovered_at or found.row.closed_at
            shares.append(Hit(failure.first_bad_at, end, turn.share if turn else 0))
    return shares


def _harm(found: Story, now: datetime) -> Harm:
    whole = impact(hits(found), now)
    return Harm(whole, seconds_words(whole.seconds), found.checks, found.checks_failed)


def seconds_words(seconds: float) -> str:
    """3.2 s, else as the titles of incidents have it."""
    return f"{seconds:.1f}{_NO_BREAK}s" if seconds < 10 else span(seconds).replace(" ", _NO_BREAK)


def _head(found: Story, records: Sequence[DecisionRecord], harm: Harm) -> Head:
    row = found.row
    out = {each.node: each for each in found.failures if each.recovered_at is None}
    if row.closed_at is not None:
        state, hue, icon = "closed", "ok", "check"
    elif harm.impact.now:
        state, hue, icon = "open, users are hit", "bad", "down"
    else:
        state, hue, icon = "open, served", "warn", "degraded"
    names = tuple((node, failure.name) for node, failure in out.items())
    return Head(row, state, hue, icon, _truth(harm), _traffic(found, records, tuple(out.values())), names)


def _truth(harm: Harm) -> str:
    if harm.impact.now:
        return f"Users are hit since {harm.words}."
    return f"Users were hit for {harm.words}." if harm.impact.any else "No user was hit: no failing node held a share."


def _traffic(found: Story, records: Sequence[DecisionRecord], out: Sequence[NodeFailure]) -> str:
    moved = next((each for each in records if each.kind == ChangeKind.FAILOVER and each.epoch), None)
    sentences = []
    if moved is not None:
        lost = sum(max(0, -line.gained) for line in moved.considered) / 100
        receivers = [line.name for line in moved.considered if line.gained > 0]
        sentences.append(f"{lost:g}{_NO_BREAK}% of {found.row.pool} went to {_listed(receivers) or 'nobody'}.")
    sentences += [f"{each.name} {_NOW.get(each.health, 'is out')}." for each in out[:3]]
    return " ".join(sentences)


_NOW = {Health.RECOVERING.value: "is being tried", Health.HEALTHY.value: "passes its checks and waits for its share"}


def _listed(names: Sequence[str], most: int = 4) -> str:
    if len(names) > most:
        return f"{', '.join(names[:most])} and {len(names) - most} more"
    return " and ".join(filter(None, (", ".join(names[:-1]), names[-1] if names else "")))
