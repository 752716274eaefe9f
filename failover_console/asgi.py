"""The web's entry point: pages over HTTP, live changes over one WebSocket a page."""

from __future__ import annotations

import os
from typing import Any

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "failover_console.settings")

from django.core.asgi import get_asgi_application

people = get_asgi_application()  # loads the apps, which all that follows needs

from channels.auth import AuthMiddlewareStack  # noqa: E402 - as above
from channels.routing import ProtocolTypeRouter, URLRouter  # noqa: E402 - as above
from channels.sessions import CookieMiddleware  # noqa: E402 - as above
from django.conf import settings  # noqa: E402 - as above

from failover_console.accounts.requirement import live_second_factor  # noqa: E402 - as above
from failover_console.by_https import by_https  # noqa: E402 - as above
from failover_console.guard import classes  # noqa: E402 - as above
from failover_console.guard.requests import Guard  # noqa: E402 - as above
from failover_console.lifespan import lifespan  # noqa: E402 - as above
from failover_console.origin import ExactOrigin  # noqa: E402 - as above
from failover_console.program_handler import ProgramHandler, is_program  # noqa: E402 - as above
from failover_console.short_way import short_way  # noqa: E402 - as above
from nodes.receiver import receiver  # noqa: E402 - as above
from nodes.routing import websocket_urlpatterns  # noqa: E402 - as above


async def answer(scope: dict[str, Any], receive: Any, send: Any) -> None:
    """Heartbeats by their receiver, programs by the short way through Django, people by the whole."""
    if classes.name_of(scope["path"], b"") == classes.PUSHES:
        await receiver(scope, receive, send)
    else:
        await (programs if is_program(scope) else people)(scope, receive, send)


def authenticated(socket: Any) -> Any:
    """The live socket knows its session by the cookie alone; only who must have a second factor is looked for before it."""
    if settings.SECOND_FACTOR_REQUIRED == "nobody":
        return CookieMiddleware(socket)
    return AuthMiddlewareStack(live_second_factor(socket))


programs = ProgramHandler()
routes = ProtocolTypeRouter(
    {
        "http": short_way(answer),
        "lifespan": lifespan,
        "websocket": ExactOrigin(authenticated(URLRouter(websocket_urlpatterns)), settings.WEBSOCKET_ORIGIN),
    }
)
sizes = classes.Sizes(
    pages=settings.PAGES_AT_ONCE,
    live=settings.LIVE_AT_ONCE,
    logins=settings.LOGINS_AT_ONCE,
    sign_ons=settings.SIGN_ONS_AT_ONCE,
    long_polls=settings.LONG_POLLS,
)
application = by_https(Guard(routes, classes.made(sizes)))
