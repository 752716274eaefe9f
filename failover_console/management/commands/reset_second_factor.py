"""`manage.py reset_second_factor <name>`: for who has lost the second factor and the recovery codes."""

from argparse import ArgumentParser
from typing import Any

from allauth.mfa.models import Authenticator
from django.contrib.auth.models import User
from django.core.management.base import BaseCommand, CommandError

from failover_console.accounts import history, sessions


class Command(BaseCommand):
    """Removes all second factors of one user and ends their sessions; the history tells it."""

    help = (
        "Removes authenticator app, passkeys and recovery codes of a user and ends their sessions. They log in by their password "
        "alone then, and where a second factor is required they set up a new one first."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Whose."""
        parser.add_argument("name", help="user name")

    def handle(self, *_args: Any, name: str, **_options: Any) -> None:
        """Remove them; an unknown name is a CommandError."""
        user = User.objects.filter(username=name).first()
        if user is None:
            raise CommandError(f"Nobody has the user name {name}.")
        removed, _ = Authenticator.objects.filter(user=user).delete()
        ended = sessions.end(user)
        history.tell(f"The second factors of {name} were removed on the server (reset_second_factor)", actor="manage.py")
        self.stdout.write(f"{name}: {removed} second factors removed, {ended} sessions ended.")
