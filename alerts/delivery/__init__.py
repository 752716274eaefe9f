"""Sends a message to its endpoint: one module per kind of destination; the outcome is accepted, retry after n, or refused."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

from alerts.delivery import pagerduty, slack, webhook
from alerts.delivery.types import Accepted, Disable, Endpoint, Message, Outcome, Payload, Post, Refused, Reply, RetryAfter
from alerts.rules import Kind

__all__ = [
    "SPACING",
    "Accepted",
    "Disable",
    "Endpoint",
    "Message",
    "Outcome",
    "Payload",
    "Post",
    "Refused",
    "Reply",
    "RetryAfter",
    "send",
]

# Seconds from one message to the next at the same destination.
SPACING: Mapping[Kind, float] = MappingProxyType({Kind.SLACK: 1.0, Kind.PAGERDUTY: 1 / 1.5, Kind.WEBHOOK: 0.1})

_SENDERS: dict[Kind, Callable[[Message, Endpoint, Post, float], Outcome]] = {
    Kind.SLACK: slack.send,
    Kind.PAGERDUTY: pagerduty.send,
    Kind.WEBHOOK: webhook.send,
}


def send(message: Message, endpoint: Endpoint, post: Post, now: float) -> Outcome:
    """Send one message; `now` in seconds.  Never raises for what the receiver does."""
    return _SENDERS[endpoint.kind](message, endpoint, post, now)
