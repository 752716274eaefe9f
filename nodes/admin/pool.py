"""Pools: how many of their nodes are healthy or degraded, and a compact list of them with a link to each."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db import models
from django.db.models import Count, Q
from django.http import HttpRequest
from django.template.loader import render_to_string
from django.utils.safestring import SafeString

from nodes import operations
from nodes.admin.display import badge, percent
from nodes.admin.removal import RemovesSoftly
from nodes.forms.inventory import PoolForm, ReasonForm
from nodes.models import Health, Node, Pool

_UP = (Health.HEALTHY, Health.DEGRADED)


@admin.register(Pool)
class PoolAdmin(RemovesSoftly):
    form = PoolForm
    list_display = ("name", "strategy", "nodes_up", "automation", "epoch", "breaker_policy", "failover_policy")
    list_select_related = ("state", "breaker_policy", "failover_policy")
    list_filter = ("strategy", "failover_policy", "breaker_policy")
    search_fields = ("name", "slug")
    prepopulated_fields = {"slug": ("name",)}
    readonly_fields = ("members",)
    formfield_overrides = {models.URLField: {"assume_scheme": "https"}}

    class Media:
        css = {"all": ("nodes/admin.css",)}

    def get_queryset(self, request: HttpRequest) -> models.QuerySet[Any]:
        present = Q(nodes__removed_at=None)
        pools: models.QuerySet[Any] = super().get_queryset(request)
        counted: models.QuerySet[Any] = pools.annotate(
            node_count=Count("nodes", filter=present),
            up_count=Count("nodes", filter=present & Q(nodes__state__health__in=_UP)),
        )
        return counted

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        declared: list[tuple[str | None, dict[str, Any]]] = [
            (None, {"fields": ("name", "slug", "strategy", "runbook")}),
            (
                "Policies",
                {
                    "fields": ("failover_policy", "breaker_policy"),
                    "description": "Pools may share a policy: an edit of it then holds for all of them.",
                },
            ),
        ]
        return [("Nodes", {"fields": ("members",)}), *declared] if obj else declared

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
        return badge("paused", "paused") if pool.state.paused else badge("on", "on")

    @admin.display(ordering="state__epoch")
    def epoch(self, pool: Pool) -> int:
        return pool.state.epoch

    @admin.display(description="nodes")
    def members(self, pool: Pool) -> SafeString:
        nodes = Node.objects.filter(pool=pool, removed_at=None).select_related("state").order_by("priority", "name")
        return render_to_string(
            "admin/nodes/pool_nodes.html", {"pool": pool, "nodes": [(node, percent(node.state.share)) for node in nodes]}
        )
