"""Opening a connection to a permitted address, plain or with TLS: to the first of a name's addresses that answers."""

from __future__ import annotations

import asyncio
import socket
import ssl
import time
from collections.abc import Callable
from typing import TypeVar

from nodes.egress import Egress, ascii_name
from nodes.egress.table import Address
from nodes.engine.enums import Verdict
from nodes.probes.outcome import AllFailedError, ProbeFailure, explain
from nodes.probes.own_time import OwnTime
from nodes.probes.spec import CheckSpec
from nodes.probes.tls import Shown, Trust, context, fault
from nodes.probes.trail import Hop, told

_P = TypeVar("_P", bound=asyncio.BaseProtocol)

MOST_TRIED = 8  # addresses of a name
NEXT_AFTER = 0.25  # s without an answer after which the next address is tried beside (RFC 8305, 5)
LOOKS_AGAIN = 1.0  # s for a second handshake that shows which part of a chain is at fault


async def find(egress: Egress, hop: Hop, own: OwnTime, *, by_node: bool = False) -> tuple[Address, ...]:
    """The permitted addresses of the hop's host; raises what `explain` knows.

    Our resolver gets the check's time-out beside the check's own time.  `by_node`: a node has named this host.
    """
    host = hop.spec.host
    addresses = egress.addresses_at_hand(host) or await own.apart(egress.addresses(host, hop.spec.timeout, told=by_node))
    if not addresses:
        raise ProbeFailure(f"the name {host} has no address")
    hop.resolved = time.monotonic()
    return addresses


async def connect(
    make: Callable[[], _P], addresses: tuple[Address, ...], hop: Hop, *, tls: bool, apart: bool = False
) -> tuple[asyncio.Transport, _P]:
    """Connect to one of these addresses, all of them permitted; raises what `explain` knows."""
    loop, spec = asyncio.get_running_loop(), hop.spec
    trusted = context(_trust(spec)) if tls else None
    name = ascii_name(spec.server_name or spec.host) if tls else None
    try:
        if len(addresses) == 1 and not apart:
            hop.address = addresses[0]
            made = await loop.create_connection(make, str(hop.address), spec.port, ssl=trusted, server_hostname=name)
        else:
            connected = await _first_to_answer(addresses, hop)
            hop.connected = time.monotonic()
            made = await loop.create_connection(make, sock=connected, ssl=trusted, server_hostname=name)
    except ssl.SSLCertVerificationError as error:
        raise ProbeFailure(await _why(error, hop)) from None
    hop.secured = time.monotonic()
    return made


def _trust(spec: CheckSpec) -> Trust:
    return Trust(spec.verify_tls, spec.authorities, spec.client_certificate, spec.client_key)


async def _first_to_answer(addresses: tuple[Address, ...], hop: Hop) -> socket.socket:
    """A connected socket: each address is tried when the one before failed, or has not answered for a moment."""
    trying: dict[asyncio.Task[socket.socket], Address] = {}
    verdicts: list[Verdict] = []
    left = list(addresses[:MOST_TRIED])
    patience = min(NEXT_AFTER, hop.spec.timeout / (2 * len(left)))  # so that the last one has half of the time
    try:
        while left or trying:
            if left:
                address = left.pop(0)
                trying[asyncio.ensure_future(_socket(address, hop.spec.port))] = address
            ended, _ = await asyncio.wait(trying, timeout=patience if left else None, return_when=asyncio.FIRST_COMPLETED)
            for task in ended:
                address = trying.pop(task)
                if (error := task.exception()) is None:
                    hop.address = address
                    return task.result()
                verdict, what = explain(error, hop.spec.timeout)
                hop.failed.append((address, what))
                verdicts.append(verdict)
    except asyncio.CancelledError:
        hop.failed += [(address, "no answer") for address in trying.values()]
        raise
    finally:
        for task in trying:
            task.add_done_callback(_close)
            task.cancel()
    if len(hop.failed) == 1:
        raise AllFailedError(verdicts[0], hop.failed[0][1])
    verdict = Verdict.FAIL if Verdict.FAIL in verdicts else Verdict.UNKNOWN  # one that is there and refuses is the node's answer
    raise AllFailedError(verdict, f"none of its {len(hop.failed)} addresses answers: {told(hop.failed)}")


async def _socket(address: Address, port: int) -> socket.socket:
    family = socket.AF_INET if address.version == 4 else socket.AF_INET6
    made = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    try:
        await asyncio.get_running_loop().sock_connect(made, (str(address), port))
    except BaseException:
        made.close()
        raise
    return made


def _close(task: asyncio.Task[socket.socket]) -> None:
    """Of two that answered together, the second."""
    if not task.cancelled() and task.exception() is None:
        task.result().close()


async def _why(error: ssl.SSLCertVerificationError, hop: Hop) -> str:
    """Which part of the chain is at fault: the handshake that failed shows none, so it is shown once more without verification."""
    spec, (_, otherwise) = hop.spec, explain(error, hop.spec.timeout)
    name = ascii_name(spec.server_name or spec.host)
    try:
        async with asyncio.timeout(LOOKS_AGAIN):
            transport, _ = await asyncio.get_running_loop().create_connection(
                asyncio.Protocol, str(hop.address), spec.port, ssl=context(Trust(verify=False)), server_hostname=name
            )
    except (OSError, TimeoutError):
        return otherwise
    try:
        return fault(Shown.by(transport), name, time.time(), otherwise)
    except Exception:  # a certificate may hold what nobody can read
        return otherwise
    finally:
        transport.abort()
