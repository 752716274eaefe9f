"""Says whether the migrations hold everything that the models do, as `makemigrations --check`, but asks no database."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.apps import apps
from django.core.management import BaseCommand, CommandError
from django.db.migrations.autodetector import MigrationAutodetector
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.questioner import NonInteractiveMigrationQuestioner
from django.db.migrations.state import ProjectState


class Command(BaseCommand):
    help = __doc__

    def handle(self, *args: Any, **options: Any) -> None:
        loader = MigrationLoader(None)
        if torn := loader.detect_conflicts():
            raise CommandError(f"Two migrations are the last ones of: {', '.join(sorted(torn))}.")
        wanted = MigrationAutodetector(
            loader.project_state(), ProjectState.from_apps(apps), NonInteractiveMigrationQuestioner(dry_run=True)
        )
        if missing := [_told(app, migrations) for app, migrations in wanted.changes(graph=loader.graph).items()]:
            raise CommandError("Run makemigrations; the models changed: " + "; ".join(missing))
        self.stdout.write("No migration is missing.")


def _told(app: str, migrations: Sequence[Any]) -> str:
    return f"{app}: " + ", ".join(operation.describe() for migration in migrations for operation in migration.operations)
