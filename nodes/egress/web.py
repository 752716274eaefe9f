"""One request to a webhook: parsed strictly, pinned to the classified address, bounded in time and size, never redirected."""

from __future__ import annotations

import http.client
import re
import socket
import ssl
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import NamedTuple
from urllib.parse import urlsplit

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
    try:
        parts = urlsplit(url)
    except ValueError:
        raise EgressRefusedError("the address names a host that is none") from None
    try:
        port = parts.port
    except ValueError:
        port = 0
    if port == 0:
        raise EgressRefusedError("the address has a port that is no number from 1 to 65535")
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise EgressRefusedError("the address must begin with https:// and name a host")
    if "@" in parts.netloc:
        raise EgressRefusedError("the address must hold no user name or password")
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return Target(parts.scheme, parts.hostname, port or (443 if parts.scheme == "https" else 80), path)


class NotSentError(Exception):
    """Asked right before the first byte, the caller wanted nothing sent any more."""


def open_webhook(
    egress: Egress,
    url: str,
    headers: Mapping[str, str],
    body: bytes,
    *,
    method: str = "POST",
    timeout: float = 10.0,
    may_send: Callable[[], bool] = lambda: True,
) -> WebhookReply:
    """Send and read the answer, all within `timeout` seconds; `may_send` is asked right before the first byte.

    Raises `EgressRefusedError`, `DeliveryError` or `NotSentError`.
    """
    goal = target(url)
    began = time.monotonic()
    address = _address(egress, goal, timeout)
    line = _Line(goal, address, timeout, timeout - (time.monotonic() - began))
    try:
        line.connect()
    except ssl.SSLError:
        trouble = f"{goal.host} has no valid certificate"
        raise DeliveryError(line.late or trouble, ambiguous=False) from None
    except (OSError, ValueError):
        raise DeliveryError(line.late or f"{goal.host} cannot be connected to", ambiguous=False) from None
    else:
        if not may_send():
            raise NotSentError
        try:
            common = {"Host": _host_header(goal), "Accept-Encoding": "identity", "Connection": "close"}
            reply = line.ask(method, {**common, **headers}, body)
        except (OSError, ValueError, http.client.HTTPException) as error:
            raise DeliveryError(
                line.late or f"{goal.host} broke the connection off: {type(error).__name__}", ambiguous=True
            ) from None
        if line.late:
            raise DeliveryError(line.late, ambiguous=True)
        return reply
    finally:
        line.close()


def _address(egress: Egress, goal: Target, timeout: float) -> Address:
    try:
        addresses = egress.addresses_now(goal.host, timeout)
    except (NameUnknownError, ResolverTroubleError) as error:
        raise DeliveryError(str(error), ambiguous=False) from None
    if not addresses:
        raise DeliveryError(f"{goal.host} has no address", ambiguous=False)
    if goal.scheme != "https" and not all(egress.permits_plain(address) for address in addresses):
        raise EgressRefusedError(f"{goal.host} must be called by https; plain http goes only to networks that EGRESS_ALLOW names")
    return addresses[0]


def _host_header(goal: Target) -> str:
    host = f"[{goal.host}]" if ":" in goal.host else goal.host
    return host if goal.port in (80, 443) else f"{host}:{goal.port}"


class _Line:
    """One connection, cut when the whole time is up: a server that sends a byte a second resets every socket time-out."""

    def __init__(self, goal: Target, address: Address, timeout: float, left: float) -> None:
        self._goal, self._address, self._timeout, self._left = goal, str(address), timeout, max(0.001, left)
        self._socket: socket.socket | None = None
        self._expired = threading.Event()
        self._timer = threading.Timer(self._left, self._cut)
        self._timer.daemon = True

    @property
    def late(self) -> str:
        """The sentence to say once the time is up, empty before."""
        return f"{self._goal.host} did not answer within {self._timeout:g} s" if self._expired.is_set() else ""

    def connect(self) -> None:
        """Connect to the classified address; the certificate must be the named host's.  Raises `OSError`."""
        self._timer.start()
        plain = socket.create_connection((self._address, self._goal.port), timeout=min(CONNECT, self._left))
        self._socket = plain
        plain.settimeout(self._left)
        if self._goal.scheme == "https":
            context = ssl.create_default_context()
            wrapped = context.wrap_socket(plain, server_hostname=self._goal.host, do_handshake_on_connect=False)
            self._socket = wrapped
            wrapped.do_handshake()

    def ask(self, method: str, headers: Mapping[str, str], body: bytes) -> WebhookReply:
        """Send and read.  Raises `OSError` or `http.client.HTTPException`."""
        exchange = http.client.HTTPConnection(self._address, self._goal.port)
        exchange.sock = self._socket
        exchange.request(method, self._goal.path, body=body or None, headers=dict(headers))
        with exchange.getresponse() as answer:
            content = answer.read(MOST_BODY)
            if answer.length and len(content) < MOST_BODY:
                raise http.client.IncompleteRead(content, answer.length)
            return WebhookReply(answer.status, {name.lower(): value for name, value in answer.getheaders()}, content)

    def close(self) -> None:
        """Let go of the connection and the clock."""
        self._timer.cancel()
        if self._socket is not None:
            self._socket.close()

    def _cut(self) -> None:
        self._expired.set()
        if self._socket is not None:
            try:
                socket.socket.shutdown(self._socket, socket.SHUT_RDWR)  # the wire's; TLS's own would take its reader's state away
            except OSError:
                self._socket.close()
