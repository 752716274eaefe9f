"""One POST to a webhook: parsed strictly, pinned to the classified address, bounded in time and size, never redirected."""

from __future__ import annotations

import re
import socket
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, Self
from urllib.parse import urlsplit

import urllib3
from urllib3.exceptions import ConnectTimeoutError, HTTPError, NameResolutionError, NewConnectionError, SSLError

from nodes.egress.names import NameUnknownError, ResolverTroubleError
from nodes.egress.policy import Egress, EgressRefusedError
from nodes.egress.table import Address

MOST_BODY = 64 * 1024  # bytes read of an answer
CONNECT = 3.0  # s
_UNFIT = re.compile(r"[\x00-\x20\x7f\\]|[^\x00-\x7f]")


class Target(NamedTuple):
    """A checked http or https address in parts."""

    scheme: str
    host: str
    port: int
    path: str


@dataclass(frozen=True, slots=True)
class WebhookReply:
    """Status, headers with lower-case names, at most 64 KiB of the body."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class DeliveryError(Exception):
    """No answer; `ambiguous` when the request may have arrived all the same.  The sentence names the host, never the path."""

    def __init__(self, sentence: str, *, ambiguous: bool) -> None:
        super().__init__(sentence)
        self.ambiguous = ambiguous


def target(url: str) -> Target:
    """Parse an address strictly; raises `EgressRefusedError` with a sentence that does not repeat it."""
    if _UNFIT.search(url):
        raise EgressRefusedError("the address holds a space, a backslash, a control or a non-ASCII character")
    parts = urlsplit(url)
    try:
        port = parts.port
    except ValueError:
        raise EgressRefusedError("the address has a port that is no number from 1 to 65535") from None
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise EgressRefusedError("the address must begin with https:// and name a host")
    if "@" in parts.netloc:
        raise EgressRefusedError("the address must hold no user name or password")
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return Target(parts.scheme, parts.hostname, port or (443 if parts.scheme == "https" else 80), path)


def open_webhook(egress: Egress, url: str, headers: Mapping[str, str], body: bytes, *, timeout: float = 10.0) -> WebhookReply:
    """POST and read the answer, all within `timeout` seconds.  Raises `EgressRefusedError` or `DeliveryError`."""
    goal = target(url)
    deadline = time.monotonic() + timeout
    address = _address(egress, goal)
    pool = _pool(goal, address, timeout)
    expired = threading.Event()
    try:
        with _Deadline(pool, deadline, expired) as watched:
            answer = pool.urlopen(
                "POST", goal.path, body=body, headers={"Host": _host_header(goal), "Accept-Encoding": "identity", **headers},
                retries=False, redirect=False, preload_content=False, assert_same_host=False,
            )  # fmt: skip  # the request on its lines
            watched.answer = answer
            content = answer.read(MOST_BODY, decode_content=False) or b""
            if expired.is_set():
                raise DeliveryError(f"{goal.host} did not answer within {timeout:g} s", ambiguous=True)
            return WebhookReply(answer.status, {name.lower(): value for name, value in answer.headers.items()}, content)
    except (HTTPError, OSError, ValueError) as error:
        raise _failed(goal.host, error, expired=expired.is_set(), timeout=timeout) from None
    finally:
        pool.close()


def _address(egress: Egress, goal: Target) -> Address:
    try:
        addresses = egress.addresses_now(goal.host)
    except (NameUnknownError, ResolverTroubleError) as error:
        raise DeliveryError(str(error), ambiguous=False) from None
    if not addresses:
        raise DeliveryError(f"{goal.host} has no address", ambiguous=False)
    if goal.scheme != "https" and not all(egress.widened(address) for address in addresses):
        raise EgressRefusedError(f"{goal.host} must be called by https; plain http goes only to networks that EGRESS_ALLOW names")
    return addresses[0]


def _host_header(goal: Target) -> str:
    host = f"[{goal.host}]" if ":" in goal.host else goal.host
    return host if goal.port in (80, 443) else f"{host}:{goal.port}"


def _pool(goal: Target, address: Address, timeout: float) -> urllib3.HTTPConnectionPool:
    limits = urllib3.Timeout(connect=min(CONNECT, timeout), read=timeout)
    if goal.scheme == "http":
        return urllib3.HTTPConnectionPool(str(address), goal.port, timeout=limits, maxsize=1)
    return urllib3.HTTPSConnectionPool(
        str(address),
        goal.port,
        timeout=limits,
        maxsize=1,
        server_hostname=goal.host,
        assert_hostname=goal.host,
        cert_reqs="CERT_REQUIRED",
    )


class _Deadline:
    """Cuts the connection when the whole time is up: a server that sends a byte a second resets every socket time-out."""

    def __init__(self, pool: urllib3.HTTPConnectionPool, deadline: float, expired: threading.Event) -> None:
        self._pool, self._expired = pool, expired
        self._timer = threading.Timer(max(0.0, deadline - time.monotonic()), self._cut)
        self._timer.daemon = True
        self._connections: list[Any] = []
        self.answer: urllib3.BaseHTTPResponse | None = None
        make = pool._new_conn  # noqa: SLF001 - the one place where urllib3 shows the connection before it is used

        def remembered() -> Any:
            connection = make()
            self._connections.append(connection)
            return connection

        pool._new_conn = remembered  # type: ignore[method-assign]  # noqa: SLF001 - as above

    def __enter__(self) -> Self:
        self._timer.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._timer.cancel()
        if self.answer is not None:
            self.answer.close()

    def _cut(self) -> None:
        self._expired.set()
        for connection in self._connections:
            if connection.sock is not None:
                try:
                    connection.sock.shutdown(socket.SHUT_RDWR)
                except OSError:
                    connection.close()


def _failed(host: str, error: Exception, *, expired: bool, timeout: float) -> DeliveryError:
    if expired:
        return DeliveryError(f"{host} did not answer within {timeout:g} s", ambiguous=True)
    if isinstance(error, SSLError):
        return DeliveryError(f"{host} has no valid certificate", ambiguous=False)
    if isinstance(error, (NewConnectionError, ConnectTimeoutError, NameResolutionError)):
        return DeliveryError(f"{host} cannot be connected to", ambiguous=False)
    return DeliveryError(f"{host} broke the connection off: {type(error).__name__}", ambiguous=True)
