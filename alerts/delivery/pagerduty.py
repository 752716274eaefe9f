"""Sends to PagerDuty's Events API v2: one POST; the key that opens an alert is the key that resolves it."""

from __future__ import annotations

import json
from typing import Any

from alerts.delivery.answers import classify
from alerts.delivery.types import Accepted, Endpoint, Message, Outcome, Payload, Post, Refused, Reply, RetryAfter
from alerts.rules import Action

_PATH = "/v2/enqueue"
_SUMMARY = 1024  # characters
_ACTIONS = {
    Action.TRIGGER: "trigger",
    Action.INFO: "trigger",
    Action.TEST: "trigger",
    Action.ACKNOWLEDGE: "acknowledge",
    Action.RESOLVE: "resolve",
}
_CLIENT = "Failover console"


def send(message: Message, endpoint: Endpoint, post: Post, now: float) -> Outcome:
    """One event; 202 means that it was taken in."""
    url = endpoint.base_url.rstrip("/") + _PATH
    reply = post(url, json.dumps(render(message, endpoint.key)).encode(), {"Content-Type": "application/json"})
    return outcome_of(reply, now) if isinstance(reply, Reply) else reply


def outcome_of(reply: Reply, now: float) -> Outcome:
    classified = classify(reply, now)
    if isinstance(classified, Refused) and reply.status == 400:
        return Refused("PagerDuty refused the event: wrong routing key or field", status=400)
    if classified is not None:
        return classified
    if reply.status == 202:
        return Accepted(reply.status)
    return RetryAfter(None, f"answered {reply.status}, PagerDuty answers 202", ambiguous=True, status=reply.status)


def render(message: Message, routing_key: str) -> dict[str, Any]:
    """The JSON of the event; an acknowledgement or a resolve needs nothing but its key."""
    action = _ACTIONS[message.action]
    body: dict[str, Any] = {"routing_key": routing_key, "event_action": action, "dedup_key": message.key}
    if action != "trigger":
        return body
    payload = message.payload
    source = payload.node or payload.pool or _CLIENT
    described = {
        "summary": _line(payload.title if payload.text in ("", payload.title) else f"{payload.title}: {payload.text}", _SUMMARY),
        "source": _line(source, 255),
        "severity": payload.severity,
        "timestamp": payload.at,
        "component": _line(payload.node, 255),
        "group": _line(payload.pool, 255),
        "class": payload.type,
        "custom_details": _details(payload),
    }
    body["payload"] = {name: value for name, value in described.items() if value}
    body["links"] = [
        {"href": href, "text": text} for href, text in ((payload.url, "Open in the console"), (payload.runbook, "Runbook")) if href
    ]
    body["client"], body["client_url"] = _CLIENT, payload.console
    return body


def _details(payload: Payload) -> dict[str, str]:
    named = {
        "what happened": payload.text, "what was done": payload.did, "pool": payload.pool, "node": payload.node,
        "since": payload.since, "runbook": payload.runbook, "incident": str(payload.incident or ""),
    }  # fmt: skip  # pairs on few lines
    return {name: value for name, value in named.items() if value}


def _line(text: str, limit: int) -> str:
    cleaned = "".join(c if c.isprintable() else " " for c in text)
    return cleaned if len(cleaned) <= limit else cleaned[: limit - 1] + "…"
