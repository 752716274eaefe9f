"""`manage.py demo add|remove|serve`: a fleet to try the console on."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from argparse import ArgumentParser
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand
from django.db import DatabaseError, connection

from failover_console import demo
from failover_console.demo.fleet import Fleet
from failover_console.demo.http import serve
from failover_console.demo.inventory import base_port, traffic_token
from failover_console.demo.layout import HOST, receiver_port, switches_port
from failover_console.demo.pages import Pages
from failover_console.demo.receiver import Receiver
from failover_console.demo.traffic import Traffic

LOOK_EVERY = 2.0  # s between looks whether the demo was removed


class Command(BaseCommand):
    """Adds or removes the demo's records, or runs its servers."""

    help = (
        "A demo fleet: nine servers with switches, callers of three of them, and a receiver that behaves as Slack and PagerDuty do."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("act", choices=["add", "remove", "serve"])
        parser.add_argument("--base-port", type=int, default=None, help="first of the demo's ports; PORT + 100 unless told")

    def handle(self, *_: Any, act: str, **options: Any) -> None:
        if act == "add":
            demo.add()
        elif act == "remove":
            demo.remove()
        else:
            asyncio.run(_serve(options["base_port"] or base_port()))


async def _serve(base: int) -> None:
    """Serve while the demo is in the inventory, until told to stop."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    while not stop.is_set():
        if await asyncio.to_thread(_wanted):
            await _serve_while_wanted(base, stop)
        await _until(stop)


async def _serve_while_wanted(base: int, stop: asyncio.Event) -> None:
    fleet, receiver = Fleet(base, settings.DATA_DIR / "demo.json"), Receiver()
    await fleet.start()
    await receiver.start(receiver_port(base))
    pages = await serve(switches_port(base), Pages(fleet, receiver, base).answer)
    traffic = asyncio.create_task(Traffic(f"http://{HOST}:{settings.PORT}", await asyncio.to_thread(_token)).run())
    print(f"demo switches at http://127.0.0.1:{switches_port(base)}", flush=True)
    while not stop.is_set() and await asyncio.to_thread(_wanted):
        await _until(stop)
    traffic.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await traffic
    pages.close()
    await receiver.stop()
    await fleet.stop()
    if not stop.is_set():
        print("the demo was removed, its servers have ended", flush=True)


async def _until(stop: asyncio.Event) -> None:
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(stop.wait(), LOOK_EVERY)


def _token() -> str:
    try:
        return traffic_token()
    finally:
        connection.close()


def _wanted() -> bool:
    """Whether the demo is in the inventory; a database that is away changes nothing."""
    try:
        return demo.installed()
    except DatabaseError:
        return True
    finally:
        connection.close()
