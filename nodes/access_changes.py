"""Who may come in, and by what: each change of a user, a role, a token or a way to log in is an event of the history.

`account_changed` is for every place that makes such a change: call it in the transaction of the change itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

from django.db import transaction
from django.http import HttpRequest

from nodes import live
from nodes.engine.enums import EventType
from nodes.engine.event_types import event
from nodes.ledger import clock
from nodes.ledger.history import append
from nodes.operations import ledger

ON_THE_SERVER = "manage.py"  # the actor of what was done by a command
_NOTHING: Mapping[str, str] = {}


def address_of(request: HttpRequest) -> str:
    """Where a request comes from, as events keep it; empty when the server does not know (a unix socket)."""
    return str(request.META.get("REMOTE_ADDR") or "")[:45]


def account_changed(
    said: str, *, actor: str, address: str = "", before: Mapping[str, str] = _NOTHING, after: Mapping[str, str] = _NOTHING
) -> None:
    """Append the event: a sentence without secrets, who did it from which address, the changed fields by label.

    The detail is shown to those who may see users, the sentence to everybody.
    """
    detail = {"address": address, "before": dict(before), "after": dict(after)}
    told = event(EventType.ACCOUNT_CHANGED, said, actor=actor, detail={name: value for name, value in detail.items() if value})
    with ledger() as cursor:
        append(cursor, told, clock.now(cursor))
    transaction.on_commit(partial(live.hint, []))
