"""Removes the demo, once it was asked."""

from __future__ import annotations

from django.contrib.auth.decorators import login_required, permission_required
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.views.decorators.http import require_http_methods

from failover_console import demo
from nodes.engine.what_if import digest
from nodes.offers import Offer, retried
from nodes.operations import Refused
from nodes.views.dialog import CHANGED, Dialog, ask
from nodes.views.responses import after_action


@login_required
@permission_required("nodes.delete_node", raise_exception=True)
@require_http_methods(["GET", "HEAD", "POST"])
def remove(request: HttpRequest) -> HttpResponse:
    """Ask, or remove pools, nodes and destinations of the demo; the servers see it and end."""
    dialog = _dialog()
    if request.method != "POST":
        return ask(request, dialog, typed=request.GET)
    if request.POST.get("offered") != dialog.offer.version:
        return ask(request, dialog, typed=request.POST, problem=CHANGED)
    try:
        retried(lambda: demo.remove(request.user.get_username()))
    except Refused as refused:
        return ask(request, dialog, typed=request.POST, problem=str(refused))
    return after_action(
        request, dialog.back_to, done="The demo fleet is removed. Its history stays; its servers end within seconds."
    )


def _dialog() -> Dialog:
    nodes, pools = demo.inventory_of()
    named = f"{len(nodes)} nodes, the pools {', '.join(pools)} where no other node is in them, and the demo’s destinations"
    return Dialog(
        title="Remove the demo?",
        effect=f"Removes {named}. Their traffic ends and they are no longer checked; their history stays. There is no way back.",
        label="Remove the demo",
        tone="warn",
        address=reverse("demo:remove"),
        fields=(),
        back_to=reverse("nodes:dashboard"),
        offer=Offer(digest((nodes, pools))) if nodes else Offer(refusal="The demo was removed already."),
        moves_traffic=False,
    )
