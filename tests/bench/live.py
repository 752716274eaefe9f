"""How soon a commit is seen in the frames of many sockets and painted in Chromium, and whether ten hours of changes leave anything.

Pools of a few nodes; each change commits the warning of a node and its pool's version as the ledger does, and sends the hint.
A frame is seen when a socket has the text of the change, or of a later one of that pool: what was overtaken is not shown.
Afterwards Chromium is given as many fragments of two pools as ten hours of four frames a second bring, without the waiting.
"""

from __future__ import annotations

import asyncio
import re
import sys
import time
from collections import defaultdict
from typing import Any

from rig import Target, conclude, console, declare, healthy_ports, parser, percentile, until

TARGETS = [
    Target("frame_p95", 0.5),
    Target("painted_p95", 0.7),
    Target("heap_growth_mb", 4.0),
    Target("elements_grown", 0),
    Target("unseen", 0),
    Target("unpainted", 0),
]
POOLS, NODES = 20, 5
EACH = 30  # sockets of one user; the console lets 40
FRAMES = 10 * 3600 * 4
CHANGE = """
WITH changed AS (
    UPDATE nodes_nodestate SET health = 'degraded', last_message = %s, version = version + 1 WHERE node_id = %s
    RETURNING pool_id
) UPDATE nodes_poolstate SET version = version + 1 WHERE pool_id = (SELECT pool_id FROM changed) RETURNING pool_id
"""
MARK = re.compile(r"mark-(\d+)-(\d+)")  # pool and number
WATCH = """() => {
  window.painted = {};
  const look = (records) => {
    const text = records.map((each) => each.target.textContent || "").join(" ");
    requestAnimationFrame(() => setTimeout(() => {
      for (const [, pool, number] of text.matchAll(/mark-(\\d+)-(\\d+)/g)) {
        const key = `${pool}-${number}`;
        window.painted[key] ??= Date.now() / 1000;
      }
    }));
  };
  new MutationObserver(look).observe(document.body, {childList: true, characterData: true, subtree: true});
}"""
AGE = """async ([one, other, frames]) => {
  const part = (html) => document.createRange().createContextualFragment(html);
  for (let n = 0; n < frames; n++) {
    const fragment = part(n % 2 ? one : other), target = document.getElementById(fragment.firstElementChild.id);
    document.dispatchEvent(new CustomEvent("htmx:oobBeforeSwap", {detail: {target, fragment, shouldSwap: true}}));
    if (n % 400 === 0) await new Promise(requestAnimationFrame);
  }
}"""

Seen = dict[tuple[int, int], float]


async def changes(rate: float, seconds: float, nodes: list[int]) -> Seen:
    """Commit so many changes a second; when each was committed."""
    import psycopg

    from failover_console.settings import DATABASE_URL
    from nodes.live import ahint

    made: Seen = {}
    connection = await psycopg.AsyncConnection.connect(DATABASE_URL, autocommit=True)
    begun = time.monotonic()
    for number in range(int(rate * seconds)):
        await asyncio.sleep(max(0.0, begun + number / rate - time.monotonic()))
        node = nodes[number % len(nodes)]
        cursor = await connection.execute(CHANGE, (f"mark-{node}-{number}", node))
        row = await cursor.fetchone()
        made[node, number] = time.time()
        await ahint([row[0] if row else 0])
    await connection.close()
    return made


async def socket(address: str, cookie: str, ready: asyncio.Event, seen: list[Seen]) -> None:
    """One browser's socket: when the text of each change first came."""
    from websockets.asyncio.client import connect

    mine: Seen = {}
    seen.append(mine)
    url = address.replace("http", "ws") + "/ws/live/?page=dashboard"
    async with connect(url, additional_headers={"Cookie": cookie}, origin=address, max_size=None) as connection:  # type: ignore[arg-type]  # a plain address
        async for message in connection:
            ready.set()
            now = time.time()
            for node, number in MARK.findall(str(message)):
                mine.setdefault((int(node), int(number)), now)


def delays(made: Seen, seen: Seen) -> list[float]:
    """From each commit until it, or a later one of its node, was seen."""
    by_node: dict[int, list[tuple[int, float]]] = defaultdict(list)
    for (node, number), at in seen.items():
        by_node[node].append((number, at))
    found = []
    for (node, number), at in made.items():
        later = [when for other, when in by_node[node] if other >= number]
        if later:
            found.append(max(0.0, min(later) - at))
    return found


def cookies(count: int) -> list[str]:
    """Sessions for so many sockets, of as many users as that takes."""
    from django.conf import settings
    from django.contrib.auth.models import User
    from django.test import Client

    found = []
    for number in range(-(-count // EACH)):
        client = Client()
        client.force_login(User.objects.create(username=f"watcher-{number}"))
        found += [f"{settings.SESSION_COOKIE_NAME}={client.cookies[settings.SESSION_COOKIE_NAME].value}"] * EACH
    return found[:count]


async def measure(address: str, given: Any, nodes: list[int], sessions: list[str]) -> dict[str, float]:
    from playwright.async_api import async_playwright

    from tests.browser.conftest import ARGUMENTS, CHROMIUM

    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=[*ARGUMENTS, "--js-flags=--expose-gc"])
        context = await browser.new_context(viewport={"width": 1440, "height": 900})
        page = await context.new_page()
        await page.goto(f"{address}/accounts/login/")
        await page.fill("#id_username", "admin")
        await page.fill("#id_password", "bench-password")
        await page.click("main button[type=submit]")
        await page.wait_for_selector("#headline")
        await page.evaluate(WATCH)
        seen: list[Seen] = []
        ready = [asyncio.Event() for _ in sessions]
        tasks = [asyncio.create_task(socket(address, *each, seen)) for each in zip(sessions, ready, strict=True)]
        opened = asyncio.gather(*(each.wait() for each in ready))
        await asyncio.wait([opened, *tasks], return_when=asyncio.FIRST_COMPLETED)
        assert opened.done(), [each for each in tasks if each.done()]
        made = await changes(given.rate, given.seconds, nodes)
        await asyncio.sleep(2)
        for task in tasks:
            task.cancel()
        found = await page.evaluate("window.painted")
        painted = {tuple(map(int, key.split("-"))): at for key, at in found.items()}
        frames = [delay for each in seen for delay in delays(made, each)]
        onscreen = delays(made, painted)  # type: ignore[arg-type]  # two numbers each
        grown = await age(page, given.frames)
        await browser.close()
    return {
        "changes": len(made), "frame_p50": round(percentile(frames, 0.5), 3), "frame_p95": round(percentile(frames, 0.95), 3),
        "unseen": len(made) * given.sockets - len(frames), "painted_p50": round(percentile(onscreen, 0.5), 3),
        "painted_p95": round(percentile(onscreen, 0.95), 3), "unpainted": len(made) - len(onscreen), **grown,
    }  # fmt: skip  # figure beside figure


async def age(page: Any, frames: int) -> dict[str, float]:
    """What so many frames leave behind: megabytes of heap and elements."""

    async def size() -> tuple[float, int]:
        await page.evaluate("window.gc && (gc(), gc())")
        heap, elements = await page.evaluate("[performance.memory.usedJSHeapSize, document.querySelectorAll('*').length]")
        return heap / 1e6, elements

    before = await page.evaluate("document.querySelector('[id^=pool-]').outerHTML")
    after = re.sub(r"mark-(\d+)-(\d+)", r"mark-\1-0", before)
    await page.evaluate(AGE, [before, after, 400])
    heap, elements = await size()
    await page.evaluate(AGE, [before, after, frames])
    grown_heap, grown_elements = await size()
    return {"heap_growth_mb": round(grown_heap - heap, 2), "elements_grown": grown_elements - elements}


def main() -> None:
    arguments = parser(__doc__ or "")
    arguments.add_argument("--sockets", type=int, default=100)
    arguments.add_argument("--rate", type=float, default=50.0)
    arguments.add_argument("--seconds", type=float, default=30.0)
    arguments.add_argument("--frames", type=int, default=FRAMES)
    given = arguments.parse_args()
    with healthy_ports() as ports, console() as address:
        from nodes.models import NodeState, Pool

        for number in range(POOLS):
            addresses = [(f"node-{number:02d}-{each}", ports[each % len(ports)], "/") for each in range(NODES)]
            declare(f"pool-{number:02d}", addresses, interval=3600)
        until(lambda: NodeState.objects.filter(health="healthy", share__gt=0).count() == POOLS * NODES, 60)
        nodes = [pool.nodes.earliest("pk").pk for pool in Pool.objects.all()]  # of several warnings in a pool none is quoted
        sessions = cookies(given.sockets)
        figures = asyncio.run(measure(address, given, nodes, sessions))
        print(figures)
    conclude(figures, TARGETS, check=given.check)


if __name__ == "__main__":
    sys.exit(main())
