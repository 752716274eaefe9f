"""`manage.py changepassword`: Django's own, told in the history."""

import getpass
from typing import Any

from django.contrib.auth.management.commands import changepassword

from nodes.access_changes import ON_THE_SERVER, account_changed


class Command(changepassword.Command):
    """Told right after it, as createsuperuser."""

    def handle(self, *args: Any, **options: Any) -> str:
        """Change it, then tell it; who is meant is who the command takes."""
        name = options["username"] or getpass.getuser()
        done = str(super().handle(*args, **options))
        account_changed(f"changepassword changed the password of {name}", actor=ON_THE_SERVER)
        return done
