"""How real calls to a node ended, reported by those who send them."""

from __future__ import annotations

import re
from hashlib import sha256
from typing import Any

import psycopg
from django.db import Error as DatabaseError
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST

from nodes import intake
from nodes.engine.reporting import TRIALS_ENOUGH
from nodes.forms.outcomes import LARGEST_BODY, UnreadableError, parse
from nodes.intake import Place, Unavailable
from nodes.ledger.reported import Counted, Key, NoSuchNodeError, OtherBodyError, Told
from nodes.models import Scope
from nodes.views.bearer import arefusal, token_of

_KEY = re.compile(r"[!-~]{1,255}")
_ONE_MORE = 64 * 1024  # bytes of a report that take one more of its token's rate
_LARGEST_ID = 2**63 - 1  # of a bigint


@csrf_exempt  # a bearer token comes with no cookie, and a session is not asked
@require_POST
async def outcomes(request: HttpRequest, pk: int) -> HttpResponse:
    """Feed the node's breaker; answers after the commit what it came to, so that callers can stop sending to a node that is out."""
    body = request.read(LARGEST_BODY + 1)
    try:
        refused = await arefusal(request, Scope.OUTCOMES, node=pk, cost=1.0 + len(body) // _ONE_MORE)
    except (DatabaseError, psycopg.Error, TimeoutError) as error:
        return _unavailable(intake.gatherer().trouble(error))
    if refused is not None:
        return refused
    if len(body) > LARGEST_BODY:
        return _problem(413, f"a batch is {LARGEST_BODY} bytes at the most; send several")
    sender = request.headers.get("Idempotency-Key")
    if sender is not None and not _KEY.fullmatch(sender):
        return _problem(400, "an Idempotency-Key is 1 to 255 visible ASCII characters")
    place = await intake.gatherer().place(pk) if pk <= _LARGEST_ID else Place(None, 0.0)
    if isinstance(place, Unavailable):
        return _unavailable(place)
    if place.pool is None:
        return _problem(404, str(NoSuchNodeError.__doc__))
    try:
        report = parse(body, place.now)
    except UnreadableError as error:
        return _problem(400, str(error))
    key = None if sender is None else _key(request, sender, body)
    return _answer(await intake.gatherer().count(place.pool, Told(pk, report, key)))


def _key(request: HttpRequest, sender: str, body: bytes) -> Key:
    """Two tokens may use the same key, and a rotated one stays the same; the body is the bytes as they came."""
    return Key(sha256(f"{token_of(request)}\0{sender}".encode()).digest(), sha256(body).digest())


def _answer(came_to: Counted | NoSuchNodeError | OtherBodyError | Unavailable) -> HttpResponse:
    match came_to:
        case Counted():
            return JsonResponse(_document(came_to), status=202)
        case NoSuchNodeError():
            return _problem(404, str(came_to))
        case OtherBodyError():
            return _problem(422, str(came_to))
        case Unavailable():
            return _unavailable(came_to)


def _document(counted: Counted) -> dict[str, Any]:
    node, tallied = counted.node, counted.tallied
    return {
        "node": node.id,
        "breaker": node.breaker.state,
        "opened_by": node.breaker.opened_by,
        "health": node.health.status,
        "share": node.share,
        "repeated": tallied is None,
        "counted": tallied.counted if tallied else 0,
        "late": [{"calls": calls, "why": why} for why, calls in tallied.late.items()] if tallied else [],
        "refused": [{"calls": tallied.rejected, "why": TRIALS_ENOUGH}] if tallied and tallied.rejected else [],
    }


def _unavailable(trouble: Unavailable) -> HttpResponse:
    answer = _problem(503, trouble.sentence)
    answer["Retry-After"] = str(trouble.retry_after)
    return answer


def _problem(status: int, sentence: str) -> HttpResponse:
    return JsonResponse({"error": sentence}, status=status)
