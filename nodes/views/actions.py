"""Actions of operators on nodes, pools, automation and incidents: each goes through `nodes.operations` and answers a sentence."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.urls import reverse
from django.views.decorators.http import require_POST

from nodes import operations
from nodes.engine.enums import AdminState, Mode
from nodes.forms.actions import AUTOMATION_ACTIONS, NODE_ACTIONS, POOL_ACTIONS, AcknowledgeForm, ActionForm
from nodes.ledger.clock import database_now
from nodes.models import Incident, Node, Pool
from nodes.operations import Refused
from nodes.views.responses import after_action, for_operators

Action = Callable[
    [int, ActionForm, str, datetime], str
]  # of node or pool id, form, actor, now; returns the state it led to, in words


def _admin(state: AdminState, outcome: str) -> Action:
    def action(node: int, form: ActionForm, actor: str, now: datetime) -> str:
        operations.set_admin_state(node, state, actor=actor, reason=form.cleaned_data["reason"], override=form.overrides())
        return outcome

    return action


def _force(mode: Mode, outcome: str) -> Action:
    def action(node: int, form: ActionForm, actor: str, now: datetime) -> str:
        operations.force_breaker(node, mode, actor=actor, reason=form.cleaned_data["reason"], until=form.until(now))
        return outcome

    return action


def _release(node: int, form: ActionForm, actor: str, now: datetime) -> str:
    operations.release_breaker(node, actor=actor, reason=form.cleaned_data["reason"])
    return "The breaker is automatic again."


def _reset(node: int, form: ActionForm, actor: str, now: datetime) -> str:
    operations.reset_breaker(node, actor=actor, reason=form.cleaned_data["reason"])
    return "The breaker is closed, its counts are cleared."


def _check_now(node: int, form: ActionForm, actor: str, now: datetime) -> str:
    if not operations.check_now([node], actor=actor):
        raise Refused("A disabled node is not checked; enable it first.")
    return "The next check starts now."


def _fail_over(node: int, form: ActionForm, actor: str, now: datetime) -> str:
    operations.fail_over(node, actor=actor, reason=form.cleaned_data["reason"], override=form.overrides())
    return "Its share has moved; the node is drained until somebody fails back."


def _fail_back(node: int, form: ActionForm, actor: str, now: datetime) -> str:
    operations.fail_back(node, actor=actor, reason=form.cleaned_data["reason"])
    return "Failing back."


_NODE: dict[str, Action] = {
    "enable": _admin(AdminState.ENABLED, "Enabled; it takes its share as soon as it is eligible."),
    "drain": _admin(AdminState.DRAINING, "Draining: its share has moved, it is still checked."),
    "maintenance": _admin(AdminState.MAINTENANCE, "In maintenance: its share has moved, it never alerts."),
    "disable": _admin(AdminState.DISABLED, "Disabled: its share has moved, it is no longer checked."),
    "fail_over": _fail_over,
    "fail_back": _fail_back,
    "check_now": _check_now,
    "force_open": _force(Mode.FORCED_OPEN, "The breaker is forced open."),
    "force_closed": _force(Mode.FORCED_CLOSED, "The breaker is forced closed."),
    "metrics_only": _force(Mode.METRICS_ONLY, "The breaker is in metrics-only mode."),
    "release": _release,
    "reset": _reset,
}


@require_POST
@for_operators
def node_action(request: HttpRequest, pk: int) -> HttpResponse:
    node = get_object_or_404(Node, pk=pk)
    return _response(request, ActionForm(request.POST, actions=NODE_ACTIONS), _NODE, pk, node.get_absolute_url(), node.name)


def _pause(pool: int, form: ActionForm, actor: str, now: datetime) -> str:
    operations.pause(pool, actor=actor, reason=form.cleaned_data["reason"], until=form.until(now))
    return "Automation is paused for this pool; people can still act."


def _resume(pool: int, form: ActionForm, actor: str, now: datetime) -> str:
    operations.resume(pool, actor=actor)
    return "Automation is resumed."


def _rebalance(pool: int, form: ActionForm, actor: str, now: datetime) -> str:
    operations.rebalance(pool, actor=actor)
    return "The shares follow the weights again."


def _fail_pool_back(pool: int, form: ActionForm, actor: str, now: datetime) -> str:
    """Fail back to the best tier: by its first node, since the engine moves the tier as a whole."""
    best = Node.objects.filter(pool_id=pool, removed_at=None).order_by("priority", "pk").first()
    if best is None:
        raise Refused("This pool has no node.")
    return _fail_back(best.pk, form, actor, now)


_POOL: dict[str, Action] = {"pause": _pause, "resume": _resume, "rebalance": _rebalance, "fail_back": _fail_pool_back}


@require_POST
@for_operators
def pool_action(request: HttpRequest, slug: str) -> HttpResponse:
    pool = get_object_or_404(Pool, slug=slug, removed_at=None)
    return _response(request, ActionForm(request.POST, actions=POOL_ACTIONS), _POOL, pool.pk, pool.get_absolute_url(), pool.name)


def _response(request: HttpRequest, form: ActionForm, actions: dict[str, Action], pk: int, back_to: str, name: str) -> HttpResponse:
    if not form.is_valid():
        return after_action(request, back_to, refused=form.error_text())
    try:
        done = actions[form.cleaned_data["action"]](pk, form, request.user.get_username(), database_now())
    except Refused as refusal:
        return after_action(request, back_to, refused=str(refusal))
    return after_action(request, back_to, done=f"{name}: {done}")


@require_POST
@for_operators
def automation_action(request: HttpRequest) -> HttpResponse:
    """Pause or resume all automation."""
    back_to = reverse("nodes:dashboard")
    form = ActionForm(request.POST, actions=AUTOMATION_ACTIONS)
    if not form.is_valid():
        return after_action(request, back_to, refused=form.error_text())
    actor, reason = request.user.get_username(), form.cleaned_data["reason"]
    try:
        if form.cleaned_data["action"] == "pause":
            operations.pause(None, actor=actor, reason=reason, until=form.until(database_now()))
            return after_action(request, back_to, done="All automation is paused; people can still act.")
        operations.resume(None, actor=actor)
    except Refused as refusal:
        return after_action(request, back_to, refused=str(refusal))
    return after_action(request, back_to, done="All automation is resumed.")


@require_POST
@for_operators
def believe_checker(request: HttpRequest) -> HttpResponse:
    """Believe an isolated checker in spite of what speaks against it."""
    back_to, host = reverse("nodes:dashboard"), request.POST.get("host", "")
    try:
        operations.believe_checker(host, actor=request.user.get_username())
    except Refused as refusal:
        return after_action(request, back_to, refused=str(refusal))
    return after_action(request, back_to, done=f"{host} is believed; what it saw fail counts from now on.")


@require_POST
@for_operators
def acknowledge(request: HttpRequest, pk: int) -> HttpResponse:
    """Record that somebody works on the incident."""
    incident = get_object_or_404(Incident, pk=pk)
    form = AcknowledgeForm(request.POST)
    if not form.is_valid():
        return after_action(request, incident.get_absolute_url(), refused="A note has at most 500 characters.")
    try:
        operations.acknowledge(pk, actor=request.user.get_username(), note=form.cleaned_data["note"])
    except Refused as refusal:
        return after_action(request, incident.get_absolute_url(), refused=str(refusal))
    return after_action(request, incident.get_absolute_url(), done="Acknowledged; the pool's cool-down is lifted.")
