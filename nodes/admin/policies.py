"""Breaker and failover policies, with what each number does; one that cannot work is refused by the engine's own rule."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import Count, Q, QuerySet
from django.http import HttpRequest

from nodes.admin.beside import Beside
from nodes.admin.edits import RecordsEdits
from nodes.forms.inventory import BreakerPolicyForm, FailoverPolicyForm
from nodes.models import BreakerPolicy, FailoverPolicy


class CountsPools(Beside, RecordsEdits):
    """A policy with the number of pools that follow it; one that is followed cannot be deleted."""

    search_fields = ("name",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        policies: QuerySet[Any] = super().get_queryset(request)
        counted: QuerySet[Any] = policies.annotate(pool_count=Count("pools", filter=Q(pools__removed_at=None)))
        return counted

    def get_actions(self, request: HttpRequest) -> dict[str, Any]:
        actions = super().get_actions(request)
        actions.pop("delete_selected", None)  # each deletion is an event of its own
        return actions

    def panels(self, obj: Any) -> list[tuple[str, dict[str, Any]]]:
        return [("admin/nodes/policy_pools.html", {"pools": obj.pools.filter(removed_at=None)})]

    @admin.display(description="pools")
    def pool_count(self, policy: Any) -> int:
        return int(policy.pool_count)


@admin.register(BreakerPolicy)
class BreakerPolicyAdmin(CountsPools):
    form = BreakerPolicyForm
    what_for = "When a node is taken out at once and how it is tried again. Pools may share one."
    list_display = ("name", "failure_threshold", "failure_rate", "slow_call_rate", "timeout", "success_threshold", "pool_count")
    fieldsets = (
        (None, {"fields": ("name",)}),
        (
            "Opening",
            {
                "fields": ("failure_threshold",),
                "description": "Closed, it lets everything through. So many failures in a row open it: the node is out.",
            },
        ),
        (
            "Rates",
            {
                "fields": (
                    ("failure_rate", "slow_call_rate", "slow_call_duration"),
                    ("window_calls", "window_seconds", "minimum_calls"),
                ),
                "description": (
                    "Off unless set. For nodes that fail now and then and never often enough in a row: it opens as soon as "
                    "the part of failed or slow calls in the window reaches the rate."
                ),
            },
        ),
        (
            "Waiting",
            {
                "fields": ("timeout", "timeout_multiplier", "max_timeout", "jitter"),
                "description": "Open, it refuses everything until the wait is over and the node is no longer failed.",
            },
        ),
        (
            "Trials",
            {
                "fields": ("max_requests", "success_threshold", "trial_timeout"),
                "description": "Half-open, so many trials run at a time. Enough successes close it; one failure reopens it.",
            },
        ),
    )


@admin.register(FailoverPolicy)
class FailoverPolicyAdmin(CountsPools):
    form = FailoverPolicyForm
    what_for = "How often nodes are checked, when they count as failed, and which guards block a failover. Pools may share one."
    list_display = ("name", "interval", "check_timeout", "failure_threshold", "recovery_threshold", "failback", "pool_count")
    fieldsets = (
        (None, {"fields": ("name",)}),
        (
            "Check intervals",
            {
                "fields": ("interval", "fast_interval", "down_interval", "check_timeout"),
                "description": "In seconds. The first failure shows within the interval, each further one a fast interval later.",
            },
        ),
        ("Thresholds", {"fields": ("failure_threshold", "recovery_threshold", "degraded_latency")}),
        (
            "Guards",
            {
                "fields": ("panic_threshold", "max_failed_percent", "cooldown"),
                "description": "They block a failover that would make it worse. A person may override each of them.",
            },
        ),
        (
            "Recovery",
            {
                "fields": (
                    "slow_start",
                    "failback",
                    "failback_delay",
                    "auto_rebalance",
                    "rebalance_interval",
                    "heal_unreported_after",
                ),
            },
        ),
        (
            "Pages",
            {
                "fields": ("page_on",),
                "description": "What is refused by a guard, and a pool that is down, is critical either way.",
            },
        ),
        ("Incidents", {"fields": ("flapping_within",)}),
    )
