"""Which events a page asks for: a value that the form makes, the database answers, and a live page is known by."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, fields
from datetime import UTC, datetime, timedelta
from string import punctuation
from typing import Any
from urllib.parse import parse_qsl, urlencode

from django.contrib.postgres.search import SearchQuery
from django.db import connection
from django.db.models import DateTimeField, ExpressionWrapper, F, Q, QuerySet

from nodes.engine.enums import Severity
from nodes.models import Event, Pool
from nodes.models.history import WORDS
from nodes.screens.event_kinds import TYPES, Kind
from nodes.screens.history_lines import EventLine, event_lines

EVERYTHING = "all"  # the key of a search without a filter
PEOPLE, AUTOMATION = "people", "automation"
_ENGINE = "engine"
_LONGEST = 600  # characters of a key
TEXT = 100  # characters that are looked for
_WORDS = 8  # of them that are looked for, the longest ones
_INSTANTS = ("since", "until")
_LATEST = 20_000  # events that are read for words first
_UNINDEXED = ExpressionWrapper(F("at") + timedelta(0), DateTimeField())  # no index is in this order, so that all found are sorted

Place = tuple[datetime, int]  # instant and number of an event


@dataclass(frozen=True, slots=True)
class EventSearch:
    """Filters of events; what is empty does not filter.  `pool` is a slug, `node` an id."""

    severity: str = ""
    kind: str = ""
    type: str = ""
    pool: str = ""
    node: int | None = None
    by: str = ""  # people or automation
    since: datetime | None = None
    until: datetime | None = None
    text: str = ""

    def newest(self, most: int, *, before: Place | None = None) -> list[EventLine]:
        """The newest events of it, those before a place if there is one; one query, two with a text.

        A word that is common stands in some of the latest events, which are read until there are enough; a rare one is looked up
        in the index of words, and what it finds is sorted.  Left the choice, PostgreSQL takes many rare words for common ones.
        """
        rows, words = self._rows(before), _words(self.text)
        if not words:
            return list(event_lines(rows.order_by("-at", "-pk")[:most]))
        latest = _among_latest(rows, words, most)
        if len(latest) == most:
            return list(event_lines(Event.objects.filter(pk__in=latest).order_by("-at", "-pk")))
        query = SearchQuery(_query(words), config="simple", search_type="raw")
        found = rows.annotate(words=WORDS).filter(words=query)
        return list(event_lines(found.order_by(_UNINDEXED.desc(), "-pk")[:most]))

    def _rows(self, before: Place | None) -> QuerySet[Event]:
        """What all but the text leaves."""
        wanted = {
            "severity": self.severity, "type": self.type, "node": self.node, "at__gte": self.since, "at__lt": self.until,
            "actor": _ENGINE if self.by == AUTOMATION else "",
        }  # fmt: skip  # lookup beside value
        found = Event.objects.filter(**{lookup: value for lookup, value in wanted.items() if value})
        if before is not None:
            at, number = before
            found = found.filter(Q(at__lt=at) | Q(at=at, pk__lt=number))
        if self.pool:
            found = found.filter(pool=Pool.objects.filter(slug=self.pool).order_by().values("pk")[:1])
        if self.kind:
            found = found.filter(type__in=sorted(TYPES[Kind(self.kind)]))
        if self.severity and self.severity != Severity.INFO:
            found = found.exclude(severity=Severity.INFO)  # as its index has them
        return found.exclude(actor=_ENGINE) if self.by == PEOPLE else found

    @property
    def key(self) -> str:
        """The query of its page, by which a live one is known: only what filters, in one order."""
        given = ((field.name, getattr(self, field.name)) for field in fields(self))
        return urlencode([(name, _written(value)) for name, value in given if value]) or EVERYTHING

    @classmethod
    def of(cls, key: str) -> EventSearch | None:
        """The search of a key; None for one that no page has."""
        if len(key) > _LONGEST:
            return None
        try:
            given = parse_qsl(key, strict_parsing=True, max_num_fields=len(fields(cls))) if key != EVERYTHING else []
            found = cls(**{name: _read(name, text) for name, text in given})
        except (TypeError, ValueError):
            return None
        known = found.kind in ("", *Kind) and found.by in ("", PEOPLE, AUTOMATION) and len(found.text) <= TEXT
        return found if known and found.key == key else None


def _written(value: object) -> str:
    return value.astimezone(UTC).isoformat() if isinstance(value, datetime) else str(value)


def _read(name: str, text: str) -> Any:
    if "\0" in text:
        raise ValueError("no text of a database")
    if name == "node":
        return int(text) if len(text) < 19 else None
    return _aware(text) if name in _INSTANTS else text


def _aware(text: str) -> datetime:
    instant = datetime.fromisoformat(text)
    if instant.tzinfo is None or not 1980 <= instant.year <= 9000:
        raise ValueError("no instant of history")
    return instant.astimezone(UTC)  # PostgreSQL does not know every offset


def _words(text: str) -> list[str]:
    """What of a text can stand in an event; quotes and backslashes part words.  Of many words the longest are enough."""
    words = dict.fromkeys(word for word in re.split(r"[\s'\\]+", text) if any(letter.isalnum() for letter in word))
    return sorted(words, key=lambda word: -len(word))[:_WORDS]


def _query(words: Sequence[str]) -> str:
    """For events that have each of these words, or one that begins so, in any order."""
    return " & ".join(f"'{word}':*" for word in words)


_WILD, _LITERAL = re.compile("([%_])"), r"\\\1"  # of ILIKE
_AMONG = """
SELECT id FROM ({rows}) latest (id, at, message)
WHERE message ILIKE ALL(%s) AND to_tsvector('simple', message) @@ to_tsquery('simple', %s)
ORDER BY at DESC, id DESC LIMIT %s
"""


def _among_latest(rows: QuerySet[Event], words: Sequence[str], most: int) -> list[int]:
    """Those of the latest rows that have the words; a look at the letters spares parsing what cannot match."""
    latest = rows.order_by("-at", "-pk").values_list("pk", "at", "message")[: max(_LATEST, 2 * most)]
    query, asked = latest.query.sql_with_params()
    letters = [f"%{_WILD.sub(_LITERAL, word.strip(punctuation))}%" for word in words]
    with connection.cursor() as cursor:
        cursor.execute(_AMONG.format(rows=query), (*asked, letters, _query(words), most))
        return [row[0] for row in cursor.fetchall()]
