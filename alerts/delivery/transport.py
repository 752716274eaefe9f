"""Posts a request through the egress rules for webhooks; an error becomes an outcome and is never raised."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache

from django.conf import settings

from alerts.delivery.types import Refused, Reply, RetryAfter
from nodes.egress import DeliveryError, Egress, EgressRefusedError, open_webhook

TIMEOUT = 10.0  # s for everything
_AGENT = {"User-Agent": "failover-console", "Accept": "*/*"}


@lru_cache(maxsize=1)
def _egress() -> Egress:
    return Egress.for_webhooks(settings.EGRESS_ALLOW)


def post(url: str, body: bytes, headers: Mapping[str, str]) -> Reply | RetryAfter | Refused:
    """A `Post`; the address, which may be a secret, is in none of the sentences."""
    try:
        reply = open_webhook(_egress(), url, {**_AGENT, **headers}, body, timeout=TIMEOUT)
    except EgressRefusedError as error:
        return Refused(f"not sent: {error}")
    except DeliveryError as error:
        return RetryAfter(None, str(error), ambiguous=error.ambiguous)
    return Reply(reply.status, reply.headers, reply.body)
