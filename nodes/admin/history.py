"""What happened, read only: nobody edits history."""

from __future__ import annotations

from typing import Any

from django.contrib import admin

from nodes.admin.edits import AnyAdmin
from nodes.admin.reading import ReadOnly
from nodes.admin.shown import badge
from nodes.models import Event, Failover, Incident


class Record(ReadOnly, AnyAdmin):
    """Seen by whoever may view; the console's own page of the row is behind “View on site”."""

    show_full_result_count = False
    list_per_page = 50


class Graded(Record):
    """Rows with a severity, in its colour."""

    class Media:
        css = {"all": ("nodes/admin.css",)}

    @admin.display(description="severity", ordering="severity")
    def how_bad(self, row: Any) -> Any:
        return badge(row.severity, row.get_severity_display())


@admin.register(Event)
class EventAdmin(Graded):
    list_display = ("at", "how_bad", "type", "pool", "node", "message", "actor")
    list_select_related = ("pool", "node")
    list_filter = ("severity", "type", ("pool", admin.RelatedOnlyFieldListFilter))
    search_fields = ("message", "actor")


@admin.register(Incident)
class IncidentAdmin(Graded):
    list_display = ("pk", "pool", "how_bad", "summary", "opened_at", "closed_at", "acknowledged_by")
    list_select_related = ("pool",)
    list_filter = ("severity", ("closed_at", admin.EmptyFieldListFilter), ("pool", admin.RelatedOnlyFieldListFilter))
    search_fields = ("summary",)


@admin.register(Failover)
class FailoverAdmin(Record):
    list_display = ("at", "pool", "kind", "status", "node", "epoch", "actor", "reason")
    list_select_related = ("pool", "node")
    list_filter = ("kind", "status", ("pool", admin.RelatedOnlyFieldListFilter))
    search_fields = ("reason", "actor")
