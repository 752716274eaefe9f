"""Nodes with their checks: the list shows live state, the page of a node its last checks and events beside the form."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.conf import settings
from django.contrib import admin, messages
from django.db import models
from django.db.models.functions import Now
from django.http import HttpRequest
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils import timezone
from django.utils.safestring import SafeString

from nodes import operations
from nodes.admin.actions import ACTIONS
from nodes.admin.display import badge, percent
from nodes.admin.removal import RemovesSoftly, overrides
from nodes.forms.checks import CheckForm, CheckFormSet
from nodes.forms.effects import AnyForm
from nodes.forms.inventory import NodeForm, ReasonForm
from nodes.ledger.clock import database_now
from nodes.models import Check, CheckResult, Event, Node, NodeState
from nodes.screens.history_lines import event_lines
from nodes.screens.verdicts import verdict_of

_LAST = 20  # lines of a panel
_RECENT = timedelta(days=1)  # how far back the last checks are looked for
_OVERRIDES = (
    "interval",
    "fast_interval",
    "down_interval",
    "check_timeout",
    "failure_threshold",
    "recovery_threshold",
    "degraded_latency",
)


class CheckInline(admin.StackedInline):  # type: ignore[type-arg]  # Django's class takes no parameter at run time
    model = Check
    form = CheckForm
    formset = CheckFormSet
    extra = 0
    exclude = ("headers",)
    _HTTP = ("method", "path", "body", "expected_status", "body_contains", "follow_redirects")
    _SECRETS = ("request_headers", "clear_headers")

    def get_min_num(self, request: HttpRequest, obj: Any = None, **kwargs: Any) -> int:
        return 0 if obj else 1

    def get_queryset(self, request: HttpRequest) -> models.QuerySet[Check]:
        """Without the headers: a page opens even when their key is gone, so that they can be entered again."""
        return super().get_queryset(request).defer("headers")

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        """Fields that take a secret are shown to users who may write one."""
        writes = self.has_change_permission(request, obj)
        return [
            (None, {"fields": ("kind", "port")}),
            ("HTTP", {"fields": (*self._HTTP, *(self._SECRETS if writes else ())), "classes": ("collapse",)}),
            ("TLS", {"fields": ("use_tls", "verify_tls", "server_name", "certificate_days"), "classes": ("collapse",)}),
            ("Push", {"fields": ("grace", *(("new_secret",) if writes else ())), "classes": ("collapse",)}),
            ("Composite", {"fields": ("quorum",), "classes": ("collapse",)}),
        ]


class TagFilter(admin.SimpleListFilter):
    title = "tag"
    parameter_name = "tag"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        tags = (
            Node.objects.filter(removed_at=None).annotate(tag=models.Func("tags", function="unnest")).values_list("tag", flat=True)
        )
        return [(tag, tag) for tag in sorted(set(tags))]

    def queryset(self, request: HttpRequest, queryset: models.QuerySet[Any]) -> models.QuerySet[Any]:
        return queryset.filter(tags__contains=[self.value()]) if self.value() else queryset


@admin.register(Node)
class NodeAdmin(RemovesSoftly):
    form = NodeForm
    secret_fields = {"request_headers": "Request headers", "clear_headers": "Request headers", "new_secret": "Push secret"}
    inlines = (CheckInline,)
    actions = ACTIONS
    list_display = (
        "name",
        "pool",
        "where",
        "health",
        "breaker",
        "share",
        "last_check",
        "admin_state",
        "zone",
        "priority",
        "weight",
    )
    list_select_related = ("pool__failover_policy", "state")
    list_filter = (
        ("pool", admin.RelatedOnlyFieldListFilter),
        "state__health",
        "state__breaker_state",
        "state__admin_state",
        "zone",
        TagFilter,
    )
    list_per_page = 100
    search_fields = ("name", "address", "zone", "pool__name")
    readonly_fields = ("live", "last_checks", "last_events")

    class Media:
        css = {"all": ("nodes/admin.css",)}

    def has_operate_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("nodes.operate")

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        declared: list[tuple[str | None, dict[str, Any]]] = [
            (None, {"fields": ("pool", "name", ("address", "port"), ("weight", "priority", "capacity"), "zone", "tags")}),
            (
                "Overrides of the pool's policy",
                {
                    "fields": _OVERRIDES,
                    "classes": ("collapse",),
                    "description": "Empty: as in the pool's policy. In seconds; the timeout must be below the interval.",
                },
            ),
        ]
        return [("Now", {"fields": ("live", "last_checks", "last_events")}), *declared] if obj else declared

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        """A node stays in its pool: history and shares belong to both."""
        return (*self.readonly_fields, "pool") if obj else self.readonly_fields

    def remove(self, obj: models.Model, *, actor: str, form: ReasonForm) -> None:
        operations.remove_node(obj.pk, actor=actor, reason=form.cleaned_data["reason"], override=overrides(form))

    def save_related(self, request: HttpRequest, form: AnyForm, formsets: list[Any], change: bool) -> None:
        super().save_related(request, form, formsets, change)
        for check in (check for formset in formsets for check in formset.forms if getattr(check, "shown_once", None)):
            path = reverse("nodes:push", args=[form.instance.pk, check.shown_once])
            messages.warning(request, f"The node must call this address; it is shown only now: {settings.PUBLIC_URL}{path}")

    @admin.display(description="address", ordering="address")
    def where(self, node: Node) -> str:
        return f"[{node.address}]:{node.port}" if ":" in node.address else f"{node.address}:{node.port}"

    def get_queryset(self, request: HttpRequest) -> models.QuerySet[Node]:
        """With the instant of the question by the database's clock: whether a node is stale is asked of it."""
        found: models.QuerySet[Node] = super().get_queryset(request).annotate(asked_at=Now())
        return found

    @admin.display(ordering="state__health")
    def health(self, node: Node) -> SafeString:
        return badge(node.state.health, "stale" if node.state.is_stale(vars(node)["asked_at"]) else node.state.get_health_display())

    @admin.display(ordering="state__breaker_state")
    def breaker(self, node: Node) -> SafeString:
        state, forced = node.state, node.state.breaker_mode != "auto"
        return badge(state.breaker_state, state.get_breaker_mode_display() if forced else state.get_breaker_state_display())

    @admin.display(ordering="state__share")
    def share(self, node: Node) -> str:
        return percent(node.state.share)

    @admin.display(description="last check", ordering="state__checked_at")
    def last_check(self, node: Node) -> Any:
        return node.state.checked_at

    @admin.display(description="admin state", ordering="state__admin_state")
    def admin_state(self, node: Node) -> SafeString:
        return badge(node.state.admin_state, node.state.get_admin_state_display())

    @admin.display(description="state")
    def live(self, node: Node) -> SafeString:
        state = NodeState.objects.get(pk=node.pk)
        shown = {"node": node, "state": state, "stale": state.is_stale(database_now()), "share": percent(state.share)}
        return render_to_string("admin/nodes/node_state.html", shown)

    @admin.display(description="last checks")
    def last_checks(self, node: Node) -> SafeString:
        recent = CheckResult.objects.filter(node_id=node.pk, at__gte=timezone.now() - _RECENT).order_by("-at")[:_LAST]
        return render_to_string(
            "admin/nodes/node_checks.html", {"results": [(result, verdict_of(result.verdict)) for result in recent]}
        )

    @admin.display(description="last events")
    def last_events(self, node: Node) -> SafeString:
        return render_to_string("admin/nodes/node_events.html", {"events": event_lines(Event.objects.filter(node=node)[:_LAST])})
