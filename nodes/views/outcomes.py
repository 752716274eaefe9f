"""How real calls to a node ended, reported by those who send them."""

from __future__ import annotations

from django.http import HttpRequest, JsonResponse
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST

from nodes import operations
from nodes.forms.outcomes import LARGEST_BODY, UnreadableError, parse
from nodes.ledger.clock import database_now
from nodes.models import Node, Scope
from nodes.views.bearer import refusal

RETRY_AFTER = 10  # s


@csrf_exempt  # a bearer token comes with no cookie; `refusal` takes no session here
@require_POST
def outcomes(request: HttpRequest, pk: int) -> JsonResponse:
    """Feed the node's breaker; answers what it came to, so that a caller can stop sending to a node that is out."""
    if (refused := refusal(request, Scope.OUTCOMES, session=False)) is not None:
        return refused
    body = request.read(LARGEST_BODY + 1)
    if len(body) > LARGEST_BODY:
        return _problem(413, f"a batch is {LARGEST_BODY} bytes at the most; send several")
    try:
        report = parse(body, database_now().timestamp())
    except UnreadableError as error:
        return _problem(400, str(error))
    try:
        node = operations.report_outcomes(pk, report)
    except operations.Refused as refused:
        if not Node.objects.filter(pk=pk, removed_at=None).exists():
            return _problem(404, "there is no such node, or it was removed")
        answer = _problem(503, f"not counted, report again later: {refused}")
        answer["Retry-After"] = str(RETRY_AFTER)
        return answer
    return JsonResponse(
        {
            "node": node.id,
            "breaker": node.breaker.state,
            "opened_by": node.breaker.opened_by,
            "health": node.health.status,
            "share": node.share,
        }
    )


def _problem(status: int, sentence: str) -> JsonResponse:
    return JsonResponse({"error": sentence}, status=status)
