"""Filters of the pages of events and incidents, and the cursor by which they are paged."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django import forms
from django.db.models import QuerySet
from django.utils.dateparse import parse_datetime

from nodes.models import Event, EventType, Incident, Node, Pool, Severity

_INPUT = forms.DateTimeInput(attrs={"type": "datetime-local"}, format="%Y-%m-%dT%H:%M")


class EventFilter(forms.Form):
    """Filters of the events page; all optional, all in the address."""

    severity = forms.ChoiceField(required=False, choices=[("", "any"), *Severity.choices])
    type = forms.ChoiceField(required=False, choices=[("", "any"), *sorted(EventType.choices)])
    pool = forms.ModelChoiceField(Pool.objects.order_by("name"), required=False, to_field_name="slug", empty_label="any")
    node = forms.ModelChoiceField(Node.objects.all(), required=False, widget=forms.HiddenInput)
    since = forms.DateTimeField(required=False, widget=_INPUT, label="From (UTC)")
    until = forms.DateTimeField(required=False, widget=_INPUT, label="Until (UTC)")
    text = forms.CharField(required=False, max_length=100, widget=forms.TextInput(attrs={"type": "search"}), label="Text")

    def __init__(self, asked: Any) -> None:
        super().__init__(asked, label_suffix="")

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
    pool = forms.ModelChoiceField(Pool.objects.order_by("name"), required=False, to_field_name="slug", empty_label="any")

    def __init__(self, asked: Any) -> None:
        super().__init__(asked, label_suffix="")

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
        return (at, number) if at is not None and at.tzinfo is not None and number else None
