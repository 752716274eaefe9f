"""Filters of the pages of events and incidents, and the cursor by which they are paged."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.db.models import Q
from django.utils.dateparse import parse_datetime

from nodes.models import EventType, Node, Pool, Severity
from nodes.screens import event_search, incident_list
from nodes.screens.event_kinds import Kind
from nodes.screens.event_search import AUTOMATION, PEOPLE, EventSearch
from nodes.screens.incident_list import NO, YES, IncidentSearch

_EARLIEST, _LATEST = datetime(1980, 1, 1, tzinfo=UTC), datetime(9000, 1, 1, tzinfo=UTC)
_INPUT = forms.DateTimeInput(attrs={"type": "datetime-local"}, format="%Y-%m-%dT%H:%M")


def _in_history(instant: datetime) -> bool:
    """Whether an instant can be looked for: near the ends of time, no offset can be taken off any more."""
    return _EARLIEST.replace(tzinfo=instant.tzinfo) <= instant <= _LATEST.replace(tzinfo=instant.tzinfo)


class InstantField(forms.DateTimeField):
    """An instant that history can hold, in UTC."""

    def prepare_value(self, value: Any) -> Any:
        """As its input takes it, also what an address says with an offset."""
        try:
            return self.to_python(value) or value
        except ValidationError:
            return value

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
        return instant and instant.astimezone(UTC)  # PostgreSQL does not know every offset


def _pools(asked: Any) -> list[tuple[str, str]]:
    """Slugs that may be chosen: of all that are there, and of a removed one whose history is asked for by its address."""
    there = Pool.objects.filter(Q(removed_at=None) | Q(slug=asked.get("pool", ""))).order_by("name")
    return [("", "any"), *there.values_list("slug", "name")]


class EventFilter(forms.Form):
    """Filters of the events page; all optional, all in the address."""

    text = forms.CharField(
        required=False,
        max_length=event_search.TEXT,
        widget=forms.TextInput(attrs={"type": "search", "placeholder": "Words of an event", "data-search": ""}),
    )
    severity = forms.ChoiceField(required=False, choices=[("", "any"), *Severity.choices])
    kind = forms.ChoiceField(required=False, choices=[("", "any"), *((each.value, each.value) for each in Kind)])
    type = forms.ChoiceField(required=False, choices=[("", "any"), *sorted(EventType.choices)])
    pool = forms.ChoiceField(required=False)
    by = forms.ChoiceField(required=False, choices=[("", "any"), (PEOPLE, "people"), (AUTOMATION, "automation")])
    node = forms.ModelChoiceField(Node.objects.all(), required=False, widget=forms.HiddenInput)
    since = InstantField(required=False, widget=_INPUT, label="From (UTC)")
    until = InstantField(required=False, widget=_INPUT, label="Until (UTC)")

    def __init__(self, asked: Any) -> None:
        super().__init__(asked, label_suffix="")
        self.fields["pool"].choices = _pools(asked)  # type: ignore[attr-defined]  # the stubs know only Field

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or self.cleaned_data
        since, until = cleaned.get("since"), cleaned.get("until")
        if since and until and until <= since:
            self.add_error("until", "The end of the range is before its start.")
        return cleaned

    def search(self) -> EventSearch:
        """What a valid form asks for."""
        node = self.cleaned_data["node"]
        return EventSearch(**(self.cleaned_data | {"node": node.pk if node else None}))


class IncidentFilter(forms.Form):
    """Filters of the incidents page."""

    text = forms.CharField(
        required=False,
        max_length=incident_list.TEXT,
        widget=forms.TextInput(attrs={"type": "search", "placeholder": "Title, note, person", "data-search": ""}),
    )
    standing = forms.ChoiceField(label="State", required=False, choices=[("", "any"), ("open", "open"), ("closed", "closed")])
    severity = forms.ChoiceField(required=False, choices=[("", "any"), *(pair for pair in Severity.choices if pair[0] != "info")])
    pool = forms.ChoiceField(required=False)
    hit = forms.ChoiceField(label="Users hit", required=False, choices=[("", "any"), (YES, "yes"), (NO, "no")])
    person = forms.CharField(
        label="Acknowledged by", required=False, max_length=150, widget=forms.TextInput(attrs={"placeholder": "anybody", "size": 8})
    )

    def __init__(self, asked: Any) -> None:
        super().__init__(asked, label_suffix="")
        self.fields["pool"].choices = _pools(asked)  # type: ignore[attr-defined]  # the stubs know only Field

    def search(self) -> IncidentSearch:
        """What a valid form asks for."""
        return IncidentSearch(**self.cleaned_data)


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
        return (at.astimezone(UTC), number) if at is not None and at.tzinfo is not None and number and _in_history(at) else None
