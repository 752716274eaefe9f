"""How static files are kept and served.

WhiteNoise's own middleware is synchronous, so each long poll would hold a thread all the while: `static_files` works both ways.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from inspect import iscoroutinefunction
from pathlib import Path
from typing import Any

import minify
import rcssmin
from django.core.files.base import ContentFile, File
from django.http import HttpRequest, HttpResponseBase
from django.utils.decorators import sync_and_async_middleware
from whitenoise.middleware import WhiteNoiseMiddleware
from whitenoise.storage import CompressedManifestStaticFilesStorage

_SHORTER: dict[str, Callable[[str], str]] = {".js": partial(minify.string, "application/javascript"), ".css": rcssmin.cssmin}


class CollectedFiles(CompressedManifestStaticFilesStorage):  # type: ignore[misc]  # whitenoise ships no types
    """Named by their content and compressed; our own scripts and sheets without comments and indentation."""

    def _save(self, name: str, content: File[bytes]) -> str:
        content.seek(0)  # its name was made of what was read
        shorten = _SHORTER.get(Path(name).suffix) if "/" not in name else None
        kept: str = super()._save(name, ContentFile(shorten(content.read().decode()).encode()) if shorten else content)
        return kept


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
