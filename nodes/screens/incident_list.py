"""The list of incidents: the open ones first, then the closed ones, each with whether users were hit."""

from __future__ import annotations

from dataclasses import dataclass, fields
from datetime import datetime
from urllib.parse import parse_qsl, urlencode

from django.contrib.postgres.expressions import ArraySubquery
from django.db.models import Exists, F, OuterRef, Q, QuerySet
from django.db.models.functions import JSONObject

from nodes.engine.enums import Severity
from nodes.models import Failure, Incident, Pool
from nodes.screens.fragments import Fragment, Screen, by_id
from nodes.screens.impact import Hit, Impact, impact
from nodes.screens.incident import seconds_words

SHOWN = 30  # closed incidents
OPEN = 100
EVERYTHING = "all"
OPEN_ONLY, CLOSED_ONLY = "open", "closed"
YES, NO = "yes", "no"
_HITS = 50  # failures of one incident
_LONGEST = 400  # characters of a key
TEXT = 80  # characters that are looked for


@dataclass(frozen=True, slots=True)
class IncidentSearch:
    """Filters of incidents; what is empty does not filter.  `pool` is a slug."""

    standing: str = ""
    severity: str = ""
    pool: str = ""
    hit: str = ""  # yes or no: whether users were hit
    person: str = ""  # who acknowledged it; no: nobody did
    text: str = ""

    def rows(self) -> QuerySet[Incident]:
        """The incidents, the newest first."""
        found = Incident.objects.select_related("pool", "node")
        if self.standing:
            found = found.filter(closed_at__isnull=self.standing == OPEN_ONLY)
        if self.pool:
            found = found.filter(pool=Pool.objects.filter(slug=self.pool).values("pk")[:1])
        if self.hit:
            hit = Exists(Failure.objects.filter(incident=OuterRef("pk"), had_share=True))
            found = found.filter(hit if self.hit == YES else ~hit)
        if self.person:
            found = found.filter(acknowledged_at__isnull=True) if self.person == NO else found.filter(acknowledged_by=self.person)
        if self.text:
            words = (
                Q(summary__icontains=self.text) | Q(acknowledgement__icontains=self.text) | Q(acknowledged_by__icontains=self.text)
            )
            found = found.filter(words)
        return (found.filter(severity=self.severity) if self.severity else found).order_by("-opened_at", "-pk")

    @property
    def key(self) -> str:
        """The query of its page, by which a live one is known."""
        return urlencode([(field.name, value) for field in fields(self) if (value := getattr(self, field.name))]) or EVERYTHING

    @classmethod
    def of(cls, key: str) -> IncidentSearch | None:
        """The search of a key; None for one that no page has."""
        if len(key) > _LONGEST or "%00" in key:
            return None
        try:
            found = cls(**dict(parse_qsl(key, strict_parsing=True, max_num_fields=6) if key != EVERYTHING else []))
        except (TypeError, ValueError):
            return None
        known = found.standing in ("", OPEN_ONLY, CLOSED_ONLY) and found.hit in ("", YES, NO) and len(found.text) <= TEXT
        return found if known and found.key == key else None


@dataclass(frozen=True, slots=True)
class Listed:
    """An incident in the list."""

    id: int
    pool: str
    pool_slug: str
    severity: str
    summary: str
    opened_at: datetime
    closed_at: datetime | None
    acknowledged_by: str
    acknowledgement: str
    impact: Impact
    hit_words: str

    @property
    def state(self) -> str:
        """Closed is calm; red only while users are hit."""
        return "closed" if self.closed_at else "users are hit" if self.impact.now else "served"

    @property
    def hue(self) -> str:
        return {"closed": "off", "users are hit": "bad"}.get(self.state, "warn")

    @property
    def icon(self) -> str:
        return {"closed": "check", "users are hit": "down"}.get(self.state, "degraded")

    @property
    def lasted(self) -> float | None:
        return (self.closed_at - self.opened_at).total_seconds() if self.closed_at else None


@dataclass(frozen=True, slots=True)
class IncidentList:
    """The open ones, the closed ones, and the query of the next older page; empty when there is none."""

    open: tuple[Listed, ...]
    closed: tuple[Listed, ...]
    older: str


def incidents(key: str, now: datetime) -> Screen | None:
    """The newest incidents of a search by its key; None when that is no key."""
    search = IncidentSearch.of(key)
    return None if search is None else incident_screen(search, now)


def incident_screen(search: IncidentSearch, now: datetime, *, before: tuple[datetime, int] | None = None) -> Screen:
    """The incidents of a search: the open ones, and the closed ones before an instant and number if there is one; two queries."""
    found = search.rows()
    still_open = [] if before else _listed(found.filter(closed_at=None)[:OPEN], now)
    over = found.filter(closed_at__isnull=False)
    if before is not None:
        over = over.filter(Q(opened_at__lt=before[0]) | Q(opened_at=before[0], pk__lt=before[1]))
    closed = _listed(over[: SHOWN + 1], now)
    older = _older(search, closed[SHOWN - 1]) if len(closed) > SHOWN else ""
    listed = IncidentList(tuple(sorted(still_open, key=_urgency)), tuple(closed[:SHOWN]), older)
    context = {"listed": listed, "key": search.key, "now": now}
    return Screen(context, by_id(Fragment("incidents", "nodes/incidents.html#incidents", "listed", listed, has_actions=True)))


def _urgency(each: Listed) -> tuple[bool, bool, bool]:
    """Users are hit, critical, nobody acknowledged it: in that order; else the newest first."""
    return not each.impact.now, each.severity != Severity.CRITICAL, bool(each.acknowledged_by)


def _older(search: IncidentSearch, last: Listed) -> str:
    place = urlencode({"before_at": last.opened_at.isoformat(), "before": last.id})
    return place if search.key == EVERYTHING else f"{search.key}&{place}"


def _listed(rows: QuerySet[Incident], now: datetime) -> list[Listed]:
    failures = Failure.objects.filter(incident=OuterRef("pk"), had_share=True).order_by("-first_bad_at")
    spans = JSONObject(start=F("first_bad_at"), moved=F("moved_at"), back=F("recovered_at"))
    return [_one(each, now) for each in rows.annotate(hits=ArraySubquery(failures.values_list(spans)[:_HITS]))]


def _one(row: Incident, now: datetime) -> Listed:
    hits = [Hit(datetime.fromisoformat(each["start"]), _end(each, row.closed_at), 0) for each in getattr(row, "hits")]  # noqa: B009 - annotated
    found = impact(hits, now)
    return Listed(
        row.pk, row.pool.name, row.pool.slug, row.severity, row.summary, row.opened_at, row.closed_at, row.acknowledged_by,
        row.acknowledgement, found, seconds_words(found.seconds),
    )  # fmt: skip  # what belongs together stays on a line


def _end(each: dict[str, str | None], closed_at: datetime | None) -> datetime | None:
    text = each["moved"] or each["back"]
    return datetime.fromisoformat(text) if text else closed_at
