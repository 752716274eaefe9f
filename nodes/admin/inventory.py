"""Nodes with their checks: the list shows live state, a node's form has its last checks and events beside it."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from urllib.parse import urlencode

from django.conf import settings
from django.contrib import admin
from django.contrib.admin.options import IS_POPUP_VAR
from django.core.exceptions import PermissionDenied
from django.db import models
from django.db.models.functions import Now
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404, render
from django.urls import path
from django.utils import timezone
from django.utils.safestring import SafeString

from nodes import operations, pushes
from nodes.admin.actions import ACTIONS
from nodes.admin.display import badge, percent, show_once
from nodes.admin.removal import RemovesSoftly, overrides
from nodes.admin.removed import RemovedFilter
from nodes.forms.checks import CheckForm, CheckFormSet
from nodes.forms.effects import AnyForm
from nodes.forms.inventory import NodeForm, ReasonForm
from nodes.forms.tested import tested
from nodes.forms.unsaved import errors_of, rows_of
from nodes.models import Check, CheckResult, Event, Node, NodeState
from nodes.runner.specs import made_of
from nodes.screens.history_lines import event_lines
from nodes.screens.verdicts import verdict_of

_LAST = 8  # lines of a panel
_KEPT = ("port", "weight", "priority", "capacity", "zone")  # by the form for the next node
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
    exclude = ("headers", "client_key")
    _HTTP = ("method", "path", "body", "follow_redirects")
    _SECRETS = ("request_headers", "clear_headers")
    _EXPECTED = (
        ("expected_status", "warn_status"), ("body_contains", "body_excludes"), "body_matches",
        ("json_path", "json_operator", "json_value"), "strict",
    )  # fmt: skip  # as it is laid out
    _TLS = ("use_tls", "verify_tls", "server_name", "certificate_days", "authorities", "client_certificate")

    def get_min_num(self, request: HttpRequest, obj: Any = None, **kwargs: Any) -> int:
        return 0 if obj else 1

    def get_queryset(self, request: HttpRequest) -> models.QuerySet[Check]:
        """Without the headers: a page opens even when their key is gone, so that they can be entered again."""
        keeps = {
            name: models.ExpressionWrapper(~models.Q((field, "")), models.BooleanField())
            for name, field in (("keeps_headers", "headers"), ("keeps_key", "client_key"))
        }
        found: models.QuerySet[Check] = super().get_queryset(request).defer("headers", "client_key").select_related("node")
        return found.annotate(**keeps)

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        """Fields that take a secret are shown to users who may write one."""
        writes = self.has_change_permission(request, obj)
        return [
            (None, {"fields": ("kind", "port")}),
            ("HTTP", {"fields": (*self._HTTP, *(self._SECRETS if writes else ())), "classes": ("collapse",)}),
            ("What is expected of the answer", {"fields": self._EXPECTED, "classes": ("collapse",)}),
            ("TLS", {"fields": (*self._TLS, *(("new_client_key",) if writes else ())), "classes": ("collapse",)}),
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
    secret_fields = {  # what a request sends may hold a key; events are kept for good, and read by everybody
        "request_headers": "Request headers", "clear_headers": "Request headers", "new_secret": "Push secret", "body": "Body",
        "new_client_key": "Client key",
    }  # fmt: skip  # as short as a table
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
    show_full_result_count = False
    list_filter = (
        RemovedFilter,
        ("pool", admin.RelatedOnlyFieldListFilter),
        "state__health",
        "state__breaker_state",
        "state__admin_state",
        "zone",
        TagFilter,
    )
    list_per_page = 100
    search_fields = ("name", "address", "zone", "pool__name")
    what_for = "What is checked, and receives traffic by its share. A node belongs to one pool for good."

    def has_operate_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("nodes.operate")

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        return [
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

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        """A node stays in its pool: history and shares belong to both."""
        return ("pool",) if obj else ()

    def get_urls(self) -> list[Any]:
        test = self.admin_site.admin_view(self.test_unsaved)
        found: list[Any] = super().get_urls()
        return [path("test/", test, name="nodes_node_test"), path("<int:pk>/test/", test, name="nodes_node_test_of"), *found]

    def test_unsaved(self, request: HttpRequest, pk: int | None = None) -> HttpResponse:
        """What the check in the form sees now; nothing is saved."""
        node = None if pk is None else get_object_or_404(Node, pk=pk, removed_at=None)
        if not (self.has_add_permission(request) if node is None else self.has_change_permission(request, node)):
            raise PermissionDenied
        form = self.get_form(request, node, change=node is not None)(request.POST, instance=node)
        valid = form.is_valid()
        formset, _ = self._create_formsets(request, form.instance, change=node is not None)  # type: ignore[attr-defined]  # the stubs leave it out
        title = f"Test of {form.instance.name or 'a new node'}, as it stands in the form"
        context = {**self.admin_site.each_context(request), "title": title, "unsaved": True}
        if not valid or not all(each.is_valid() for each in formset):
            said = [*errors_of(form), *(error for each in formset for error in errors_of(each))]
            return render(request, "nodes/check_test.html", {**context, "errors": said}, status=400)
        found = tested(made_of(rows_of(form.save(commit=False), formset[0])))
        return render(request, "nodes/check_test.html", {**context, **found}, status=found["status"])

    def remove(self, obj: models.Model, *, actor: str, form: ReasonForm) -> None:
        operations.remove_node(obj.pk, actor=actor, reason=form.cleaned_data["reason"], override=overrides(form))

    def save_related(self, request: HttpRequest, form: AnyForm, formsets: list[Any], change: bool) -> None:
        super().save_related(request, form, formsets, change)
        for check in (check for formset in formsets for check in formset.forms if getattr(check, "shown_once", None)):
            _show_secret(request, form.instance.pk, check.shown_once)

    @admin.display(description="address", ordering="address")
    def where(self, node: Node) -> str:
        return f"[{node.address}]:{node.port}" if ":" in node.address else f"{node.address}:{node.port}"

    def get_queryset(self, request: HttpRequest) -> models.QuerySet[Node]:
        """With the instant of the question by the database's clock: whether a node is stale is asked of it."""
        found: models.QuerySet[Node] = super().get_queryset(request).select_related("pool__failover_policy", "state")
        return found.annotate(asked_at=Now())

    @admin.display(description="state", ordering="state__health")
    def health(self, node: Node) -> SafeString:
        return badge("stale" if node.state.is_stale(vars(node)["asked_at"]) else node.state.get_health_display())

    @admin.display(ordering="state__breaker_state")
    def breaker(self, node: Node) -> SafeString:
        state, forced = node.state, node.state.breaker_mode != "auto"
        return badge(state.get_breaker_mode_display() if forced else state.get_breaker_state_display())

    @admin.display(ordering="state__share")
    def share(self, node: Node) -> str:
        return percent(node.state.share)

    @admin.display(description="last check", ordering="state__checked_at")
    def last_check(self, node: Node) -> Any:
        return node.state.checked_at

    @admin.display(description="admin state", ordering="state__admin_state")
    def admin_state(self, node: Node) -> SafeString:
        return badge(node.state.get_admin_state_display())

    def on_console(self, obj: Node) -> tuple[str, str]:
        return obj.get_absolute_url(), "Live state of this node"

    def panels(self, obj: Node) -> list[tuple[str, dict[str, Any]]]:
        state = NodeState.objects.select_related("node__pool__failover_policy").filter(pk=obj.pk).first()
        if state is None:  # deleted by hand: the runners make it again
            return []
        health = "stale" if state.is_stale(vars(obj)["asked_at"]) else state.get_health_display()
        recent = CheckResult.objects.filter(node_id=obj.pk, at__gte=timezone.now() - _RECENT).order_by("-at")[:_LAST]
        return [
            ("admin/nodes/node_state.html", {"node": obj, "state": state, "health": health, "share": percent(state.share)}),
            ("admin/nodes/node_checks.html", {"results": [(result, verdict_of(result.verdict)) for result in recent]}),
            ("admin/nodes/node_events.html", {"node": obj, "events": event_lines(Event.objects.filter(node=obj)[:_LAST])}),
        ]

    def response_add(self, request: HttpRequest, obj: Node, post_url_continue: str | None = None) -> HttpResponse:
        """The next node is like this one until somebody says otherwise."""
        answer: HttpResponse = super().response_add(request, obj, post_url_continue)
        if "_addanother" not in request.POST or IS_POPUP_VAR in request.POST:
            return answer
        kept = {name: getattr(obj, name) for name in _KEPT if getattr(obj, name) not in ("", None)}
        return HttpResponseRedirect(f"{request.path}?{urlencode({'pool': obj.pool_id, **kept, 'tags': ','.join(obj.tags)})}")


def _show_secret(request: HttpRequest, node: int, secret: str) -> None:
    """With the two ways to call; an address is written into the logs of what it passes through, a header is not."""
    address = f"{settings.PUBLIC_URL}{pushes.address(node)}"
    how = (
        f"Let the node call {address} with it. Where it cannot send a header, the same address with what stands behind “Bearer” "
        "and a slash at its end does as well, but proxies write addresses into their logs."
    )
    show_once(request, "The node's header with its secret is shown only now:", f"Authorization: Bearer {secret}", how)
