"""Admin of the alerts: destinations and rules are edited here, notifications only read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.contrib import admin, messages
from django.contrib.admin.utils import unquote
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.forms import ModelForm
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse

from alerts.forms import DestinationForm, RuleForm
from alerts.models import Alert, Attempt, Destination, Notification, Rule, masked_secret
from alerts.services import destinations
from alerts.services.destinations import OnlyOneError
from nodes.admin.beside import Beside
from nodes.admin.display import badge, show_once
from nodes.admin.edits import AnyAdmin, RecordsEdits
from nodes.admin.read_only import ReadOnly
from nodes.admin.removed import HidesRemoved, RemovedFilter
from nodes.ledger.clock import database_now

if TYPE_CHECKING:  # the stubs know the model of an admin, Django's classes take no parameter
    AnyInline = admin.TabularInline[Any, Any]
else:
    AnyInline = admin.TabularInline


@admin.register(Destination)
class DestinationAdmin(HidesRemoved, RecordsEdits):
    form = DestinationForm
    secret_fields = {"new_address": "Address", "new_key": "Key"}
    what_for = "Where alerts go. Send a test after each change: a message that nobody gets helps nobody."
    fields = ("name", "kind", "enabled", "new_address", "new_key", "base_url")
    fields_to_read = ("name", "kind", "enabled", "stored_address", "stored_key", "base_url")
    list_display = ("name", "kind", "state", "last_success_at", "last_failure_at", "last_failure")
    list_filter = (RemovedFilter, "kind", "enabled")
    search_fields = ("name",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Destination]:
        """One that leaves is edited no more, as if it were removed."""
        found: QuerySet[Destination] = super().get_queryset(request)
        return found.exclude(leaving_at__isnull=False, removed_at=None)

    @admin.display(ordering="enabled")
    def state(self, destination: Destination) -> Any:
        if destination.removed_at:
            return badge("removed", "info")
        if not destination.enabled:
            return badge("off", "bad")
        return badge("failing", "bad") if destination.failing_since else badge("on", "ok")

    def get_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        """Who may not change it reads whether a secret is stored, in the place of the fields that replace one."""
        return self.fields if obj is None or self.has_change_permission(request, obj) else self.fields_to_read

    @admin.display(description="Address")
    def stored_address(self, destination: Destination) -> str:
        return "stored, hidden" if masked_secret(destination, "address") else "none"

    @admin.display(description="Key")
    def stored_key(self, destination: Destination) -> str:
        return "stored, hidden" if masked_secret(destination, "key") else "none"

    def on_console(self, obj: Destination) -> tuple[str, str]:
        at = "" if obj.removed_at else f"#destination-{obj.pk}"
        return f"{reverse('alerts:destinations')}{at}", "All destinations"

    def panels(self, obj: Destination) -> list[tuple[str, dict[str, Any]]]:
        return [("admin/alerts/destination_state.html", {"destination": obj, "state": self.state(obj)})]

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return self.has_change_permission(request, obj)

    def delete_view(self, request: HttpRequest, object_id: str, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        obj = self.get_object(request, unquote(object_id))
        if obj is None:
            raise Http404
        if not self.has_delete_permission(request, obj):
            raise PermissionDenied
        only_one = str(OnlyOneError.__doc__) if destinations.is_only_one(obj.pk) else ""
        if request.method == "POST" and (not only_one or "although_only" in request.POST):
            destinations.leave(obj.pk, database_now(), actor=request.user.get_username(), although_only=True)
            messages.success(request, f"{obj} is removed as soon as it has accepted the last messages; its history is kept.")
            return HttpResponseRedirect(reverse("admin:alerts_destination_changelist"))
        still_open = Alert.objects.filter(destination=obj, resolved_at=None).count()
        context = {
            **self.admin_site.each_context(request), "opts": self.opts, "object": obj, "title": f"Remove {obj}",
            "only_one": only_one, "still_open": still_open,
        }  # fmt: skip  # few lines
        return TemplateResponse(request, "admin/alerts/remove_destination.html", {**context, **(extra_context or {})})

    def save_model(self, request: HttpRequest, obj: Any, form: ModelForm[Any], change: bool) -> None:
        assert isinstance(form, DestinationForm)  # it is the form of this admin
        if change:
            columns = [name for name in form.changed_data if name in ("name", "enabled", "base_url")]
            obj.save(update_fields=[*columns, *form.changed_secrets])
            if "enabled" in form.changed_data:
                (destinations.on_enabled if obj.enabled else destinations.on_disabled)(obj.pk, database_now())
            if form.changed_secrets or "base_url" in form.changed_data:
                destinations.on_endpoint_changed(obj.pk, database_now())
        else:
            obj.save()
        if form.made_secret:
            show_once(request, "The signing secret is shown only now:", form.made_secret, "The receiver checks signatures by it.")


@admin.register(Rule)
class RuleAdmin(Beside, RecordsEdits):
    form = RuleForm
    what_for = "Which events go to which destinations. Every rule that matches applies; a destination is notified once."
    list_display = ("name", "enabled", "order", "severity_names", "pool", "tag", "destination_kind")
    list_select_related = ("pool",)
    search_fields = ("name",)
    filter_horizontal = ("destinations",)

    def on_console(self, obj: Rule) -> tuple[str, str]:
        return reverse("alerts:destinations"), "All rules"

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
