"""Filters of the pages of events and incidents, and the cursor by which they are paged."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.db.models import Q, QuerySet
from django.utils.dateparse import parse_datetime

from nodes.models import Event, EventType, Incident, Node, Pool, Severity

_EARLIEST, _LATEST = datetime(1980, 1, 1, tzinfo=UTC), datetime(9000, 1, 1, tzinfo=UTC)
_INPUT = forms.DateTimeInput(attrs={"type": "datetime-local"}, format="%Y-%m-%dT%H:%M")


def _in_history(instant: datetime) -> bool:
    """Whether an instant can be looked for: near the ends of time, no offset can be taken off any more."""
    return _EARLIEST.replace(tzinfo=instant.tzinfo) <= instant <= _LATEST.replace(tzinfo=instant.tzinfo)


class InstantField(forms.DateTimeField):
    """An instant that history can hold."""

    def to_python(self, value: Any) -> datetime | None:
        try:
            instant: datetime | None = super().to_python(value)
        except OverflowError:
            instant = None
            outside = True
        else:
            outside = instant is not None and not _in_history(instant)
        if outside:
            raise ValidationError(f"Nothing is as old, or as far ahead: the years are {_EARLIEST.year} to {_LATEST.year}.")
        return instant


def _pools(asked: Any) -> QuerySet[Pool]:
    """Those that may be chosen: all that are there, and a removed one whose history is asked for by its address."""
    return Pool.objects.filter(Q(removed_at=None) | Q(slug=asked.get("pool", ""))).order_by("name")


def _pool_field() -> Any:
    """A pool by its slug; which ones may be chosen depends on what is asked."""
    return forms.ModelChoiceField(Pool.objects.none(), required=False, to_field_name="slug", empty_label="any")


class EventFilter(forms.Form):
    """Filters of the events page; all optional, all in the address."""

    severity = forms.ChoiceField(required=False, choices=[("", "any"), *Severity.choices])
    type = forms.ChoiceField(required=False, choices=[("", "any"), *sorted(EventType.choices)])
    pool = _pool_field()
    node = forms.ModelChoiceField(Node.objects.all(), required=False, widget=forms.HiddenInput)
    since = InstantField(required=False, widget=_INPUT, label="From (UTC)")
    until = InstantField(required=False, widget=_INPUT, label="Until (UTC)")
    text = forms.CharField(required=False, max_length=100, widget=forms.TextInput(attrs={"type": "search"}), label="Text")

    def __init__(self, asked: Any) -> None:
        super().__init__(asked, label_suffix="")
        self.fields["pool"].queryset = _pools(asked)  # type: ignore[attr-defined]  # the stubs know only Field

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or self.cleaned_data
        since, until = cleaned.get("since"), cleaned.get("until")
        if since and until and until <= since:
            self.add_error("until", "The end of the range is before its start.")
        return cleaned

    def apply(self, events: QuerySet[Event]) -> QuerySet[Event]:
        """The events that a valid form asks for."""
        asked = self.cleaned_data
        wanted = {
            "severity": asked["severity"], "type": asked["type"], "pool": asked["pool"], "node": asked["node"],
            "at__gte": asked["since"], "at__lt": asked["until"], "message__icontains": asked["text"],
        }  # fmt: skip  # lookup beside field
        return events.filter(**{lookup: value for lookup, value in wanted.items() if value})


class IncidentFilter(forms.Form):
    """Filters of the incidents page."""

    standing = forms.ChoiceField(label="State", required=False, choices=[("", "any"), ("open", "open"), ("closed", "closed")])
    severity = forms.ChoiceField(required=False, choices=[("", "any"), *(pair for pair in Severity.choices if pair[0] != "info")])
    pool = _pool_field()

    def __init__(self, asked: Any) -> None:
        super().__init__(asked, label_suffix="")
        self.fields["pool"].queryset = _pools(asked)  # type: ignore[attr-defined]  # the stubs know only Field

    def apply(self, incidents: QuerySet[Incident]) -> QuerySet[Incident]:
        """The incidents that a valid form asks for."""
        asked = self.cleaned_data
        if asked["standing"]:
            incidents = incidents.filter(closed_at__isnull=asked["standing"] == "open")
        wanted = {"severity": asked["severity"], "pool": asked["pool"]}
        return incidents.filter(**{lookup: value for lookup, value in wanted.items() if value})


class Cursor(forms.Form):
    """Where the page before this one ended: the instant and number of its last row."""

    before_at = forms.CharField(required=False, max_length=40)  # ISO 8601
    before = forms.IntegerField(required=False, min_value=1)

    def clean_before_at(self) -> datetime | None:
        try:
            return parse_datetime(self.cleaned_data["before_at"])
        except ValueError:
            return None

    def position(self) -> tuple[datetime, int] | None:
        """None for the first page, and for a cursor that is none."""
        if not self.is_valid():
            return None
        at, number = self.cleaned_data["before_at"], self.cleaned_data["before"]
        return (at, number) if at is not None and at.tzinfo is not None and number and _in_history(at) else None
