"""Actions of operators on the whole fleet: pause and resume all automation, believe a checker."""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import urlencode

from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.views.decorators.http import require_http_methods

from nodes import offers, operations
from nodes.forms.actions import ActionForm
from nodes.ledger.clock import database_now
from nodes.offers import FleetChange, Offer, OutdatedError
from nodes.operations import Refused
from nodes.views.catalogue import PAUSED
from nodes.views.dialog import CHANGED, Dialog, ask
from nodes.views.responses import after_action, for_operators

_ACTIONS = ("pause", "resume")


@require_http_methods(["GET", "HEAD", "POST"])
@for_operators
def automation_action(request: HttpRequest) -> HttpResponse:
    """Pause or resume all automation."""
    back_to = reverse("nodes:dashboard")
    posted = request.method == "POST"
    form = ActionForm(request.POST or request.GET, actions=_ACTIONS, need_reason=("pause",) if posted else ())
    if not form.is_valid() and "action" in form.errors:
        return after_action(request, back_to, refused=form.error_text())
    name: str = form.cleaned_data["action"]
    if not posted or not form.is_valid():
        return ask(request, _automation_dialog(name), typed=form.data, problem=form.error_text())
    actor = request.user.get_username()
    if name == "pause":
        until, reason = form.until(database_now()), form.cleaned_data["reason"]
        problem = _done(form, offers.as_it_is, lambda: operations.pause(None, actor=actor, reason=reason, until=until))
        done, undo = "All automation is paused; people can still act.", f"{request.path}?{urlencode({'action': 'resume'})}"
    else:
        problem = _done(form, offers.without_pause, lambda: operations.resume(None, actor=actor))
        done, undo = "All automation is resumed.", ""
    if problem:
        return ask(request, _automation_dialog(name), typed=form.data, problem=problem)
    return after_action(request, back_to, done=done, undo=undo)


def _done(form: ActionForm, change: FleetChange, act: Callable[[], None]) -> str:
    """Do it; returns why not, empty when it was done."""
    version: str = form.cleaned_data["offered"]
    try:
        offers.accept_for_fleet(change, version, act)
    except OutdatedError:
        return CHANGED
    except Refused as refused:
        return str(refused)
    return ""


def _automation_dialog(name: str) -> Dialog:
    pausing = name == "pause"
    refusal = operations.automation_refusal(paused=pausing)
    change = offers.as_it_is if pausing else offers.without_pause
    return Dialog(
        title="Pause all automation?" if pausing else "Resume all automation?",
        effect=PAUSED if pausing else "What waited happens at once.",
        label="Pause all automation" if pausing else "Resume all automation",
        tone="warn" if pausing else "main",
        address=reverse("nodes:automation_action"),
        fields=(("action", name),),
        back_to=reverse("nodes:dashboard"),
        offer=Offer(refusal=refusal) if refusal else offers.offer_for_fleet(change),
        has_reason=pausing,
        needs_reason=pausing,
        has_duration=pausing,
    )


@require_http_methods(["GET", "HEAD", "POST"])
@for_operators
def believe_checker(request: HttpRequest) -> HttpResponse:
    """Believe an isolated checker in spite of what speaks against it."""
    back_to, asked = reverse("nodes:dashboard"), request.POST or request.GET
    host = asked.get("host", "")
    form = ActionForm({"action": "believe", "offered": asked.get("offered", "")}, actions=("believe",))
    if not form.is_valid():
        return after_action(request, back_to, refused=form.error_text())
    if request.method != "POST":
        return ask(request, _checker_dialog(host), typed=asked)
    problem = _done(form, offers.with_belief, lambda: operations.believe_checker(host, actor=request.user.get_username()))
    if problem:
        return ask(request, _checker_dialog(host), typed=asked, problem=problem)
    return after_action(request, back_to, done=f"{host} is believed; what it saw fail counts from now on.")


def _checker_dialog(host: str) -> Dialog:
    refusal = operations.belief_refusal(host)
    return Dialog(
        title=f"Believe checker {host[:60]}?",
        effect="What it saw fail counts at once: nodes are marked failed, traffic moves, people are notified.",
        label="Believe this checker",
        tone="warn",
        address=reverse("nodes:believe_checker"),
        fields=(("host", host[:200]),),
        back_to=reverse("nodes:dashboard"),
        offer=Offer(refusal=refusal) if refusal else offers.offer_for_fleet(offers.with_belief),
    )
