"""Sends to a signed webhook after Standard Webhooks 1.0.0: the same id on each repeat, a signature over id, time and body."""

from __future__ import annotations

import base64
import binascii
import hmac
import json
import secrets
from hashlib import sha256
from typing import Any

from alerts.delivery.answers import classify, iso
from alerts.delivery.types import Accepted, Endpoint, Message, Outcome, Post, Reply, RetryAfter
from alerts.rules import Action

PREFIX = "whsec_"
_SECRET_BYTES = range(24, 65)
_VERBS = {  # names of the webhook's types, which receivers filter by
    Action.TRIGGER: "triggered",
    Action.ACKNOWLEDGE: "acknowledged",
    Action.RESOLVE: "resolved",
    Action.INFO: "told",
    Action.TEST: "tested",
}


class SecretMalformedError(ValueError):
    """A signing secret is whsec_ followed by 24 to 64 bytes in base64; two of them, for a rotation, stand apart by a space."""


def send(message: Message, endpoint: Endpoint, post: Post, now: float) -> Outcome:
    """One signed POST; any 2xx is success."""
    body = json.dumps(render(message), separators=(",", ":")).encode()
    stamp = int(now)
    try:
        signature = sign(endpoint.key, message.message_id, stamp, body)
    except SecretMalformedError as error:
        return RetryAfter(None, str(error.__doc__), ours=True)  # the secret may be mended
    reply = post(
        endpoint.address,
        body,
        {
            "Content-Type": "application/json",
            "webhook-id": message.message_id,
            "webhook-timestamp": str(stamp),
            "webhook-signature": signature,
        },
    )
    if not isinstance(reply, Reply):
        return reply
    return classify(reply, now) or Accepted(reply.status)


def sign(keys: str, message_id: str, stamp: int, body: bytes) -> str:
    """The `webhook-signature` header: one `v1,<base64>` for each secret in `keys`."""
    signed = b".".join((message_id.encode(), str(stamp).encode(), body))
    digests = [hmac.new(secret_bytes(key), signed, sha256).digest() for key in keys.split()]
    if not digests:
        raise SecretMalformedError
    return " ".join(f"v1,{base64.b64encode(digest).decode()}" for digest in digests)


def secret_bytes(key: str) -> bytes:
    """The bytes of one `whsec_` secret; raises `SecretMalformedError`."""
    try:
        decoded = base64.b64decode(key.removeprefix(PREFIX), validate=True)
    except (binascii.Error, ValueError):
        raise SecretMalformedError from None
    if not key.startswith(PREFIX) or len(decoded) not in _SECRET_BYTES:
        raise SecretMalformedError
    return decoded


def new_secret() -> str:
    return PREFIX + base64.b64encode(secrets.token_bytes(32)).decode()


def render(message: Message) -> dict[str, Any]:
    """`type` is dotted, `timestamp` the time of the event, `data` the payload with the key that joins the messages of one alert."""
    payload = message.payload
    about = "incident" if payload.incident is not None else "alert"
    given = {name: value for name, value in payload.stored().items() if value not in ("", None)}
    data = {**given, "key": message.key, "action": message.action.value, "sequence": message.sequence}
    return {"type": f"{about}.{_VERBS[message.action]}", "timestamp": payload.at or iso(0), "data": data}
