"""`manage.py event_types`: the table of event types as the paper that people read."""

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from nodes.engine.enums import Severity
from nodes.engine.event_types import TABLE, Row, TroubleType

_HEAD = """# What happens: the events

Printed from `nodes/engine/event_types.py` by `manage.py event_types --write`; `make check` fails when this page is old.

An event about a node whose failure is open, or ends with it, belongs to its pool's incident, or while it flaps to its own.
So do those marked here; what begins or ends another trouble only then.
Alert rules choose by severity, type, pool and tag; what can never be a warning is history only, unless it ends what was notified.

| event | when | about | severity | trouble | alerts look at it | part of the incident |
|---|---|---|---|---|---|---|
"""
_TROUBLES = """
## What lasts

A trouble begins, may have news, and has exactly one end for every way out: recovery, removal, maintenance, disabling, an edit.

| trouble | begins with | news | ends with |
|---|---|---|---|
"""


class Command(BaseCommand):
    """Prints docs/events.md, writes it, or fails when the file says something else."""

    help = "Prints docs/events.md from the table of event types."
    requires_system_checks: tuple[str, ...] = ()

    def add_arguments(self, parser: ArgumentParser) -> None:
        """What to do with the page."""
        parser.add_argument("--write", action="store_true", help="write docs/events.md")
        parser.add_argument("--check", action="store_true", help="fail when docs/events.md is old")

    def handle(self, *_args: Any, write: bool, check: bool, **_options: Any) -> None:
        """Print, write or compare; a page that is old is a CommandError."""
        path = Path(settings.BASE_DIR) / "docs/events.md"
        if write:
            path.write_text(page())
        elif not check:
            self.stdout.write(page())
        elif not path.exists() or path.read_text() != page():
            raise CommandError("docs/events.md is old: run manage.py event_types --write")


def page() -> str:
    """The whole page."""
    events = "".join(f"| `{kind}` | {_cells(row)} |\n" for kind, row in TABLE.items())
    return _HEAD + events + _TROUBLES + "".join(_trouble(kind) for kind in TroubleType)


def _cells(row: Row) -> str:
    severity = row.severity.value if isinstance(row.severity, Severity) else row.severity.__doc__
    lasting = [f"{verb} {kind}" for verb, kind in (("begins", row.begins), ("updates", row.updates), ("ends", row.ends)) if kind]
    marks = ("yes" if row.alertable else "", "yes" if row.of_incident else "")
    return " | ".join((row.sentence, row.scope.value, str(severity), ", ".join(lasting), *marks))


def _trouble(trouble: TroubleType) -> str:
    told = {
        part: ", ".join(f"`{kind}`" for kind, row in TABLE.items() if getattr(row, part) is trouble)
        for part in ("begins", "updates", "ends")
    }
    begins = told["begins"] or "its first failure"
    return f"| {trouble} | {begins} | {told['updates']} | {told['ends']} |\n"
