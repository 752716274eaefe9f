"""`manage.py reencrypt`: everything that an older key of ENCRYPTION_KEYS sealed is sealed anew by the first."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from nodes.sealed import Resealing, Usage, reseal, usage

_SAY_EVERY = 1000  # rows


class Command(BaseCommand):
    """Seals anew, says what it did and which keys are needed now; fails when something could not be read or was locked."""

    help = (
        "Seals anew, by the first key of ENCRYPTION_KEYS, what an older key sealed: request headers, addresses and keys of "
        "destinations, second factors. Row by row, while the console runs; stop it and start it again as you like."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Whether to change anything."""
        parser.add_argument("--check", action="store_true", help="only count what each key seals")

    def handle(self, *_args: Any, check: bool, **_options: Any) -> None:
        """Do it, then say how it stands."""
        done = Resealing()
        if not check:
            for done in reseal():
                if done.done and done.done % _SAY_EVERY == 0:
                    self.stdout.write(f"{done.done} rows so far")
            self.stdout.write(f"{done.done} rows were sealed anew.")
        found = usage()
        self._say(found)
        if done.busy:
            self.stdout.write("Locked by somebody, run this again: " + ", ".join(done.busy))
        if found.unreadable or done.busy:
            raise CommandError(f"{len(found.unreadable)} rows cannot be read and {len(done.busy)} were locked; remove no key yet.")

    def _say(self, found: Usage) -> None:
        for key in found.keys:
            use = "seals what is new" if key.seals_new else "may be removed" if found.may_go(key) else "is needed"
            self.stdout.write(f"key {key.number} ({key.fingerprint}): {key.values} values, {use}")
        for row in found.unreadable:
            self.stdout.write(f"no key reads {row}: put the key that sealed it back, or enter the secret again")
