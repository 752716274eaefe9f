"""A local stand-in for Slack, PagerDuty and a signed webhook: it refuses what the real ones refuse and shows what arrived."""

from __future__ import annotations

import asyncio
import base64
import binascii
import hashlib
import hmac
import json
import threading
import time
from collections import defaultdict, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from failover_console.demo.door import Door
from failover_console.demo.http import Request, Response
from failover_console.demo.layout import ROUTING_KEY, SLACK_PATH, WEBHOOK_SECRET

KEPT = 200  # messages
SLACK_BURST, SLACK_WINDOW = 5, 5.0  # messages in so many seconds: about one a second, short bursts allowed
PAGERDUTY_BURST, PAGERDUTY_WINDOW = 120, 60.0
MAX_EVENT = 512_000  # bytes
SEVERITIES = ("critical", "error", "warning", "info")
SLOW = 5.0  # s


class ReceiverMode(StrEnum):
    """How the receiver is; the words are those of its switches."""

    HEALTHY = "healthy"
    DOWN = "down"
    SLOW = "slow"
    BUSY = "answer 429"


@dataclass(frozen=True)
class Message:
    """Something that was accepted."""

    number: int
    at: float
    service: str  # slack, pagerduty, webhook
    action: str
    title: str
    key: str
    body: dict[str, Any]
    woke: bool = False  # it opened an alert; one that adds to an open alert wakes nobody

    @property
    def raw(self) -> str:
        return json.dumps(self.body, indent=2, ensure_ascii=False)


@dataclass
class Alert:
    """An alert as PagerDuty keeps it: opened by a trigger, whose summary it keeps, then acknowledged, resolved under that key."""

    key: str
    routing_key: str
    title: str
    severity: str
    opened_at: float
    state: str = "triggered"
    triggers: int = 1


@dataclass
class Receiver:
    """Listens on loopback; `messages` and `alerts` are what arrived, oldest first."""

    mode: ReceiverMode = ReceiverMode.HEALTHY
    messages: deque[Message] = field(default_factory=lambda: deque(maxlen=KEPT))
    alerts: list[Alert] = field(default_factory=list)
    clock: Callable[[], float] = time.monotonic  # of the rates that it grants
    _door: Door | None = None
    _count: int = 0
    _recent: dict[str, deque[float]] = field(default_factory=lambda: defaultdict(deque))
    _seen: set[str] = field(default_factory=set)

    async def start(self, door: Door) -> None:
        self._door = door
        await door.open(self.answer)

    @property
    def port(self) -> int:
        assert self._door is not None  # it has started
        return self._door.port

    def stop(self) -> None:
        if self._door is not None:
            self._door.close()

    async def answer(self, request: Request) -> Response | None:
        """What the real service would answer."""
        if request.method != "POST":
            return Response(405, b"POST alerts here\n")
        if self.mode == ReceiverMode.DOWN:
            return Response(503, b"down by its switch\n")
        if self.mode == ReceiverMode.BUSY:
            return Response(429, b"busy by its switch\n", headers={"Retry-After": "3"})
        if self.mode == ReceiverMode.SLOW:
            await asyncio.sleep(SLOW)
        path = request.path.partition("?")[0]
        if path == "/v2/enqueue":
            return self._pagerduty(request)
        if path.startswith("/services/"):
            return self._slack(request, path)
        if path == "/webhook":
            return self._webhook(request)
        return Response(404, b"not found\n")

    @property
    def woken(self) -> int:
        """How often the person on call was woken: once for each alert that was opened."""
        return len(self.alerts)

    def _keep(self, service: str, action: str, title: str, key: str, body: dict[str, Any], *, woke: bool = False) -> None:
        self._count += 1
        self.messages.append(Message(self._count, time.time(), service, action, title, key, body, woke))

    def _too_many(self, who: str, burst: int, window: float) -> bool:
        recent, now = self._recent[who], self.clock()
        while recent and recent[0] <= now - window:
            recent.popleft()
        if len(recent) >= burst:
            return True
        recent.append(now)
        return False

    # PagerDuty Events API v2

    def _pagerduty(self, request: Request) -> Response:
        try:
            event = json.loads(request.body)
        except ValueError:
            return _bad_event("event object is invalid", ["the body is not JSON"])
        errors = _event_errors(event, len(request.body))
        if errors:
            return _bad_event("event object is invalid", errors)
        if self._too_many(event["routing_key"], PAGERDUTY_BURST, PAGERDUTY_WINDOW):
            return _json(429, {"status": "throttle exceeded", "message": "Requests for this service are arriving too quickly."})
        key = event.get("dedup_key") or hashlib.md5(request.body, usedforsecurity=False).hexdigest()
        before = self.woken
        self._change_alert(event, key)
        title = event.get("payload", {}).get("summary", "") or next((a.title for a in self.alerts if a.key == key), key)
        kept = {**event, "routing_key": "…" + event["routing_key"][-4:]}
        self._keep("pagerduty", event["event_action"], title, key, kept, woke=self.woken > before)
        return _json(202, {"status": "success", "message": "Event processed", "dedup_key": key})

    def _change_alert(self, event: dict[str, Any], key: str) -> None:
        routing = event["routing_key"]
        alert = next((a for a in reversed(self.alerts) if (a.key, a.routing_key) == (key, routing) and a.state != "resolved"), None)
        match event["event_action"]:
            case "trigger" if alert is None:
                self.alerts.append(Alert(key, routing, event["payload"]["summary"], event["payload"]["severity"], time.time()))
            case "trigger" if alert is not None:
                alert.triggers += 1
            case "acknowledge" if alert is not None:
                alert.state = "acknowledged"
            case "resolve" if alert is not None:
                alert.state = "resolved"

    # Slack incoming webhook

    def _slack(self, request: Request, path: str) -> Response:
        if path != SLACK_PATH:
            return Response(404, b"no_service")
        if self._too_many("slack", SLACK_BURST, SLACK_WINDOW):
            return Response(429, b"rate_limited", headers={"Retry-After": "1"})
        try:
            message = json.loads(request.body)
        except ValueError:
            return Response(400, b"invalid_payload")
        if not isinstance(message, dict):
            return Response(400, b"invalid_payload")
        error = _slack_error(message)
        if error:
            return Response(400, error.encode())
        self._keep("slack", "message", str(message.get("text", ""))[:300], "", message)
        return Response(200, b"ok")

    # Standard Webhooks

    def _webhook(self, request: Request) -> Response:
        identity = request.headers.get("webhook-id", "")
        if not identity or not _signed(request):
            return _json(401, {"error": "the signature does not fit"})
        body = json.loads(request.body)
        if identity not in self._seen:
            self._seen.add(identity)
            self._keep("webhook", str(body.get("type", "")), str(body.get("type", "")), identity, body)
        return _json(200, {"status": "ok"})


def _json(status: int, body: dict[str, Any]) -> Response:
    return Response(status, json.dumps(body).encode(), "application/json")


def _bad_event(message: str, errors: list[str]) -> Response:
    return _json(400, {"status": "invalid event", "message": message, "errors": errors})


def _event_errors(event: Any, size: int) -> list[str]:
    """What PagerDuty would object to."""
    if not isinstance(event, dict):
        return ["the event is no object"]
    errors = []
    if size > MAX_EVENT:
        errors.append("the event is larger than 512 KB")
    if not isinstance(event.get("routing_key"), str) or len(event["routing_key"]) != len(ROUTING_KEY):
        errors.append("'routing_key' is missing or has not 32 characters")
    action = event.get("event_action")
    if action not in ("trigger", "acknowledge", "resolve"):
        errors.append("'event_action' must be trigger, acknowledge or resolve")
    if len(str(event.get("dedup_key", ""))) > 255:
        errors.append("'dedup_key' is longer than 255 characters")
    if action in ("acknowledge", "resolve") and not event.get("dedup_key"):
        errors.append("'dedup_key' is missing")
    if action == "trigger":
        errors += _payload_errors(event.get("payload"))
    return errors


def _payload_errors(payload: Any) -> list[str]:
    if not isinstance(payload, dict):
        return ["'payload' is missing or blank"]
    errors = [f"'payload.{name}' is missing or blank" for name in ("summary", "source", "severity") if not payload.get(name)]
    if len(str(payload.get("summary", ""))) > 1024:
        errors.append("'payload.summary' is longer than 1024 characters")
    if payload.get("severity") not in SEVERITIES:
        errors.append("'payload.severity' must be critical, error, warning or info")
    return errors


def _slack_error(message: dict[str, Any]) -> str:
    """The word with which Slack would refuse; empty when it would not."""
    blocks = message.get("blocks", [])
    if not message.get("text") and not blocks:
        return "no_text"
    if not isinstance(blocks, list) or len(blocks) > 50:
        return "invalid_blocks"
    texts = [
        str(block.get("text", {}).get("text", ""))
        for block in blocks
        if isinstance(block, dict) and isinstance(block.get("text"), dict)
    ]
    if any(len(text) > 3000 for text in texts):
        return "invalid_blocks"
    headers = [block for block in blocks if isinstance(block, dict) and block.get("type") == "header"]
    if any(len(str(header.get("text", {}).get("text", ""))) > 150 for header in headers):
        return "invalid_blocks"
    return "msg_blocks_too_long" if sum(map(len, texts)) > 13_200 else ""


def _signed(request: Request) -> bool:
    """Whether one of the signatures is made with the demo's secret over id, timestamp and body."""
    try:
        secret = base64.b64decode(WEBHOOK_SECRET.removeprefix("whsec_"))
        stamp = request.headers["webhook-timestamp"]
        signed = f"{request.headers['webhook-id']}.{stamp}.".encode() + request.body
        json.loads(request.body)
    except (KeyError, ValueError, binascii.Error):
        return False
    expected = base64.b64encode(hmac.new(secret, signed, hashlib.sha256).digest()).decode()
    given = [part.removeprefix("v1,") for part in request.headers.get("webhook-signature", "").split(" ")]
    return any(hmac.compare_digest(expected, each) for each in given) and abs(time.time() - float(stamp)) < 300


class ReceiverThread:
    """A receiver in a thread of its own, for code without an event loop: `with ReceiverThread() as receiver`."""

    def __init__(self) -> None:
        self.receiver = Receiver()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)

    def __enter__(self) -> Receiver:
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self.receiver.start(Door()), self._loop).result(5)
        return self.receiver

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self.receiver.stop)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)
        self._loop.close()
