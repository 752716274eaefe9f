"""What a check sees: asked now for whoever looks closely, or kept with a failure."""

from __future__ import annotations

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.utils import timezone
from django.views.decorators.http import require_http_methods, require_safe

from nodes.forms.tested import tested
from nodes.ledger import runners
from nodes.ledger.checks import read_checks
from nodes.models import Failure, Node
from nodes.operations import ledger
from nodes.probes.spec import CheckSpec
from nodes.runner import specs
from nodes.screens.check_seen import checks_seen
from nodes.views.responses import for_operators


@require_http_methods(["GET", "HEAD", "POST"])
@for_operators
def node_test(request: HttpRequest, pk: int) -> HttpResponse:
    """GET is the page with its button, POST asks the node now."""
    node = get_object_or_404(Node.objects.select_related("pool", "state"), pk=pk, removed_at=None)
    context = {"node": node, "title": f"Test of {node.name}", "back_to": node.get_absolute_url()}
    found = tested(_spec(node)) if request.method == "POST" else {"status": 200}
    return render(request, "nodes/check_test.html", {**context, **found}, status=found["status"])


def _spec(node: Node) -> CheckSpec:
    with ledger() as cursor:
        rows = read_checks(cursor, node.pk).get(node.pk)
        if not rows:
            raise Http404
        listening = runners.listening(cursor, timezone.now().timestamp())
    beat = node.state.last_beat_at
    since, until = listening or (None, None)
    return specs.made_of(rows).heard(beat.timestamp() if beat else None, since, until)


@require_safe
@for_operators
def failure(request: HttpRequest, pk: int) -> HttpResponse:
    """What the last failing check of a failure saw."""
    found = get_object_or_404(Failure.objects.select_related("node__pool", "incident"), pk=pk)
    return render(request, "nodes/failure.html", {"failure": found, "checks": checks_seen(found.evidence)})
