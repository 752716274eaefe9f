"""Go anywhere: pages, pools, nodes and incidents by a few letters, as a dialog over any page or as a page of its own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.db.models import Q
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_safe

from nodes.models import Incident, Node, Pool
from nodes.views import catalogue
from nodes.views.responses import is_fragment, signed_in

_MOST = 8  # of each kind
_PAGES = {
    "Dashboard": "nodes:dashboard", "Incidents": "nodes:incidents", "Events": "nodes:events", "Alerts": "alerts:notifications",
    "Destinations and rules": "alerts:destinations", "Reports": "nodes:reports", "Set up": "admin:index",
}  # fmt: skip  # name beside address


@dataclass(frozen=True, slots=True)
class Place:
    """Somewhere to go, or something to ask for: its name, what it is, its address."""

    name: str
    kind: str
    address: str
    asks: bool = False  # opens the dialog of an act


@require_safe
@signed_in
def goto(request: HttpRequest) -> HttpResponse:
    asked = request.GET.get("q", "").strip()[:80]
    acts = _acts(asked) if request.user.has_perm("nodes.operate") else []
    context = {"asked": asked, "places": acts + _places(asked), "whole_page": not is_fragment(request)}
    target = request.headers.get("HX-Target")
    part = {"places": "#places", "asking": "#palette"}.get(target or "", "")
    return render(request, f"nodes/goto.html{part}", context)


def _places(asked: str) -> list[Place]:
    pages = [Place(name, "page", reverse(view)) for name, view in _PAGES.items() if asked.lower() in name.lower()]
    if not asked:
        return pages
    pools = Pool.objects.filter(removed_at=None).filter(Q(name__icontains=asked) | Q(slug__icontains=asked)).order_by("name")
    named = Q(name__icontains=asked) | Q(address__icontains=asked)
    nodes = Node.objects.filter(named, removed_at=None).select_related("pool").order_by("name")
    incidents = Incident.objects.filter(_numbered(asked) | Q(summary__icontains=asked)).order_by("-opened_at")
    return [
        *(Place(pool.name, "pool", reverse("nodes:pool", args=[pool.slug])) for pool in pools[:_MOST]),
        *(Place(node.name, f"node of {node.pool.name}", reverse("nodes:node", args=[node.pk])) for node in nodes[:_MOST]),
        *(Place(each.summary, f"incident {each.pk}", each.get_absolute_url()) for each in incidents[:_MOST]),
        *pages,
    ]


def _acts(asked: str) -> list[Place]:
    """“drain api-1”: acts whose words begin what is asked, on what the rest names; each asks before it does anything."""
    found = []
    nodes, pools = Node.objects.filter(removed_at=None).order_by("name"), Pool.objects.filter(removed_at=None).order_by("name")
    for actions, view, listed in ((catalogue.NODE, "nodes:node_action", nodes), (catalogue.POOL, "nodes:pool_action", pools)):
        named: dict[str, list[Any]] = {}  # by what the action leaves of the text
        for action, words in actions.items():
            label, text = words.label.lower(), asked.lower()
            if not text or not (text.startswith(label) or label.startswith(text)):
                continue
            rest = text[len(label) :].strip()
            if rest not in named:
                named[rest] = list(listed.filter(name__icontains=rest)[:_MOST])
            for row in named[rest]:
                address = reverse(view, args=[row.slug if isinstance(row, Pool) else row.pk])
                found.append(Place(f"{words.label} {row.name}…", "action", f"{address}?action={action}", asks=True))
    return found[: 2 * _MOST]


def _numbered(asked: str) -> Q:
    return Q(pk=int(asked)) if asked.isascii() and asked.isdigit() and len(asked) < 19 else Q(pk__in=())


@require_safe
@signed_in
def keys(request: HttpRequest) -> HttpResponse:
    """What each key does."""
    return render(request, "nodes/keys.html" + ("#list" if is_fragment(request) else ""), {"whole_page": not is_fragment(request)})
