"""WhiteNoise for requests that wait: its own middleware is synchronous, so each long poll would hold a thread all the while."""

from __future__ import annotations

from collections.abc import Callable
from inspect import iscoroutinefunction
from typing import Any

from django.http import HttpRequest, HttpResponseBase
from django.utils.decorators import sync_and_async_middleware
from whitenoise.middleware import WhiteNoiseMiddleware


def _no_file(_request: HttpRequest) -> None:
    return None


@sync_and_async_middleware
def static_files(get_response: Callable[[HttpRequest], Any]) -> Callable[[HttpRequest], Any]:
    """Serve what is a static file, ask `get_response` for the rest, in the way in which that one works."""
    files = WhiteNoiseMiddleware(_no_file)  # finding a file is a look into a dictionary

    if iscoroutinefunction(get_response):

        async def answer_later(request: HttpRequest) -> HttpResponseBase:
            found: HttpResponseBase | None = files(request)
            return await get_response(request) if found is None else found

        return answer_later

    def answer(request: HttpRequest) -> HttpResponseBase:
        found: HttpResponseBase | None = files(request)
        return get_response(request) if found is None else found

    return answer
