"""The types of a delivery: the message with its payload, the endpoint, the outcome, and what posts it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from enum import StrEnum
from typing import Any, Protocol

from alerts.rules import Action, Kind


@dataclass(frozen=True, slots=True)
class Payload:
    """What a message says, as stored with the notification.  Times are ISO 8601 in UTC, links absolute; it holds no secret.

    The names of the fields are those of the webhook's JSON.
    """

    title: str
    text: str
    severity: str
    at: str
    url: str  # the page of the incident, or of the events
    console: str  # PUBLIC_URL
    type: str = ""  # event type
    pool: str = ""
    node: str = ""
    did: str = ""  # what the engine did, or which guard blocked it
    runbook: str = ""
    incident: int | None = None
    event: int | None = None
    since: str = ""  # the first bad check
    until: str = ""  # when the incident closed
    by: str = ""  # who acknowledged or tested
    note: str = ""

    def stored(self) -> dict[str, Any]:
        return asdict(self)

    @staticmethod
    def load(stored: Mapping[str, Any]) -> Payload:
        """Leaves out what a newer or older version stored beside the fields of this one, and does without what it did not store."""
        known = {each.name for each in fields(Payload)}
        bare = {"title": "An alert of the failover console", "text": "", "severity": "critical", "at": "", "url": "", "console": ""}
        return Payload(**bare | {name: value for name, value in stored.items() if name in known})


@dataclass(frozen=True, slots=True)
class Message:
    """One message; id and key stay the same on each repeat."""

    message_id: str
    action: Action
    key: str  # dedup key
    sequence: int
    payload: Payload


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where to send a message, with the secrets of its destination; they never show in a repr."""

    kind: Kind
    address: str = field(default="", repr=False)
    key: str = field(default="", repr=False)
    base_url: str = ""


@dataclass(frozen=True, slots=True)
class Accepted:
    status: int | None = None


@dataclass(frozen=True, slots=True)
class RetryAfter:
    """Not now.  `seconds` is what the receiver asked for; `ambiguous`: the message may have arrived all the same.

    `ours`: the fault is the console's own and says nothing about the receiver.
    """

    seconds: float | None
    reason: str
    ambiguous: bool = False
    status: int | None = None
    ours: bool = False


class Disable(StrEnum):
    """What a refusal says about the destination itself."""

    NO = "no"
    NOW = "now"  # it is gone for good


@dataclass(frozen=True, slots=True)
class Refused:
    """For good: sending the same again cannot help."""

    reason: str
    disable: Disable = Disable.NO
    status: int | None = None


Outcome = Accepted | RetryAfter | Refused


@dataclass(frozen=True, slots=True)
class Reply:
    """What came back: header names in lower case, the start of the body."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Post(Protocol):
    """POST through the egress rules; an outcome in the place of a reply when there was none.  Never raises."""

    def __call__(self, url: str, body: bytes, headers: Mapping[str, str], /) -> Reply | RetryAfter | Refused: ...
