"""The API for load balancers: the shares of a pool."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from zlib import crc32

from asgiref.sync import sync_to_async
from django.db import close_old_connections, connection
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.utils.cache import get_conditional_response
from django.views.decorators.http import require_safe

from nodes import epochs
from nodes.engine.enums import AdminState, Health, Mode, State
from nodes.engine.service import PoolStatus, Service
from nodes.engine.types import FULL_SHARE
from nodes.ledger.clock import database_now
from nodes.ledger.service import truths
from nodes.models import NodeState, PoolState, Scope
from nodes.single_flight import SingleFlight
from nodes.views.bearer import long_poll, refusal

LONGEST_WAIT = 60.0  # s


@require_safe
async def shares(request: HttpRequest, slug: str) -> HttpResponse:
    """Epoch, shares and states of a pool, and what its users feel.

    `ETag`/`If-None-Match` save the body; `?wait=30&epoch=N` answers when the epoch passes N, or after the wait with what is.
    """
    if (refused := await sync_to_async(refusal)(request, Scope.SHARES, pool=slug)) is not None:
        return refused
    try:
        wait, epoch = _wait_and_epoch(request.GET)
    except ValueError:
        return _problem(400, f"wait is 0 to {LONGEST_WAIT:.0f} seconds and epoch a whole number, for example ?wait=30&epoch=7")
    found = await _documents.answer(slug)
    if found is None:
        return _problem(404, f"there is no pool with the slug {slug[:80]}")
    if wait and found["epoch"] <= epoch:
        with long_poll(request) as refused:
            if refused is not None:
                return refused
            passed = await epochs.passed(found["pool_id"], epoch, wait)
        if passed:
            found = await _documents.answer(slug) or found
    return _answer(request, found)


def _wait_and_epoch(query: Mapping[str, str]) -> tuple[float, int]:
    """How long to wait, in seconds, for which epoch to pass; ValueError for what is neither."""
    wait, epoch = float(query.get("wait", 0)), int(query.get("epoch", 0))
    if not (0 <= wait <= LONGEST_WAIT and epoch >= 0):  # not a number is refused, too
        raise ValueError
    return wait, epoch


def _problem(status: int, sentence: str) -> HttpResponse:
    return JsonResponse({"error": sentence}, status=status)


def _document(slug: str) -> dict[str, Any] | None:
    """The document of a pool.

    The epoch is read before the shares: a change in between shows shares that are newer than their epoch, never older,
    and who waits for the next epoch gets it.
    """
    state = PoolState.objects.select_related("pool__breaker_policy").filter(pool__slug=slug, pool__removed_at=None).first()
    if state is None:
        return None
    nodes = NodeState.objects.filter(node__pool_id=state.pool_id, node__removed_at=None).select_related(
        "node__pool__failover_policy"
    )
    now = database_now()
    service = next((known for _, known in truths([slug])), None)
    trial_calls = state.pool.breaker_policy.max_requests
    return {
        "pool": state.pool.slug,
        "pool_id": state.pool_id,
        "epoch": state.epoch,
        "epoch_at": state.epoch_at.isoformat() if state.epoch_at else None,
        "as_of": now.isoformat(),
        "full_share": FULL_SHARE,
        "service": service.service if service is not None else Service.UNKNOWN,
        "state": service.status if service is not None else PoolStatus.UNKNOWN,
        "nodes": [_node(each, now, trial_calls) for each in nodes.order_by("node_id")],
    }


def _read(slug: str) -> dict[str, Any] | None:
    """The document, read on a thread that is no request's: nobody else gives its connection back."""
    try:
        return _document(slug)
    finally:
        if not connection.in_atomic_block:  # else it is one of a test
            close_old_connections()


_documents: SingleFlight[str, dict[str, Any] | None] = SingleFlight(sync_to_async(_read))


def _node(state: NodeState, now: datetime, trial_calls: int) -> dict[str, Any]:
    return {
        "id": state.node_id,
        "name": state.node.name,
        "address": state.node.address,
        "port": state.node.port,
        "share": state.share,
        "health": state.health,
        "breaker": state.breaker_state,
        "mode": state.breaker_mode,
        "admin_state": state.admin_state,
        "stale": state.is_stale(now),
        "checked_at": state.observed_at.isoformat() if state.observed_at else None,
        "max_requests": trial_calls if _on_trial(state, now) else None,
    }


def _on_trial(state: NodeState, now: datetime) -> bool:
    """Whether the node's half-open breaker lets trials through, of which so many may be in flight at a time."""
    fit = state.admin_state == AdminState.ENABLED and state.health in (Health.HEALTHY, Health.DEGRADED) and not state.is_stale(now)
    return fit and state.breaker_mode == Mode.AUTO and state.breaker_state == State.HALF_OPEN


def _answer(request: HttpRequest, document: dict[str, Any]) -> HttpResponse:
    """The document with an ETag that changes with any part of it but the instants at which it was looked at and checked."""
    told = [{name: value for name, value in node.items() if name != "checked_at"} for node in document["nodes"]]
    states = crc32(repr((document["service"], document["state"], told)).encode())
    tag = f'"{document["epoch"]}-{states:x}"'
    answer = JsonResponse(document, headers={"ETag": tag, "Cache-Control": "no-cache"})
    return get_conditional_response(request, etag=tag, response=answer) or answer
