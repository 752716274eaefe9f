"""Sends to a Slack incoming webhook: a message of Block Kit, and answers that are one word."""

from __future__ import annotations

import json
from typing import Any

from alerts.delivery.answers import classify
from alerts.delivery.types import Accepted, Disable, Endpoint, Message, Outcome, Payload, Post, Refused, Reply, RetryAfter
from alerts.rules import Action

_HEADER = 150  # characters, Slack's limits
_TEXT = 3000
_FIELD = 2000
_FALLBACK = 4000
_BLOCKS = 12_000  # all block text together; Slack refuses about 13 200
_PERMANENT_ERRORS = frozenset(
    {
        "channel_not_found",
        "channel_is_archived",
        "action_prohibited",
        "invalid_token",
        "no_service",
        "no_service_id",
        "no_active_hooks",
        "no_team",
        "team_disabled",
        "posting_to_general_channel_denied",
    }
)
_REFUSALS = frozenset(
    {
        "invalid_payload",
        "user_not_found",
        "no_text",
        "too_many_attachments",
        "invalid_blocks",
        "invalid_blocks_format",
        "msg_blocks_too_long",
    }
)
_LABELS = {"critical": "🔴 Critical", "warning": "🟠 Warning", "info": "🔵 Info"}


def send(message: Message, endpoint: Endpoint, post: Post, now: float) -> Outcome:
    """One message, accepted only by the word `ok`."""
    reply = post(endpoint.address, json.dumps(render(message)).encode(), {"Content-Type": "application/json; charset=utf-8"})
    return outcome_of(reply, now) if isinstance(reply, Reply) else reply


def outcome_of(reply: Reply, now: float) -> Outcome:
    """By the body's word first, by the status second: some words come with several statuses."""
    word = reply.body[:64].decode("ascii", "replace").strip()
    if word in _PERMANENT_ERRORS:
        return Refused(f"Slack says {word}", Disable.NOW, reply.status)
    if word in _REFUSALS:
        return Refused(f"Slack says {word}", status=reply.status)
    classified = classify(reply, now)
    if classified is not None:
        return classified
    if word == "ok":
        return Accepted(reply.status)
    return RetryAfter(None, f"answered {reply.status}, but not with Slack's ok", ambiguous=True, status=reply.status)


def render(message: Message) -> dict[str, Any]:
    """The JSON of the message; `text` is what notifications on a phone show."""
    payload = message.payload
    title = f"{_label(message)}: {payload.title}"
    blocks: list[dict[str, Any]] = [{"type": "header", "text": _plain(title, _HEADER)}]
    if payload.text and payload.text != payload.title:
        blocks.append({"type": "section", "text": _plain(payload.text, _TEXT, lines=True)})
    if shown := _fields(payload):
        blocks.append({"type": "section", "fields": shown})
    if payload.did:
        blocks.append({"type": "section", "text": _plain(f"What was done: {payload.did}", _TEXT, lines=True)})
    blocks.append({"type": "section", "text": {"type": "mrkdwn", "text": _links(payload)}})
    return {
        "text": escaped(f"{title}. {payload.text}" if payload.text != payload.title else title, _FALLBACK),
        "blocks": _bounded(blocks),
    }


def escaped(text: str, limit: int, *, lines: bool = False) -> str:
    """Slack's three control characters made harmless, cut to `limit` without cutting an entity; one line unless `lines`."""
    cleaned = "".join(c if c.isprintable() or (lines and c == "\n") else " " for c in text)
    parts: list[str] = []
    room = limit - 1
    for character in cleaned:
        part = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}.get(character, character)
        if len(part) > room:
            return "".join(parts) + "…"
        parts.append(part)
        room -= len(part)
    return "".join(parts)


def _label(message: Message) -> str:
    if message.action is Action.RESOLVE:
        return "⚪ Removed" if message.payload.type == "no_longer_reported" else "🟢 Resolved"
    return "🔵 Test" if message.action is Action.TEST else _LABELS.get(message.payload.severity, "🔵 Info")


def _plain(text: str, limit: int, *, lines: bool = False) -> dict[str, Any]:
    return {"type": "plain_text", "text": escaped(text, limit, lines=lines), "emoji": False}


def _fields(payload: Payload) -> list[dict[str, Any]]:
    named = {
        "Pool": payload.pool,
        "Node": payload.node,
        "Since": payload.since,
        "Until": payload.until,
        "By": payload.by,
        "Note": payload.note,
    }
    return [_plain(f"{name}: {value}", _FIELD // 4) for name, value in named.items() if value]


def _links(payload: Payload) -> str:
    links = [(payload.url, "Open in the console")]
    if payload.runbook.startswith(("https://", "http://")):
        links.append((payload.runbook, "Runbook"))
    return "  ·  ".join(f"<{_address(url)}|{label}>" for url, label in links)


def _address(url: str) -> str:
    """An address that cannot end its link early."""
    return (
        "".join(c for c in url if c.isprintable() and not c.isspace())
        .replace("&", "&amp;")
        .replace("<", "%3C")
        .replace(">", "%3E")
        .replace("|", "%7C")
    )


def _bounded(blocks: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Blocks from the top as long as all of them together stay below Slack's total."""
    kept, room = [], _BLOCKS
    for block in blocks:
        room -= len(json.dumps(block, ensure_ascii=False))
        if room < 0:
            break
        kept.append(block)
    return kept
