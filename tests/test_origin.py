"""Which pages may open a WebSocket."""

from __future__ import annotations

from typing import Any

import pytest

from failover_console.origin import ExactOrigin, origin

OURS = "https://console.example"


async def _answer(*origins: bytes) -> str:
    """`accepted` when the connection reached the application, else the type of what was sent instead."""
    sent: list[str] = []

    async def application(scope: Any, receive: Any, send: Any) -> None:
        sent.append("accepted")

    async def receive() -> dict[str, Any]:
        return {"type": "websocket.connect"}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message["type"])

    headers = [(b"host", b"console.example"), *((b"origin", value) for value in origins)]
    await ExactOrigin(application, OURS)({"type": "websocket", "path": "/ws/live/", "headers": headers}, receive, send)
    return sent[0]


@pytest.mark.parametrize("given", [b"https://console.example", b"https://console.example:443", b"https://Console.Example"])
async def test_our_own_pages_may_connect(given: bytes) -> None:
    assert await _answer(given) == "accepted"


@pytest.mark.parametrize(
    "given",
    [
        b"http://console.example",
        b"https://console.example:8443",
        b"https://console.example:0",
        b"https://other.example",
        b"https://console.example.other.example",
        b"https://user@console.example",
        b"https://console.example/path",
        b"null",
        b"",
    ],
)
async def test_pages_of_another_scheme_host_or_port_may_not(given: bytes) -> None:
    assert await _answer(given) == "websocket.close"


@pytest.mark.parametrize(
    "given", [b"https://[::1", b"https://console.example:99999", b"https://console.example:x", b"\xff\xfe", b"://"]
)
async def test_a_malformed_origin_is_denied_and_raises_nothing(given: bytes) -> None:
    assert await _answer(given) == "websocket.close"


async def test_a_missing_or_doubled_origin_is_denied() -> None:
    assert await _answer() == "websocket.close"
    assert await _answer(OURS.encode(), OURS.encode()) == "websocket.close"


def test_an_origin_without_a_port_has_the_port_of_its_scheme() -> None:
    assert origin("https://console.example") == ("https", "console.example", 443)
    assert origin("http://console.example") == ("http", "console.example", 80)
