"""Posts a request through the egress rules for webhooks; an error becomes an outcome and is never raised."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from functools import lru_cache
from math import inf

from django.conf import settings

from alerts.delivery.types import Reply, RetryAfter
from nodes.egress import DeliveryError, Egress, EgressRefusedError, NotSentError, open_webhook
from nodes.sign_of_life import boot_time

TIMEOUT = 8.0  # s for everything
_AGENT = {"User-Agent": "failover-console", "Accept": "*/*"}


# The boot-time clock after which this thread or task may not begin to send any more: the message may be another's by then.
_start_by: ContextVar[float] = ContextVar("start_by", default=inf)


@contextmanager
def starting_by(boot_time: float) -> Iterator[None]:
    """What is posted inside sends its first byte by this instant of the boot-time clock, or nothing."""
    token = _start_by.set(boot_time)
    try:
        yield
    finally:
        _start_by.reset(token)


def _in_time() -> bool:
    return boot_time() <= _start_by.get()


@lru_cache(maxsize=1)
def _egress() -> Egress:
    return Egress.for_webhooks(settings.EGRESS_ALLOW)


def post(url: str, body: bytes, headers: Mapping[str, str]) -> Reply | RetryAfter:
    """A `Post`; the address, which may be a secret, is in none of the sentences."""
    try:
        reply = open_webhook(_egress(), url, {**_AGENT, **headers}, body, timeout=TIMEOUT, may_send=_in_time)
    except NotSentError:
        return RetryAfter(None, "not sent: this process stood still, and the message may have become another's", ours=True)
    except EgressRefusedError as error:
        return RetryAfter(None, f"not sent: {error}", ours=True)  # the setting may be mended
    except DeliveryError as error:
        return RetryAfter(None, str(error), ambiguous=error.ambiguous)
    return Reply(reply.status, reply.headers, reply.body)


@lru_cache(maxsize=1)
def _switch_egress() -> Egress:
    return Egress.for_switch(settings.EGRESS_ALLOW)


def call(url: str, *, timeout: float = TIMEOUT) -> str:
    """A plain GET of an address that the environment names: what went wrong, in words without its path; empty at any 2xx."""
    try:
        reply = open_webhook(_switch_egress(), url, _AGENT, b"", method="GET", timeout=timeout)
    except (EgressRefusedError, DeliveryError) as error:
        return str(error)
    return "" if reply.status // 100 == 2 else f"it answered {reply.status}"
