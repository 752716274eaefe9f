"""What programs ask: where traffic is to go, and the heartbeats of nodes that call us."""

from __future__ import annotations

from typing import Any
from zlib import crc32

from asgiref.sync import sync_to_async
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.utils import timezone
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_http_methods, require_safe

from nodes import epochs, operations
from nodes.engine.values import FULL_SHARE
from nodes.models import ApiToken, NodeState, PoolState, Scope

LONGEST_WAIT = 60.0  # s


@require_safe
async def shares(request: HttpRequest, slug: str) -> HttpResponse:
    """Epoch, shares and states of a pool.

    `ETag`/`If-None-Match` save the body; `?wait=30&epoch=N` answers when the epoch passes N, or after the wait with what is.
    """
    if (refusal := await sync_to_async(_refusal)(request)) is not None:
        return refusal
    try:
        wait, epoch = float(request.GET.get("wait", 0)), int(request.GET.get("epoch", 0))
    except ValueError:
        return _problem(400, "wait is seconds and epoch a whole number, for example ?wait=30&epoch=7")
    found = await sync_to_async(_document)(slug)
    if found is None:
        return _problem(404, f"there is no pool with the slug {slug[:80]}")
    if 0 < wait <= LONGEST_WAIT and found["epoch"] <= epoch and await epochs.passed(found["pool_id"], epoch, wait):
        found = await sync_to_async(_document)(slug) or found
    return _answer(request, found)


def _refusal(request: HttpRequest) -> HttpResponse | None:
    bearer = request.headers.get("Authorization", "")
    if bearer.startswith("Bearer ") and ApiToken.find(bearer.removeprefix("Bearer "), Scope.SHARES, timezone.now()):
        return None
    if not bearer and request.user.is_authenticated:
        return None
    answer = _problem(401, "a bearer token with the scope shares is needed")
    answer["WWW-Authenticate"] = "Bearer"
    return answer


def _problem(status: int, sentence: str) -> HttpResponse:
    return JsonResponse({"error": sentence}, status=status)


def _document(slug: str) -> dict[str, Any] | None:
    state = PoolState.objects.select_related("pool").filter(pool__slug=slug, pool__removed_at=None).first()
    if state is None:
        return None
    nodes = NodeState.objects.filter(node__pool_id=state.pool_id, node__removed_at=None).select_related("node").order_by("node_id")
    return {
        "pool": state.pool.slug,
        "pool_id": state.pool_id,
        "epoch": state.epoch,
        "epoch_at": state.epoch_at.isoformat() if state.epoch_at else None,
        "full_share": FULL_SHARE,
        "nodes": [
            {
                "id": each.node_id,
                "name": each.node.name,
                "address": each.node.address,
                "port": each.node.port,
                "share": each.share,
                "health": each.health,
                "breaker": each.breaker_state,
                "mode": each.breaker_mode,
                "admin_state": each.admin_state,
                "stale": each.stale,
            }
            for each in nodes
        ],
    }


def _answer(request: HttpRequest, document: dict[str, Any]) -> HttpResponse:
    """The document with an ETag that changes with any part of it."""
    states = crc32(repr(document["nodes"]).encode())
    tag = f'"{document["epoch"]}-{states:x}"'
    if request.headers.get("If-None-Match") == tag:
        answer: HttpResponse = HttpResponse(status=304)
    else:
        answer = JsonResponse(document)
    answer["ETag"] = tag
    answer["Cache-Control"] = "no-cache"
    return answer


@csrf_exempt
@require_http_methods(["GET", "POST", "HEAD"])
def push(request: HttpRequest, pk: int, secret: str) -> HttpResponse:
    """A node says that it is alive; its secret is in the address."""
    if not operations.heartbeat(pk, secret):
        return HttpResponse("no such node, or another secret\n", status=404, content_type="text/plain")
    return HttpResponse("ok\n", content_type="text/plain")
