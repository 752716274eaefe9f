"""Compiles every template, so that a mistake in one that no test renders is found by `make check`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management import BaseCommand, CommandError
from django.template import TemplateSyntaxError
from django.template.loader import get_template


class Command(BaseCommand):
    help = __doc__

    def handle(self, *args: Any, **options: Any) -> None:
        root = Path(settings.BASE_DIR) / "templates"
        names = sorted(str(path.relative_to(root)) for path in root.rglob("*") if path.is_file())
        broken = [f"{name}: {error}" for name in names if (error := _mistake(name))]
        if broken:
            raise CommandError("\n".join(broken))
        self.stdout.write(f"{len(names)} templates compile.")


def _mistake(name: str) -> TemplateSyntaxError | None:
    try:
        get_template(name)
    except TemplateSyntaxError as error:
        return error
    return None
