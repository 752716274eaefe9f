"""The demo's own pages: the switches of the fleet, and what the receiver got."""

from __future__ import annotations

import json
import re
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlsplit

from django.conf import settings
from django.template.loader import render_to_string

from failover_console.demo.fleet import Fleet, Mode
from failover_console.demo.http import Request, Response, see_other
from failover_console.demo.identity import identity
from failover_console.demo.receiver import Receiver, ReceiverMode

_STYLE = Path(__file__).with_name("demo.css")
_CONSOLE = Path(__file__).parent.parent / "static"
_SHARED = {"console": ("css", "text/css"), "icons": ("svg", "image/svg+xml"), "favicon": ("svg", "image/svg+xml")}  # of the console
_SAFE = {
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; frame-ancestors 'none'",
    "Cache-Control": "no-store",
}


class Pages:
    """The switches and what the receiver got, of this console's demo alone."""

    def __init__(self, fleet: Fleet, receiver: Receiver) -> None:
        self._fleet, self._receiver = fleet, receiver

    async def answer(self, request: Request) -> Response | None:
        path = request.path.partition("?")[0]
        if request.method == "POST":
            return await self._switch(request, path)
        if request.query.get("of", identity()) != identity():
            return Response(404, f"This is the demo of the console at {settings.PUBLIC_URL}, not of yours.\n".encode())
        match path.strip("/").split("/"):
            case [""]:
                return self._page(request, "demo/switches.html", here="switches", servers=list(self._fleet.servers.values()))
            case ["demo.css"]:
                return Response(200, _STYLE.read_bytes(), "text/css", _SAFE)
            case ["static", name] if (stem := name.partition(".")[0]) in _SHARED:
                ending, kind = _SHARED[stem]
                return Response(200, (_CONSOLE / f"{stem}.{ending}").read_bytes(), kind, _SAFE)
            case ["messages"]:
                return self._messages(request)
            case ["messages.json"]:
                return self._as_json()
            case ["nodes", name] if name in self._fleet.servers:
                return self._page(request, "demo/switches.html", servers=[self._fleet.servers[name]], one=True)
        return Response(404, b"not found\n")

    async def _switch(self, request: Request, path: str) -> Response:
        if not request.from_own_page:
            return Response(403, b"this form belongs to another page\n")
        mode = request.form.get("mode", "")
        match path.strip("/").split("/"):
            case ["nodes", name] if name in self._fleet.servers and mode in set(self._fleet.servers[name].modes):
                await self._fleet.switch(name, Mode(mode))
                return see_other("/" if request.form.get("back") != "one" else path)
            case ["receiver"] if mode in set(ReceiverMode):
                self._receiver.mode = ReceiverMode(mode)
                return see_other("/messages")
        return Response(400, b"no such switch\n")

    def _messages(self, request: Request) -> Response:
        shown = [(datetime.fromtimestamp(each.at, UTC), each) for each in reversed(self._receiver.messages)]
        alerts = list(reversed(self._receiver.alerts))
        state = {"mode": self._receiver.mode, "modes": list(ReceiverMode), "woken": self._receiver.woken}
        return self._page(request, "demo/messages.html", here="receiver", messages=shown, alerts=alerts, **state)

    def _as_json(self) -> Response:
        body = {
            "woken": self._receiver.woken,
            "messages": [asdict(each) for each in self._receiver.messages],
            "alerts": [asdict(each) | {"routing_key": "…" + each.routing_key[-4:]} for each in self._receiver.alerts],
        }
        return Response(200, json.dumps(body).encode(), "application/json", _SAFE)

    def _page(self, request: Request, template: str, **context: object) -> Response:
        theme = re.search(r"(?:^|; )theme=(light|dark)(?:;|$)", request.headers.get("cookie", ""))  # cookies know no port
        context["theme"] = theme[1] if theme else ""
        context |= {
            "console": settings.PUBLIC_URL,
            "console_name": urlsplit(settings.PUBLIC_URL).netloc,
        }
        return Response(200, render_to_string(template, context).encode(), "text/html; charset=utf-8", _SAFE)
