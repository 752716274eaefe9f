"""The HTTP check: one connection, one request, an answer read within a budget (`answer.py`).

A protocol on the loop's transport and httptools' parser: a fifth of the CPU of a client library, which is what lets one
core check thousands of nodes a second.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from functools import lru_cache
from urllib.parse import quote, urljoin, urlsplit

from nodes.egress import Egress, target
from nodes.egress.names import ascii_name
from nodes.egress.policy import EgressRefusedError
from nodes.egress.table import Address
from nodes.engine.enums import Verdict
from nodes.probes.answer import Answer
from nodes.probes.outcome import ProbeFailure
from nodes.probes.own_time import OwnTime
from nodes.probes.spec import CheckSpec, parse_status_set
from nodes.probes.wire import certificate_warning, connect, first_address

MOST_REDIRECTS = 3
LONGEST_LOCATION = 4096  # bytes
LONGEST_KEPT, MOST_KEPT = 1024, 16_384  # bytes of a request that is kept, and how many are: 50 MB with their keys at the most
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_BUSY = 429
_IN_ADDRESSES = "".join(map(chr, range(0x21, 0x7F)))  # all else is written in percent, as browsers do
_kept: dict[CheckSpec, bytes] = {}
_OWN_HEADERS = frozenset({"host", "connection", "content-length", "transfer-encoding"})


@lru_cache(maxsize=256)  # a set of 500 statuses takes 32 KB
def _statuses(text: str) -> frozenset[int]:
    return frozenset(status for span in parse_status_set(text) for status in span)


def _request(spec: CheckSpec) -> bytes:
    """The request of a check as it is configured; short ones are kept, so that they are put together once."""
    request = _kept.get(spec)
    if request is None:
        request = _request_of(spec)
        if len(request) <= LONGEST_KEPT:
            if len(_kept) >= MOST_KEPT:
                _kept.clear()
            _kept[spec] = request
    return request


def _request_of(spec: CheckSpec) -> bytes:
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


async def ask(spec: CheckSpec, egress: Egress, own: OwnTime, now: float) -> tuple[Verdict, str]:
    """Ask, follow redirects if told to; raises what `explain` knows."""
    address = await first_address(egress, spec.host, own, spec.timeout)
    answer, warning = await _once(spec, address, _request(spec), now)
    for _ in range(MOST_REDIRECTS):
        if not _redirects(spec, answer):
            return _judge(spec, answer, warning)
        spec, egress = _redirected(spec, answer.location), egress.after(address)
        try:
            address = await first_address(egress, spec.host, own, spec.timeout, told=True)
        except EgressRefusedError as error:
            raise ProbeFailure(f"redirected to where it may not: {error}") from None
        answer, warning = await _once(spec, address, _request_of(spec), now)
    if _redirects(spec, answer):
        raise ProbeFailure(f"redirected more than {MOST_REDIRECTS} times")
    return _judge(spec, answer, warning)


def _redirects(spec: CheckSpec, answer: Answer) -> bool:
    return spec.follow_redirects and answer.status in _REDIRECTS and bool(answer.location)


async def _once(spec: CheckSpec, address: Address, request: bytes, now: float) -> tuple[Answer, str]:
    done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    answer = Answer(request, head=spec.method == "HEAD", done=done)
    transport, _ = await connect(
        lambda: answer,
        address,
        spec.port,
        host=spec.host,
        tls=spec.tls,
        verify=spec.verify_tls,
        server_name=spec.server_name,
    )
    try:
        await done
        return answer, certificate_warning(transport, spec.certificate_days, now) if spec.tls else ""
    finally:
        transport.abort()


def _judge(spec: CheckSpec, answer: Answer, warning: str) -> tuple[Verdict, str]:
    if answer.status == _BUSY and _BUSY not in _statuses(spec.expected_status):
        return Verdict.WARN, "answered 429: the node asks us to slow down"
    if answer.status not in _statuses(spec.expected_status):
        raise ProbeFailure(f"answered {answer.status}, expected {spec.expected_status}")
    if spec.body_contains and spec.body_contains.encode() not in answer.body:
        raise ProbeFailure(f"answered {answer.status} without the text “{spec.body_contains[:60]}”")
    return (Verdict.WARN, warning) if warning else (Verdict.PASS, "")


def _redirected(spec: CheckSpec, location: bytes) -> CheckSpec:
    """The next hop; secrets in headers stay with the host that they are for.

    A long one is refused before it is taken apart: the standard library keeps what it has taken apart.
    """
    if len(location) > LONGEST_LOCATION:
        raise ProbeFailure(f"redirected to an address of {len(location)} bytes, at most {LONGEST_LOCATION} are followed")
    host = ascii_name(spec.host)
    here = f"{'https' if spec.tls else 'http'}://{f'[{host}]' if ':' in host else host}:{spec.port}{spec.path}"
    try:
        goal = target(quote(urljoin(here, location.decode("latin-1")), safe=_IN_ADDRESSES, encoding="latin-1"))
    except (EgressRefusedError, ValueError):
        raise ProbeFailure("redirected to an address that is none") from None
    if "%" in goal.host:
        raise ProbeFailure("redirected to an address that is none")
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
