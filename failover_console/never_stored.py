"""No page and no export stays in a browser's or a proxy's store: they show what only who is signed in may see.

Static files are served before it.  What a program gets by its own bearer token keeps what the view says, such as the `no-cache`
of the shares, whose ETag saves the program the body.
"""

from __future__ import annotations

from collections.abc import Callable
from inspect import iscoroutinefunction
from typing import Any

from django.http import HttpRequest, HttpResponseBase
from django.utils.decorators import sync_and_async_middleware

NO_STORE = "no-store"


@sync_and_async_middleware
def never_stored(get_response: Callable[[HttpRequest], Any]) -> Callable[[HttpRequest], Any]:
    """Works both ways, as a long poll must hold no thread."""
    if iscoroutinefunction(get_response):

        async def answer_later(request: HttpRequest) -> HttpResponseBase:
            return _marked(request, await get_response(request))

        return answer_later

    def answer(request: HttpRequest) -> HttpResponseBase:
        return _marked(request, get_response(request))

    return answer


def _marked(request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
    """With `no-store`; a signed-in browser that asks the API is no program."""
    by_token = "Authorization" in request.headers and "Cache-Control" in response
    if not by_token and NO_STORE not in response.get("Cache-Control", ""):
        response["Cache-Control"] = NO_STORE
    return response
