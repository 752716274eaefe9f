"""One request to an ASGI application, as the server hands it over."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

Application = Callable[[Any, Any, Any], Awaitable[Any]]


@dataclass(frozen=True)
class Answer:
    """Status, header fields in lower case, and body."""

    status: int
    headers: Mapping[str, str]
    body: bytes


async def asked(
    application: Application,
    method: str,
    target: str,
    *,
    headers: Mapping[str, str] | None = None,
    body: Sequence[bytes] = (b"",),
    client: str = "127.0.0.1",
) -> Answer:
    """The answer to a request whose body comes in these parts; who asks stays until it is answered."""
    path, _, query = target.partition("?")
    fields = {"Host": "127.0.0.1", **(headers or {})}
    scope = {
        "type": "http",
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "root_path": "",
        "path": unquote(path),
        "raw_path": path.encode(),
        "query_string": query.encode(),
        "server": ("127.0.0.1", 80),
        "client": (client, 50_000),
        "headers": [(name.lower().encode(), value.encode("latin-1")) for name, value in fields.items()],
        "state": {},
    }
    parts, sent = list(body), []

    async def receive() -> dict[str, Any]:
        if not parts:
            await asyncio.Event().wait()
        return {"type": "http.request", "body": parts.pop(0), "more_body": bool(parts)}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    await application(scope, receive, send)
    said = {name.decode().lower(): value.decode("latin-1") for name, value in sent[0].get("headers", [])}
    return Answer(sent[0]["status"], said, b"".join(message.get("body", b"") for message in sent[1:]))
