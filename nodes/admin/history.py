"""Events, incidents and failovers, read only: nobody edits history."""

from __future__ import annotations

from typing import Any

from django.contrib import admin

from nodes.admin.display import badge
from nodes.admin.edits import AnyAdmin
from nodes.admin.read_only import ReadOnly
from nodes.models import Event, Failover, Incident
from nodes.screens.history_lines import initiated_by


class HistoryAdmin(ReadOnly, AnyAdmin):
    """Visible with the right to view; each row leads to the console's own page of it."""

    show_full_result_count = False
    list_per_page = 50

    @admin.display(description="initiated by", ordering="actor")
    def initiator(self, row: Any) -> str:
        return initiated_by(row.actor)


class SeverityAdmin(HistoryAdmin):
    """Rows with a severity, by shape and word."""

    @admin.display(description="severity", ordering="severity")
    def severity_badge(self, row: Any) -> Any:
        return badge(row.get_severity_display(), row.severity)


@admin.register(Event)
class EventAdmin(SeverityAdmin):
    list_display = ("at", "severity_badge", "type", "pool", "node", "message", "initiator")
    list_select_related = ("pool", "node")
    list_filter = ("severity", "type", ("pool", admin.RelatedOnlyFieldListFilter))
    search_fields = ("message", "actor")


@admin.register(Incident)
class IncidentAdmin(SeverityAdmin):
    list_display = ("pk", "pool", "node", "severity_badge", "summary", "opened_at", "closed_at", "acknowledged_by")
    list_select_related = ("pool", "node")
    list_filter = ("severity", ("closed_at", admin.EmptyFieldListFilter), ("pool", admin.RelatedOnlyFieldListFilter))
    search_fields = ("summary",)


@admin.register(Failover)
class FailoverAdmin(HistoryAdmin):
    list_display = ("at", "pool", "kind", "status", "node", "epoch", "initiator", "reason")
    list_select_related = ("pool", "node")
    list_filter = ("kind", "status", ("pool", admin.RelatedOnlyFieldListFilter))
    search_fields = ("reason", "actor")
