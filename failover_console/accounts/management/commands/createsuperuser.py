"""`manage.py createsuperuser`: Django's own, told in the history."""

from typing import Any

from django.contrib.auth.management.commands import createsuperuser
from django.contrib.auth.models import User

from nodes.access_changes import ON_THE_SERVER, account_changed


class Command(createsuperuser.Command):
    """Told right after it: Django's command asks people first and opens no transaction."""

    def handle(self, *args: Any, **options: Any) -> None:
        """Make the user, then tell it."""
        known = set(User.objects.filter(is_superuser=True).values_list("pk", flat=True))
        super().handle(*args, **options)
        for made in User.objects.filter(is_superuser=True).exclude(pk__in=known):
            account_changed(f"createsuperuser made {made.get_username()}, a superuser", actor=ON_THE_SERVER)
