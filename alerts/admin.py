"""Admin of the alerts: destinations and rules are edited here, notifications only read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.forms import ModelForm
from django.http import HttpRequest

from alerts.forms import DestinationForm, RuleForm
from alerts.models import Attempt, Destination, Notification, Rule
from alerts.services import destinations
from nodes import operations
from nodes.admin.edits import AnyAdmin, RecordsEdits
from nodes.admin.read_only import ReadOnly
from nodes.ledger.clock import database_now

if TYPE_CHECKING:  # the stubs know the model of an admin, Django's classes take no parameter
    AnyInline = admin.TabularInline[Any, Any]
else:
    AnyInline = admin.TabularInline


@admin.action(description="Remove: send nothing more, forget the secrets, keep the history", permissions=["change"])
def remove(modeladmin: Any, request: HttpRequest, queryset: QuerySet[Destination]) -> None:
    actor, now = request.user.get_username(), database_now()
    removed = 0
    for destination in queryset:
        if destinations.remove(destination.pk, now):
            operations.configuration_saved(destination, actor=actor, before={"removed": "no"}, after={"removed": "yes"})
            removed += 1
    messages.success(request, f"Destinations removed: {removed}.")


@admin.register(Destination)
class DestinationAdmin(RecordsEdits):
    form = DestinationForm
    secret_fields = {"new_address": "Address", "new_key": "Key"}
    fields = (
        "name",
        "kind",
        "enabled",
        "new_address",
        "new_key",
        "base_url",
        "disabled_reason",
        "last_success_at",
        "last_failure_at",
        "last_failure",
    )
    readonly_fields = ("disabled_reason", "last_success_at", "last_failure_at", "last_failure")
    list_display = ("name", "kind", "enabled", "disabled_reason", "last_success_at", "last_failure_at", "last_failure")
    list_filter = ("kind", "enabled")
    search_fields = ("name",)
    actions = (remove,)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Destination]:
        present: QuerySet[Destination] = super().get_queryset(request).filter(removed_at=None)
        return present

    def get_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        """What became of its messages is shown once the destination exists."""
        return self.fields if obj else [name for name in self.fields if name not in self.readonly_fields]

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def save_model(self, request: HttpRequest, obj: Any, form: ModelForm[Any], change: bool) -> None:
        assert isinstance(form, DestinationForm)  # it is the form of this admin
        if change:
            columns = [name for name in form.changed_data if name in ("name", "enabled", "base_url")]
            obj.save(update_fields=[*columns, *form.changed_secrets])
            if "enabled" in form.changed_data and obj.enabled:
                destinations.on_enabled(obj.pk, database_now())
            elif form.changed_secrets or "base_url" in form.changed_data:
                destinations.on_endpoint_changed(obj.pk)
        else:
            obj.save()
        if form.made_secret:
            messages.warning(request, f"The signing secret is shown only now: {form.made_secret}")


@admin.register(Rule)
class RuleAdmin(RecordsEdits):
    form = RuleForm
    list_display = ("name", "enabled", "order", "severity_names", "pool", "tag", "destination_kind")
    list_select_related = ("pool",)
    search_fields = ("name",)
    filter_horizontal = ("destinations",)

    @admin.display(description="severities")
    def severity_names(self, rule: Rule) -> str:
        return ", ".join(rule.severities)


class _AttemptInline(AnyInline):
    model = Attempt
    fields = readonly_fields = ("at", "outcome", "status_code", "message", "ambiguous", "duration")
    extra = 0
    can_delete = False

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


@admin.register(Notification)
class NotificationAdmin(ReadOnly, AnyAdmin):
    list_display = ("created_at", "destination", "action", "severity", "status", "attempts", "repeats", "outcome")
    list_filter = ("status", "action", "severity", "destination__kind")
    search_fields = ("dedup_key", "outcome")
    inlines = (_AttemptInline,)
    show_full_result_count = False

    def get_queryset(self, request: HttpRequest) -> QuerySet[Notification]:
        wanted = super().get_queryset(request).select_related("destination")
        return wanted.defer("destination__address", "destination__key")
