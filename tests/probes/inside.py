"""What `test_names.py` looks at, in a process with a network and a name server of its own; each scenario prints its findings.

usage: python -m tests.probes.inside SCENARIO
"""

from __future__ import annotations

import asyncio
import json
import socket
import sys
import time
from contextlib import AsyncExitStack
from ipaddress import ip_network
from typing import Any

import uvloop

from nodes.egress import Egress, names
from nodes.engine.types import Observation
from nodes.probes import probe
from nodes.probes.spec import CheckSpec
from tests import nameserver
from tests.nameserver import NameServer
from tests.probes.servers import Served, Talk, reply, says, serving

OK = says(reply("200 OK"))
Findings = dict[str, Any]


class Inside:
    """A name server, an egress, and servers at addresses that look public or private from here."""

    def __init__(self, resolver: NameServer, stack: AsyncExitStack) -> None:
        self.resolver, self._stack = resolver, stack
        self.egress = Egress.for_checks([ip_network("127.0.0.0/8")])

    async def serve(self, talk: Talk = OK, address: str = "127.0.0.1") -> Served:
        return await self._stack.enter_async_context(serving(talk, listening=socket.create_server((address, 0))))

    async def ask(self, host: str, port: int, **fields: Any) -> Observation:
        return await probe(CheckSpec("http", host, port, **fields), self.egress)


def said(seen: Observation) -> list[Any]:
    return [seen.verdict.value, seen.message]


async def a_resolver_that_hangs(inside: Inside) -> Findings:
    names.AWAY = 0.5
    served = await inside.serve()
    inside.resolver.swallows = {""}
    seen = await asyncio.gather(*(inside.ask(f"node-{i}.example", served.port, timeout=0.7) for i in range(20)))
    before = inside.egress.names.standing()
    await asyncio.sleep(2.5)
    trouble = inside.egress.names.standing().trouble
    inside.resolver.swallows = set()
    back = await inside.ask("another.example", served.port)
    after = inside.egress.names.standing()
    return {"seen": sorted({tuple(said(each)[:1]) for each in seen}), "first": said(seen[0]), "before": before.answers,
            "trouble": trouble, "back": said(back), "after": [after.trouble, after.answers]}  # fmt: skip


async def a_name_in_another_script(inside: Inside) -> Findings:
    async def talk(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = served.requests[-1]
        away = b"/caf\xc3\xa9" if head.startswith(b"GET /a ") else b"" if head.startswith(b"GET /c") else b"/a"
        writer.write(b"HTTP/1.1 302 Go\r\nContent-Length: 0\r\nLocation: " + away + b"\r\n\r\n" if away else reply("200 OK"))

    served = await inside.serve(talk)
    seen = await inside.ask("b\u00fccher.example", served.port, follow_redirects=True, headers=(("X-Key", "1"),))
    return {"seen": said(seen), "requests": [each.decode() for each in served.requests]}


async def several_addresses(inside: Inside) -> Findings:
    """One refuses or hangs, another answers; or none does."""
    well = await inside.serve()
    inside.resolver.addresses = {
        "one.example": ["10.0.0.1", "127.0.0.1"], "two.example": ["127.0.0.1", "10.0.0.1"], "none.example": ["10.0.0.1", "8.8.4.4"]
    }  # fmt: skip  # a table
    refusing = [said(await inside.ask(f"{name}.example", well.port)) for name in ("one", "two", "none")]
    with socket.create_server(("10.0.0.1", well.port), backlog=0) as full, socket.create_connection(("10.0.0.1", well.port)):
        full.getsockname()
        hanging = [said(await inside.ask(f"{name}.example", well.port, timeout=1.0)) for name in ("one", "two", "none")]
    return {"refusing": refusing, "hanging": hanging, "asked": len(well.requests)}


async def the_last_good_answer(inside: Inside) -> Findings:
    names.KEPT = 0.0
    served = await inside.serve()
    first = await inside.ask("node.example", served.port)
    inside.resolver.swallows = {""}
    began = time.monotonic()
    away = [said(await inside.ask("node.example", served.port, timeout=5.0)) for _ in range(5)]
    blocking = await asyncio.to_thread(inside.egress.addresses_now, "node.example", 5.0)  # as webhooks ask
    took = time.monotonic() - began
    return {"first": said(first), "away": away, "blocking": [str(each) for each in blocking], "took": took}


async def dead_names(inside: Inside) -> Findings:
    """Of the same zone as a good one, and more than there would be threads in a small pool."""
    served = await inside.serve()
    proven = await inside.ask("proven.example", served.port)
    names.KEPT = 0.0
    inside.resolver.swallows = {f"dead-{i}.example" for i in range(24)} | {".dead.test"}
    dead = [asyncio.ensure_future(inside.ask(f"dead-{i}.example", served.port, timeout=4.0)) for i in range(24)]
    dead += [asyncio.ensure_future(inside.ask(f"n{i}.dead.test", served.port, timeout=4.0)) for i in range(60)]
    await asyncio.sleep(0.1)
    began = time.monotonic()
    good = [said(await inside.ask(host, served.port)) for host in ("good.test", "proven.example", "good.other.test")]
    took = time.monotonic() - began
    seen = await asyncio.gather(*dead)
    late = said(await inside.ask("new.example", served.port, timeout=5.0))
    return {"proven": said(proven), "good": good, "took": took, "dead": sorted({each.verdict.value for each in seen}), "late": late}


async def names_without_end_by_redirects(inside: Inside) -> Findings:
    """Neither memory nor threads of the configured names go to names that a node tells us."""
    names.MOST_TOLD = 50
    number = 0

    async def away(_: Any, writer: asyncio.StreamWriter) -> None:
        nonlocal number
        number += 1
        writer.write(reply("302 Found", b"", f"Location: http://n{number}.hostile-{number}.test:{served.port}/"))

    served = await inside.serve(away)
    good = await inside.serve()
    seen = [await inside.ask("127.0.0.1", served.port, follow_redirects=True) for _ in range(60)]
    kept = len(inside.egress.names._told), len(inside.egress.names._known)
    inside.resolver.swallows = {".test"}
    tasks = [asyncio.ensure_future(inside.ask("127.0.0.1", served.port, follow_redirects=True, timeout=2.5)) for _ in range(200)]
    await asyncio.sleep(0.3)
    began = time.monotonic()
    other = said(await inside.ask("good.example", good.port))
    took = time.monotonic() - began
    await asyncio.gather(*tasks)
    return {"seen": sorted({tuple(said(each)) for each in seen}), "kept": kept, "other": other, "took": took}


async def a_slow_resolver(inside: Inside) -> Findings:
    """Its time is neither the check's nor the node's."""

    async def slow(_: Any, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(0.5)
        writer.write(reply("200 OK"))

    served = await inside.serve(slow)
    inside.resolver.delay = 0.6
    seen = await inside.ask("node.example", served.port, timeout=0.9, degraded_latency=0.7)
    return {"seen": said(seen), "latency": seen.latency}


async def a_name_that_ends(inside: Inside) -> Findings:
    served = await inside.serve()
    return {"seen": said(await inside.ask("node.invalid", served.port))}


async def redirects(inside: Inside) -> Findings:
    """From public and private addresses to each other."""
    private = await inside.serve(OK, "10.0.0.1")
    public = await inside.serve(OK, "8.8.4.4")
    to_private = await inside.serve(_to(f"http://10.0.0.1:{private.port}/"), "8.8.4.4")
    to_public = await inside.serve(_to(f"http://8.8.4.4:{public.port}/"), "10.0.0.1")
    by_public = await inside.serve(_to(f"http://8.8.4.4:{to_private.port}/"), "10.0.0.1")
    to_loopback = await inside.serve(_to(f"http://name.example:{private.port}/"), "8.8.4.4")
    among_private = await inside.serve(_to(f"http://10.0.0.1:{private.port}/"), "10.0.0.1")
    asked = [("8.8.4.4", to_private), ("10.0.0.1", by_public), ("8.8.4.4", to_loopback),
             ("10.0.0.1", to_public), ("10.0.0.1", among_private)]  # fmt: skip
    seen = [said(await inside.ask(host, served.port, follow_redirects=True)) for host, served in asked]
    return {"seen": seen, "asked privately": len(private.requests)}


def _to(location: str) -> Talk:
    return says(reply("302 Found", b"", f"Location: {location}"))


SCENARIOS = {each.__name__: each for each in (a_resolver_that_hangs, a_name_in_another_script, several_addresses,
                                               the_last_good_answer, dead_names, a_slow_resolver,
                                              names_without_end_by_redirects, a_name_that_ends, redirects)}  # fmt: skip


async def main(scenario: str) -> None:
    with nameserver.serving() as resolver:
        async with AsyncExitStack() as stack:
            print(json.dumps(await SCENARIOS[scenario](Inside(resolver, stack))))


if __name__ == "__main__":
    uvloop.run(main(sys.argv[1]))
