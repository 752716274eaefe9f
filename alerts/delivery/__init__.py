"""How a message leaves: one file per kind of destination, one answer: accepted, retry after n, or refused for good."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

from alerts.delivery import pagerduty, slack, webhook
from alerts.delivery.letter import Accepted, Account, Disable, Letter, Outcome, Payload, Post, Refused, Reply, RetryAfter
from alerts.rules import Kind

__all__ = [
    "SPACING",
    "Accepted",
    "Account",
    "Disable",
    "Letter",
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

_SENDERS: dict[Kind, Callable[[Letter, Account, Post, float], Outcome]] = {
    Kind.SLACK: slack.send,
    Kind.PAGERDUTY: pagerduty.send,
    Kind.WEBHOOK: webhook.send,
}


def send(letter: Letter, account: Account, post: Post, now: float) -> Outcome:
    """Send one message; `now` in seconds.  Never raises for what the receiver does."""
    return _SENDERS[account.kind](letter, account, post, now)
