"""Pools: how many of their nodes are healthy or degraded, and beside the form a list of them with a link to each."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db import models
from django.db.models import Count, Q
from django.http import HttpRequest
from django.utils.safestring import SafeString

from nodes import operations
from nodes.admin.display import badge, percent
from nodes.admin.removal import RemovesSoftly
from nodes.admin.removed import RemovedFilter
from nodes.forms.inventory import PoolForm, ReasonForm
from nodes.models import Event, Health, Node, Pool
from nodes.screens.history_lines import event_lines

_UP = (Health.HEALTHY, Health.DEGRADED)
_LAST = 8  # events of the panel


@admin.register(Pool)
class PoolAdmin(RemovesSoftly):
    form = PoolForm
    list_display = ("name", "strategy", "nodes_up", "automation", "epoch", "breaker_policy", "failover_policy")
    list_select_related = ("state", "breaker_policy", "failover_policy")
    list_filter = (RemovedFilter, "strategy", "failover_policy", "breaker_policy")
    search_fields = ("name", "slug")
    prepopulated_fields = {"slug": ("name",)}
    what_for = "Nodes that serve the same traffic: when one fails, its share moves to the others of its pool."
    formfield_overrides = {models.URLField: {"assume_scheme": "https"}}

    def get_queryset(self, request: HttpRequest) -> models.QuerySet[Any]:
        present = Q(nodes__removed_at=None)
        pools: models.QuerySet[Any] = super().get_queryset(request)
        counted: models.QuerySet[Any] = pools.annotate(
            node_count=Count("nodes", filter=present),
            up_count=Count("nodes", filter=present & Q(nodes__state__health__in=_UP)),
        )
        return counted

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        return [
            (None, {"fields": ("name", "slug", "strategy", "runbook")}),
            (
                "Policies",
                {
                    "fields": ("failover_policy", "breaker_policy"),
                    "description": "Pools may share a policy: an edit of it then holds for all of them.",
                },
            ),
        ]

    def get_prepopulated_fields(self, request: HttpRequest, obj: Any = None) -> dict[str, Any]:
        """The slug follows the name of a new pool only: later it is an address that others use."""
        return {} if obj else self.prepopulated_fields

    def remove(self, obj: models.Model, *, actor: str, form: ReasonForm) -> None:
        operations.remove_pool(obj.pk, actor=actor)

    @admin.display(description="nodes healthy or degraded")
    def nodes_up(self, pool: Any) -> str:
        return f"{pool.up_count} of {pool.node_count}"

    @admin.display
    def automation(self, pool: Pool) -> SafeString:
        return badge("paused", "paused") if pool.state.paused else badge("on", "ok")

    @admin.display(ordering="state__epoch")
    def epoch(self, pool: Pool) -> int:
        return pool.state.epoch

    def on_console(self, obj: Pool) -> tuple[str, str]:
        return obj.get_absolute_url(), "Live state of this pool"

    def panels(self, obj: Pool) -> list[tuple[str, dict[str, Any]]]:
        nodes = (
            Node.objects.filter(pool=obj, removed_at=None, state__isnull=False).select_related("state").order_by("priority", "name")
        )
        events = event_lines(Event.objects.filter(pool=obj)[:_LAST])
        return [
            ("admin/nodes/pool_nodes.html", {"pool": obj, "nodes": [(node, percent(node.state.share)) for node in nodes]}),
            ("admin/nodes/node_events.html", {"pool": obj, "events": events}),
        ]
