"""WebSocket addresses."""

from __future__ import annotations

from typing import Any

from django.urls import path, re_path

from nodes.consumers import live, unknown

websocket_urlpatterns: list[Any] = [
    path("ws/live/", live),  # type: ignore[arg-type]  # an ASGI application, which channels routes to
    re_path("", unknown),  # type: ignore[arg-type]  # as above
]
