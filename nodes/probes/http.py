"""The HTTP check: one connection, one request, an answer read to a bound.

A protocol on the loop's transport and httptools' parser: a fifth of the CPU of a client library, which is what lets one
core check thousands of nodes a second.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from functools import lru_cache
from typing import cast
from urllib.parse import urljoin, urlsplit

import httptools

from nodes.egress import Egress, target
from nodes.egress.names import ascii_name
from nodes.egress.policy import EgressRefusedError
from nodes.engine.enums import Verdict
from nodes.probes.outcome import ProbeFailure
from nodes.probes.spec import CheckSpec, parse_status_set
from nodes.probes.wire import certificate_warning, connect

MOST_BODY = 64 * 1024  # bytes
MOST_HEADERS = 16 * 1024  # bytes
MOST_REDIRECTS = 3
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_BUSY = 429
_OWN_HEADERS = frozenset({"host", "connection", "content-length", "transfer-encoding"})


class _Answer(asyncio.Protocol):
    """Collects one answer; `done` ends with it, or with the exception that broke it off."""

    def __init__(self, request: bytes, *, head: bool, done: asyncio.Future[None]) -> None:
        self._request, self._head = request, head
        self._parser = httptools.HttpResponseParser(self)
        self._received = 0
        self.done = done
        self.status = 0
        self.location = ""
        self.body = bytearray()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        cast("asyncio.Transport", transport).write(self._request)  # uvloop's are no subclass of asyncio's

    def data_received(self, data: bytes) -> None:
        if self.done.done():
            return
        self._received += len(data)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self._end()
        except httptools.HttpParserError:
            self._break("the answer is no HTTP" if not self.status else "the answer is broken HTTP")
        if not self.status and self._received > MOST_HEADERS:
            self._break("the headers of the answer are too long")

    def eof_received(self) -> None:
        self._closed()

    def connection_lost(self, error: Exception | None) -> None:
        if error is not None and not self.done.done():
            self.done.set_exception(error)
        self._closed()

    def _closed(self) -> None:
        """An answer without a length ends with the connection; any other end is too early."""
        if self.done.done():
            return
        if not self._received:
            self._break("the connection was closed without an answer")
        elif self.status and not self._sized:
            self._end()
        else:
            self._break("the answer ended half way")

    # httptools calls these

    _sized = False
    _header_bytes = 0

    def on_header(self, name: bytes, value: bytes) -> None:
        self._header_bytes += len(name) + len(value)
        if self._header_bytes > MOST_HEADERS:
            self._break("the headers of the answer are too long")
        lowered = name.lower()
        if lowered == b"location":
            self.location = value.decode("latin-1")
        elif lowered in (b"content-length", b"transfer-encoding"):
            self._sized = True

    def on_headers_complete(self) -> None:
        self.status = self._parser.get_status_code()
        if self._head:
            self._end()

    def on_body(self, body: bytes) -> None:
        self.body += body[: MOST_BODY - len(self.body)]
        if len(self.body) >= MOST_BODY:
            self._end()

    def on_message_complete(self) -> None:
        if self.status >= 200:
            self._end()

    def _end(self) -> None:
        if not self.done.done():
            self.done.set_result(None)

    def _break(self, sentence: str) -> None:
        if not self.done.done():
            self.done.set_exception(ProbeFailure(sentence))


@lru_cache(maxsize=4096)
def _statuses(text: str) -> frozenset[int]:
    return frozenset(status for span in parse_status_set(text) for status in span)


@lru_cache(maxsize=16_384)
def _request(spec: CheckSpec) -> bytes:
    host = ascii_name(spec.server_name or spec.host)
    host = f"[{host}]" if ":" in host else host
    port = "" if spec.port == (443 if spec.tls else 80) else f":{spec.port}"
    lines = [f"{spec.method} {spec.path} HTTP/1.1", f"Host: {host}{port}", "Connection: close"]
    names = {name.lower() for name, _ in spec.headers}
    if "user-agent" not in names:
        lines.append("User-Agent: failover-console")
    if "accept" not in names:
        lines.append("Accept: */*")
    lines += [f"{name}: {value}" for name, value in spec.headers if name.lower() not in _OWN_HEADERS]
    if spec.body or spec.method == "POST":
        lines.append(f"Content-Length: {len(spec.body)}")
    return "\r\n".join([*lines, "", ""]).encode("latin-1", "replace") + spec.body


async def ask(spec: CheckSpec, egress: Egress, now: float) -> tuple[Verdict, str]:
    """Ask, follow redirects if told to; raises what `explain` knows."""
    for _ in range(MOST_REDIRECTS + 1):
        answer, warning = await _once(spec, egress, now)
        if not (spec.follow_redirects and answer.status in _REDIRECTS and answer.location):
            return _judge(spec, answer, warning)
        spec = _redirected(spec, answer.location)
    raise ProbeFailure(f"redirected more than {MOST_REDIRECTS} times")


async def _once(spec: CheckSpec, egress: Egress, now: float) -> tuple[_Answer, str]:
    done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    answer = _Answer(_request(spec), head=spec.method == "HEAD", done=done)
    transport, _ = await connect(
        lambda: answer,
        egress,
        spec.host,
        spec.port,
        tls=spec.tls,
        verify=spec.verify_tls,
        server_name=spec.server_name,
        budget=spec.timeout,
    )
    try:
        await done
        return answer, certificate_warning(transport, spec.certificate_days, now) if spec.tls else ""
    finally:
        transport.abort()


def _judge(spec: CheckSpec, answer: _Answer, warning: str) -> tuple[Verdict, str]:
    if answer.status == _BUSY and _BUSY not in _statuses(spec.expected_status):
        return Verdict.WARN, "answered 429: the node asks us to slow down"
    if answer.status not in _statuses(spec.expected_status):
        raise ProbeFailure(f"answered {answer.status}, expected {spec.expected_status}")
    if spec.body_contains and spec.body_contains.encode() not in answer.body:
        raise ProbeFailure(f"answered {answer.status} without the text “{spec.body_contains[:60]}”")
    return (Verdict.WARN, warning) if warning else (Verdict.PASS, "")


def _redirected(spec: CheckSpec, location: str) -> CheckSpec:
    """The next hop; secrets in headers stay with the host that they are for."""
    here = f"{'https' if spec.tls else 'http'}://{f'[{spec.host}]' if ':' in spec.host else spec.host}:{spec.port}{spec.path}"
    try:
        goal = target(urljoin(here, location))
    except (EgressRefusedError, ValueError):
        raise ProbeFailure("redirected to an address that is none") from None
    if spec.tls and goal.scheme != "https":
        raise ProbeFailure("redirected from https to http")
    same = goal.host == (urlsplit(here).hostname or "") and goal.port == spec.port
    method = spec.method if spec.method == "HEAD" else "GET"
    return replace(
        spec,
        host=goal.host,
        port=goal.port,
        tls=goal.scheme == "https",
        path=goal.path,
        method=method,
        body=b"",
        headers=spec.headers if same else (),
        server_name=spec.server_name if same else "",
    )
