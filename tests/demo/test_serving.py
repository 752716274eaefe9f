"""The demo's servers run while the demo is in the inventory, in one process per database, and follow its hand-over."""

from __future__ import annotations

import asyncio
import urllib.error
import urllib.request
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.db import connections

from failover_console import demo
from failover_console.demo import inventory, ports, serving
from nodes.models import Node

pytestmark = [pytest.mark.django_db(transaction=True, serialized_rollback=True), pytest.mark.integration]


@pytest.fixture(autouse=True)
async def data_directory(tmp_path: Path, settings: Any, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Path]:
    settings.DATA_DIR = tmp_path
    monkeypatch.setattr(serving, "LOOK_EVERY", 0.02)
    yield tmp_path
    await sync_to_async(connections.close_all)()  # the thread in which the test itself asked the database


class Serving:
    """One process's servers; `line` is the next that it says."""

    def __init__(self) -> None:
        self._said: asyncio.Queue[str] = asyncio.Queue()
        self._stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        self._task = asyncio.create_task(
            serving.serve_until(self._stop, lambda line: loop.call_soon_threadsafe(self._said.put_nowait, line))
        )

    async def line(self) -> str:
        return await asyncio.wait_for(self._said.get(), 20)

    async def end(self) -> None:
        self._stop.set()
        await asyncio.wait_for(self._task, 20)


@asynccontextmanager
async def running() -> AsyncIterator[Serving]:
    made = Serving()
    try:
        yield made
    finally:
        await made.end()


def answers(name: str) -> bool:
    """Whether the node of that name is healthy where the inventory says that it is."""
    try:
        urllib.request.urlopen(f"http://127.0.0.1:{inventory.ports()[name]}/healthz", timeout=5).close()
    except urllib.error.URLError:
        return False
    return True


async def until(condition: Any, *given: Any) -> None:
    async with asyncio.timeout(20):
        while not await sync_to_async(condition)(*given):  # noqa: ASYNC110 - a database tells nobody
            await asyncio.sleep(0)


async def test_they_run_while_the_demo_is_there(data_directory: Path) -> None:
    await sync_to_async(demo.add)()
    async with running() as servers:
        assert await servers.line() == f"demo switches at http://127.0.0.1:{ports.remembered(data_directory)['switches']}"
        assert await sync_to_async(answers)("api-1")

        await sync_to_async(demo.remove)()

        assert (await servers.line()).startswith("the demo was removed")
        await sync_to_async(demo.add)()
        assert (await servers.line()).startswith("demo switches at ")
        assert await sync_to_async(answers)("api-1")


async def test_a_second_process_on_the_database_waits_and_takes_over(data_directory: Path) -> None:
    await sync_to_async(demo.add)()
    async with running() as first:
        await first.line()
        async with running() as waiting:
            assert (
                await waiting.line() == "another console on this database runs the demo's servers; they start here when those end"
            )
            await first.end()
            assert (await waiting.line()).startswith("demo switches at ")
            assert await sync_to_async(answers)("api-1")


async def test_nodes_that_lead_elsewhere_are_led_to_the_servers(data_directory: Path) -> None:
    await sync_to_async(demo.add)()
    await sync_to_async(Node.objects.filter(name="api-1").update)(port=1)

    async with running() as servers:
        await servers.line()
        await until(answers, "api-1")

    assert not await sync_to_async(answers)("api-1")
