"""Bulk actions on nodes, for operators: each node is a request of its own, so one refusal does not stop the others."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.contrib.admin import helpers
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse

from nodes import operations
from nodes.admin.removal import overrides
from nodes.engine.enums import AdminState
from nodes.forms.inventory import ReasonForm
from nodes.models import Node
from nodes.operations import Refused

_EXPLAINED = {
    AdminState.DRAINING: ("Drain", "Their shares move to the other nodes at once; they are still checked."),
    AdminState.MAINTENANCE: (
        "Put in maintenance",
        "Their shares move at once; they are checked, never alert, and the time is excluded from reports.",
    ),
    AdminState.DISABLED: ("Disable", "Their shares move at once and they are no longer checked."),
}


@admin.action(description="Drain: move the share away, keep checking", permissions=["operate"])
def drain(modeladmin: Any, request: HttpRequest, queryset: QuerySet[Node]) -> HttpResponse | None:
    return _ask(modeladmin, request, queryset, AdminState.DRAINING)


@admin.action(description="Maintenance: move the share away, do not alert", permissions=["operate"])
def maintenance(modeladmin: Any, request: HttpRequest, queryset: QuerySet[Node]) -> HttpResponse | None:
    return _ask(modeladmin, request, queryset, AdminState.MAINTENANCE)


@admin.action(description="Disable: move the share away, stop checking", permissions=["operate"])
def disable(modeladmin: Any, request: HttpRequest, queryset: QuerySet[Node]) -> HttpResponse | None:
    return _ask(modeladmin, request, queryset, AdminState.DISABLED)


@admin.action(description="Enable", permissions=["operate"])
def enable(modeladmin: Any, request: HttpRequest, queryset: QuerySet[Node]) -> None:
    _set(request, queryset, AdminState.ENABLED, reason="", override=frozenset())


@admin.action(description="Check now", permissions=["operate"])
def check_now(modeladmin: Any, request: HttpRequest, queryset: QuerySet[Node]) -> None:
    due = operations.check_now([node.pk for node in queryset], actor=request.user.get_username())
    messages.success(request, f"Nodes that are checked now: {due}.")
    if left_out := queryset.count() - due:
        messages.warning(request, f"Left out because they are disabled: {left_out}.")


ACTIONS = (drain, maintenance, enable, disable, check_now)


def _ask(modeladmin: Any, request: HttpRequest, queryset: QuerySet[Node], state: AdminState) -> HttpResponse | None:
    """The page that asks for the reason; posted with `apply`, the action itself."""
    form = ReasonForm(request.POST if "apply" in request.POST else None)
    if form.is_valid():
        _set(request, queryset, state, reason=form.cleaned_data["reason"], override=overrides(form))
        return None
    verb, effect = _EXPLAINED[state]
    context = {
        **modeladmin.admin_site.each_context(request),
        "opts": modeladmin.opts,
        "title": f"{verb}: {queryset.count()} selected",
        "verb": verb,
        "effect": effect,
        "form": form,
        "nodes": queryset,
        "action": request.POST["action"],
        "checkbox_name": helpers.ACTION_CHECKBOX_NAME,
    }
    return TemplateResponse(request, "admin/nodes/action.html", context)


def _set(request: HttpRequest, queryset: QuerySet[Node], state: AdminState, *, reason: str, override: Any) -> None:
    done = []
    for node in queryset.order_by("pk"):
        try:
            operations.set_admin_state(node.pk, state, actor=request.user.get_username(), reason=reason, override=override)
        except Refused as refusal:
            messages.error(request, f"{node}: {refusal}")
        else:
            done.append(node.name)
    if done:
        messages.success(request, f"Now {state.value}: {', '.join(done)}.")
