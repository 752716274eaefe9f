"""The short way of a report: straight to its view, past Django's middleware, which would take several times as long as the report.

Nothing of the middleware is for it: no cookie, no session, no page.  What is unusual about a request (another method, an unknown
host, http where https is to be) goes the long way, and gets the answer that Django gives.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Awaitable, Callable, Mapping
from io import BytesIO
from typing import Any

from django.conf import settings
from django.core.exceptions import DisallowedHost
from django.core.handlers.asgi import ASGIRequest
from django.http import HttpResponse, JsonResponse

from nodes.forms.outcomes import LARGEST_BODY
from nodes.views.outcomes import outcomes

Message = Mapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[dict[str, Any], Receive, Send], Awaitable[None]]

_REPORT = re.compile(r"/api/v1/nodes/([0-9]{1,19})/outcomes")
_ENDING = "the console is ending, and it is not known whether this report was counted; report again with the same Idempotency-Key"
_log = logging.getLogger(__name__)


def short_way(django: Application) -> Application:
    """An ASGI application that takes reports by itself, and hands all else on."""

    async def application(scope: dict[str, Any], receive: Receive, send: Send) -> None:
        found = _REPORT.fullmatch(scope["path"]) if scope["method"] == "POST" else None
        if found is None or not _is_plain(ASGIRequest(scope, BytesIO())):
            await django(scope, receive, send)
            return
        body = await _body(receive)
        if body is not None:
            await _send(send, await _answered(ASGIRequest(scope, BytesIO(body)), int(found[1])))

    return application


def _is_plain(request: ASGIRequest) -> bool:
    try:
        request.get_host()
    except DisallowedHost:
        return False
    return request.is_secure() or not settings.SECURE_SSL_REDIRECT


async def _body(receive: Receive) -> bytes | None:
    """The body, or as much of it as tells that it is too large; None when the client went away."""
    parts, size = [], 0
    while size <= LARGEST_BODY:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        parts.append(message.get("body", b""))
        size += len(parts[-1])
        if not message.get("more_body"):
            break
    return b"".join(parts)


async def _answered(request: ASGIRequest, node: int) -> HttpResponse:
    try:
        return await outcomes(request, node)
    except asyncio.CancelledError:  # the server waits no longer for those who are being answered
        return JsonResponse({"error": _ENDING}, status=503, headers={"Retry-After": "2"})
    except Exception as error:  # a fault of ours is one line for the log, whoever can bring it about
        _log.error("a report for node %s was not taken: %s: %s", node, type(error).__name__, str(error).partition("\n")[0])
        return JsonResponse({"error": "a fault of the console, this report was not counted"}, status=500)


async def _send(send: Send, answer: HttpResponse) -> None:
    answer.headers["Content-Length"] = str(len(answer.content))
    answer.headers["X-Content-Type-Options"] = "nosniff"
    headers = [(name.lower().encode("ascii"), value.encode("latin-1")) for name, value in answer.items()]
    await send({"type": "http.response.start", "status": answer.status_code, "headers": headers})
    await send({"type": "http.response.body", "body": answer.content})
