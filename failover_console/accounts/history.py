"""What people change about how they log in, as events of the history."""

from __future__ import annotations

from django.contrib.auth.models import User
from django.http import HttpRequest

from failover_console.accounts.throttle import address_of
from nodes.access_changes import account_changed


def record(request: HttpRequest, user: User, did: str) -> None:
    """`user` did this on the page of their account."""
    tell(f"{user.get_username()} {did}, from {address_of(request)}", actor=user.get_username(), address=address_of(request))


def tell(said: str, *, actor: str, address: str = "") -> None:
    """Append the event, in the caller's transaction if there is one."""
    account_changed(said, actor=actor, address=address)
