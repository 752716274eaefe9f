"""The dialog that asks before an action: what would happen, and what the action is to be told.

One template is the dialog that htmx puts into the page and, without script, a page of its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from nodes.forms.actions import DURATIONS
from nodes.offers import Offer
from nodes.views.responses import is_fragment

CHANGED = "What it would do has changed since you asked, so nothing was done. This is what it would do now."
_OUTDATED = "outdated"  # id of the element of an open dialog that asks whether its offer still stands


@dataclass(frozen=True, slots=True)
class Dialog:
    """One question.  `fields` are sent along unseen; `offer` says what would happen, or why it cannot."""

    title: str
    effect: str
    label: str
    tone: str
    address: str
    fields: tuple[tuple[str, str], ...]
    back_to: str
    offer: Offer
    has_reason: bool = False
    needs_reason: bool = False
    has_duration: bool = False
    moves_traffic: bool = True  # so that it says what would move

    @property
    def button(self) -> str:
        """Its button wears the colour of the consequence: red users will be hit, amber reserve goes, blue nothing is lost."""
        found = (*self.offer.consequences, *filter(None, [self.offer.overriding]))
        if any(each.hits_users for each in found):
            return "bad"
        return "warn" if self.tone == "warn" or any(each.loses_reserve for each in found) else "main"


def ask(request: HttpRequest, dialog: Dialog, *, typed: Mapping[str, str], problem: str = "") -> HttpResponse:
    """The dialog with what was typed; in an open one, whether it still says what would happen.  `problem`: why it comes again."""
    template, status = "nodes/action.html", 409 if request.method == "POST" else 200
    if is_fragment(request):
        if request.headers.get("HX-Target") == _OUTDATED:
            if typed.get("offered", "") == dialog.offer.version:
                return HttpResponse(status=204)
            return render(request, f"{template}#{_OUTDATED}", {"outdated": True})
        template += "#dialog"
    context = {
        "dialog": dialog,
        "durations": DURATIONS,
        "typed": {name: typed.get(name, "") for name in ("reason", "duration", "override")},
        "problem": problem if request.method == "POST" else "",
        "whole_page": not is_fragment(request),
    }
    return render(request, template, context, status=status)
