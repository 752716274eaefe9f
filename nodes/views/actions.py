"""Actions of operators on nodes and pools, and acknowledging.

GET answers the dialog that asks, with what would happen; POST does it when that is still what would happen, and answers a sentence.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from urllib.parse import urlencode

from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_POST

from nodes import offers, operations
from nodes.engine.enums import Guard
from nodes.engine.types import Member
from nodes.engine.types import Pool as PoolValue
from nodes.engine.what_if import Command
from nodes.forms.actions import AcknowledgeForm, ActionForm, NoteForm
from nodes.ledger.clock import database_now
from nodes.models import Incident, Node, Pool
from nodes.offers import Carried, NothingToDo, OutdatedError
from nodes.operations import Refused
from nodes.views.catalogue import NODE, POOL, Action, Asked, undoes_node, undoes_pool
from nodes.views.dialog import CHANGED, Dialog, ask
from nodes.views.responses import after_action, for_operators


@dataclass(frozen=True, slots=True)
class _Target:
    """The node or pool of an action, and where its actions and its page are."""

    subject: int
    pool: int
    name: str
    address: str
    back_to: str
    node: bool

    def undo(self, carried: Carried) -> str:
        """The address of the action that undoes this one; empty when there is none."""
        name = undoes_pool(carried.before, carried.after)
        if self.node:
            before, after = (_member(pool, self.subject) for pool in (carried.before, carried.after))
            name = undoes_node(before, after)
        return f"{self.address}?{urlencode({'action': name})}" if name else ""

    def moved(self, carried: Carried) -> str:
        """What became of the node's share, to be put behind what was done."""
        if not self.node:
            return ""
        before, after = (_member(pool, self.subject) for pool in (carried.before, carried.after))
        return ": its share has moved" if after.share < before.share else ""


@require_http_methods(["GET", "HEAD", "POST"])
@for_operators
def node_action(request: HttpRequest, pk: int) -> HttpResponse:
    node = get_object_or_404(Node, pk=pk)
    page = node.get_absolute_url()
    if request.method == "POST" and request.POST.get("action") == "check_now":
        return _check_now(request, node)
    if node.removed_at is not None:
        return after_action(request, page, refused="This node was removed; its history is kept.")
    target = _Target(pk, node.pool_id, node.name, reverse("nodes:node_action", args=[pk]), page, node=True)
    return _answer(request, target, NODE)


@require_http_methods(["GET", "HEAD", "POST"])
@for_operators
def pool_action(request: HttpRequest, slug: str) -> HttpResponse:
    pool = get_object_or_404(Pool, slug=slug, removed_at=None)
    address = reverse("nodes:pool_action", args=[slug])
    return _answer(request, _Target(pool.pk, pool.pk, pool.name, address, pool.get_absolute_url(), node=False), POOL)


def _check_now(request: HttpRequest, node: Node) -> HttpResponse:
    if not operations.check_now([node.pk], actor=request.user.get_username()):
        return after_action(request, node.get_absolute_url(), refused="A disabled node is not checked; enable it first.")
    return after_action(request, node.get_absolute_url(), done=f"{node.name}: The next check starts now.")


def _answer(request: HttpRequest, target: _Target, actions: Mapping[str, Action]) -> HttpResponse:
    """Ask, or do what was asked for."""
    need_reason = [name for name, action in actions.items() if action.needs_reason]
    form = ActionForm(request.POST or request.GET, actions=actions, need_reason=need_reason if request.method == "POST" else ())
    if not form.is_valid() and "action" in form.errors:
        return after_action(request, target.back_to, refused=form.error_text())
    name: str = form.cleaned_data["action"]
    action = actions[name]
    if request.method == "POST" and form.is_valid():
        return _do(request, form, target, name, action)
    return _ask(request, form, target, name, action, problem=form.error_text())


def _do(request: HttpRequest, form: ActionForm, target: _Target, name: str, action: Action) -> HttpResponse:
    until = form.until(database_now()) if action.has_duration else None
    asked = Asked(
        target.subject,
        request.user.get_username(),
        form.cleaned_data["reason"],
        form.overrides() if action.can_override else frozenset(),
        until.timestamp() if until else None,
    )
    version: str = form.cleaned_data["offered"]
    try:
        if not version:
            raise OutdatedError("Look at what would happen first, then press the button.")
        carried = offers.accept(target.pool, action.command(asked), version, overriding=_widest(action, asked))
    except NothingToDo as nothing:
        return after_action(request, target.back_to, noted=str(nothing))
    except Refused as refused:
        return _ask(request, form, target, name, action, problem=str(refused))
    done = action.done.format(name=target.name, moved=target.moved(carried))
    return after_action(request, target.back_to, done=f"{target.name}: {done}", undo=target.undo(carried))


def _ask(request: HttpRequest, form: ActionForm, target: _Target, name: str, action: Action, *, problem: str) -> HttpResponse:
    asked = Asked(target.subject, request.user.get_username(), "…")
    found = offers.offer(target.pool, action.command(asked), overriding=_widest(action, asked))
    dialog = Dialog(
        title=action.question.format(name=target.name),
        effect=action.effect,
        label=action.label,
        tone=action.tone,
        address=target.address,
        fields=(("action", name),),
        back_to=target.back_to,
        offer=found,
        has_reason=True,
        needs_reason=action.needs_reason,
        has_duration=action.has_duration,
    )
    return ask(request, dialog, typed=form.data, problem=CHANGED if problem == OutdatedError.__doc__ else problem)


def _widest(action: Action, asked: Asked) -> Command | None:
    """The command with every guard overridden, if it can override any."""
    return action.command(replace(asked, override=frozenset(Guard))) if action.can_override else None


def _member(pool: PoolValue, node_id: int) -> Member:
    return next(node for node in pool.members if node.id == node_id)


@require_POST
@for_operators
def acknowledge(request: HttpRequest, pk: int) -> HttpResponse:
    """Record that somebody works on the incident."""
    incident = get_object_or_404(Incident, pk=pk)
    form = AcknowledgeForm(request.POST)
    if not form.is_valid():
        return after_action(request, incident.get_absolute_url(), refused="A note has at most 500 characters.")
    actor, note = request.user.get_username(), form.cleaned_data["note"]
    try:
        offers.retried(lambda: operations.acknowledge(pk, actor=actor, note=note))
    except Refused as refusal:
        return after_action(request, incident.get_absolute_url(), refused=str(refusal))
    return after_action(request, incident.get_absolute_url(), done="Acknowledged; the others see that you work on it.")


@require_POST
@for_operators
def add_note(request: HttpRequest, pk: int) -> HttpResponse:
    """Write beside an incident what the others should know."""
    incident = get_object_or_404(Incident, pk=pk)
    form = NoteForm(request.POST)
    if not form.is_valid():
        return after_action(request, incident.get_absolute_url(), refused="A note has 1 to 300 characters.")
    actor, note = request.user.get_username(), form.cleaned_data["note"]
    try:
        offers.retried(lambda: operations.add_note(pk, actor=actor, note=note))
    except Refused as refusal:
        return after_action(request, incident.get_absolute_url(), refused=str(refusal))
    return after_action(request, incident.get_absolute_url(), done="The note is in the incident's history.")
