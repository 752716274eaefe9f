"""`manage.py demo add|remove|serve`: a fleet to try the console on."""

from __future__ import annotations

import asyncio
import signal
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from failover_console import demo
from failover_console.demo.layout import HOST
from failover_console.demo.serving import serve_until


class Command(BaseCommand):
    """Adds or removes the demo's records, or runs its servers."""

    help = (
        "A demo fleet: nine servers with switches, callers of three of them, and a receiver that behaves as Slack and PagerDuty do."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        """One word: what to do."""
        parser.add_argument("act", choices=["add", "remove", "serve"])

    def handle(self, *_: Any, act: str, **_options: Any) -> None:
        """What cannot be is a CommandError, one line."""
        if act == "add":
            demo.add()
        elif act == "remove":
            demo.remove()
        else:
            try:
                asyncio.run(_serve())
            except OSError as trouble:
                raise CommandError(f"The demo's servers cannot run on {HOST} ({trouble.strerror or trouble}).") from trouble


async def _serve() -> None:
    """Serve until a signal ends it."""
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    await serve_until(stop, lambda line: print(line, flush=True))
