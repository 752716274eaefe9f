"""The HTTP check: one connection a hop, one request, an answer read within a budget (`answer.py`) until it is decided.

A protocol on the loop's transport and httptools' parser: a fifth of the CPU of a client library, which is what lets one
core check thousands of nodes a second.
"""

from __future__ import annotations

import asyncio
import time

from nodes.egress import Egress, EgressRefusedError, ascii_name
from nodes.egress.table import Address
from nodes.engine.enums import Verdict
from nodes.probes.answer import Answer
from nodes.probes.body import Body
from nodes.probes.expectations import expects_of_body, judge, of_status
from nodes.probes.outcome import ProbeFailure
from nodes.probes.own_time import OwnTime
from nodes.probes.redirects import MOST_REDIRECTS, Cookies, redirected, redirects
from nodes.probes.spec import CheckSpec
from nodes.probes.tls import certificate_warning
from nodes.probes.trail import Hop, Trail
from nodes.probes.wire import connect, find

LONGEST_KEPT, MOST_KEPT = 1024, 16_384  # bytes of a request that is kept, and how many are: 50 MB with their keys at the most
_kept: dict[CheckSpec, bytes] = {}
_OWN_HEADERS = frozenset({"host", "connection", "content-length", "transfer-encoding"})
_DEFAULTS = {"user-agent": "User-Agent: failover-console", "accept": "Accept: */*", "accept-encoding": "Accept-Encoding: identity"}


def _request(spec: CheckSpec) -> bytes:
    """The request of a check as it is configured; short ones are kept, so that they are put together once."""
    request = _kept.get(spec)
    if request is None:
        request = request_of(spec)
        if len(request) <= LONGEST_KEPT:
            if len(_kept) >= MOST_KEPT:
                _kept.clear()
            _kept[spec] = request
    return request


def request_of(spec: CheckSpec) -> bytes:
    """The request as it is sent."""
    host = ascii_name(spec.server_name or spec.host)
    host = f"[{host}]" if ":" in host else host
    port = "" if spec.port == (443 if spec.tls else 80) else f":{spec.port}"
    lines = [f"{spec.method} {spec.path} HTTP/1.1", f"Host: {host}{port}", "Connection: close"]
    names = {name.lower() for name, _ in spec.headers}
    lines += [line for name, line in _DEFAULTS.items() if name not in names]
    lines += [f"{name}: {value}" for name, value in spec.headers if name.lower() not in _OWN_HEADERS]
    if spec.body or spec.method == "POST":
        lines.append(f"Content-Length: {len(spec.body)}")
    return "\r\n".join([*lines, "", ""]).encode("latin-1", "replace") + spec.body


async def ask(spec: CheckSpec, egress: Egress, own: OwnTime, now: float, trail: Trail) -> tuple[Verdict, str]:
    """Ask, follow redirects if told to; raises what `explain` knows."""
    hop = trail.hop(spec)
    addresses = await find(egress, hop, own)
    answer = await _once(hop, addresses, _request(spec), own, now, trail)
    cookies = Cookies() if spec.follow_redirects else None
    for _ in range(MOST_REDIRECTS):
        if cookies is None or not redirects(spec, answer):
            break
        cookies.keep(spec, answer)
        spec = cookies.given_to(redirected(spec, answer))
        egress = egress if hop.address is None else egress.after(hop.address)
        hop = trail.hop(spec)
        try:
            addresses = await find(egress, hop, own, by_node=True)
        except EgressRefusedError as error:
            raise ProbeFailure(f"redirected to where it may not: {error}") from None
        answer = await _once(hop, addresses, request_of(spec), own, now, trail)
    else:
        if redirects(spec, answer):
            raise ProbeFailure(f"redirected more than {MOST_REDIRECTS} times")
    return judge(spec, answer, hop.certificate)


async def _once(hop: Hop, addresses: tuple[Address, ...], request: bytes, own: OwnTime, now: float, trail: Trail) -> Answer:
    spec = hop.spec
    done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    body = Body(spec) if expects_of_body(spec) else None
    head = spec.method == "HEAD"
    answer = hop.answer = Answer(request, head=head, done=done, ends_at=own.ends_at, body=body, strict=spec.strict)
    hop.request = request
    transport = None
    try:
        transport, _ = await connect(lambda: answer, addresses, hop, tls=spec.tls, apart=trail.apart)
        await done
        if spec.tls:
            hop.certificate = certificate_warning(transport, spec.certificate_days, now)
        if answer.goes_on:
            own.without(time.monotonic() - answer.decided_at)
    except ProbeFailure:
        if spec.strict or answer.status < 200 or redirects(spec, answer) or of_status(spec, answer.status) != Verdict.FAIL:
            raise  # else what it says counts for more than how it ends
    finally:
        hop.ended = time.monotonic()
        if transport is not None:
            transport.abort()
        if done.done() and not done.cancelled():
            done.exception()  # nobody waits for it when the check itself is given up
    return answer
