"""The web's entry point: pages over HTTP, live changes over one WebSocket a page."""

from __future__ import annotations

import os

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "failover_console.settings")

from django.core.asgi import get_asgi_application

http = get_asgi_application()  # loads the apps, which all that follows needs

from channels.auth import AuthMiddlewareStack  # noqa: E402 - as above
from channels.routing import ProtocolTypeRouter, URLRouter  # noqa: E402 - as above
from django.conf import settings  # noqa: E402 - as above

from failover_console.lifespan import lifespan  # noqa: E402 - as above
from failover_console.listening import start_signing  # noqa: E402 - as above
from failover_console.origin import ExactOrigin  # noqa: E402 - as above
from nodes.routing import websocket_urlpatterns  # noqa: E402 - as above

start_signing()
application = ProtocolTypeRouter(
    {
        "http": http,
        "lifespan": lifespan,
        "websocket": ExactOrigin(AuthMiddlewareStack(URLRouter(websocket_urlpatterns)), settings.WEBSOCKET_ORIGIN),
    }
)
