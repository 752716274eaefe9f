"""The checks that ask for little: a TCP connection, a TLS handshake, or nothing at all because the node calls us."""

from __future__ import annotations

import asyncio

from nodes.egress import Egress
from nodes.engine.enums import Verdict
from nodes.probes.own_time import OwnTime
from nodes.probes.spec import CheckSpec
from nodes.probes.tls import certificate_warning
from nodes.probes.trail import Trail
from nodes.probes.wire import connect, find


async def tcp(spec: CheckSpec, egress: Egress, own: OwnTime, trail: Trail) -> tuple[Verdict, str]:
    """Connect and hang up."""
    hop = trail.hop(spec)
    transport, _ = await connect(asyncio.Protocol, await find(egress, hop, own), hop, tls=False, apart=trail.apart)
    transport.abort()
    return Verdict.PASS, ""


async def tls(spec: CheckSpec, egress: Egress, own: OwnTime, now: float, trail: Trail) -> tuple[Verdict, str]:
    """Shake hands and look at the certificate."""
    hop = trail.hop(spec)
    transport, _ = await connect(asyncio.Protocol, await find(egress, hop, own), hop, tls=True, apart=trail.apart)
    hop.certificate = certificate_warning(transport, spec.certificate_days, now)
    transport.abort()
    return (Verdict.WARN, hop.certificate) if hop.certificate else (Verdict.PASS, "")


def push(spec: CheckSpec, now: float) -> tuple[Verdict, str]:
    """Whether the node called within its interval and the grace; silence while nobody could have heard it is unknown."""
    allowed = spec.interval + spec.grace
    if spec.last_heartbeat_at is not None and now - spec.last_heartbeat_at <= allowed:
        return Verdict.PASS, ""
    if spec.listening_since is None or spec.listening_until is None:
        return Verdict.UNKNOWN, "no web process of ours could have received a call"
    until = min(now, spec.listening_until)  # silence counts as far as we are known to have listened
    if until - spec.listening_since <= allowed:
        return Verdict.UNKNOWN, "we have not listened long enough to miss a call"
    if spec.last_heartbeat_at is None:
        return Verdict.FAIL, "the node has never called"
    if until - spec.last_heartbeat_at <= allowed:
        return Verdict.UNKNOWN, "no web process of ours has answered since a call was due"
    return Verdict.FAIL, f"the node last called {now - spec.last_heartbeat_at:.0f} s ago, {allowed:g} s are allowed"
