"""The fleet's one row: a pause of all automation, checks that nobody makes; the checkers write theirs (`checkers`).

Each change is made under the row's lock and writes its one event; asking for what already is changes nothing.
"""

from __future__ import annotations

from nodes.engine.enums import EventType
from nodes.engine.event_types import event
from nodes.engine.types import Hold
from nodes.ledger import rows
from nodes.ledger.history import append
from nodes.ledger.pools import lock_fleet
from nodes.ledger.rows import Cursor


def pause(cursor: Cursor, hold: Hold, now: float) -> bool:
    """Stop all automatic changes of shares; False when it was stopped already."""
    if rows.hold(lock_fleet(cursor, exclusive=True)["paused"]) is not None:
        return False
    _write_pause(cursor, hold)
    message = f"All automation paused by {hold.owner}: {hold.reason or 'no reason given'}"
    append(cursor, event(EventType.AUTOMATION_PAUSED, message, actor=hold.owner), now)
    return True


def resume(cursor: Cursor, actor: str, now: float) -> bool:
    """Let automation act again; False when nothing held it."""
    if rows.hold(lock_fleet(cursor, exclusive=True)["paused"]) is None:
        return False
    _write_pause(cursor, None)
    message = f"All automation resumed by {actor}"
    append(cursor, event(EventType.AUTOMATION_RESUMED, message, actor=actor), now)
    wake_all(cursor, now)
    return True


def edited(cursor: Cursor) -> None:
    """Tell the runners to load the checks anew."""
    lock_fleet(cursor, exclusive=True)
    cursor.execute("UPDATE nodes_fleetstate SET config_version = config_version + 1, version = version + 1 WHERE id = 1")


def _write_pause(cursor: Cursor, hold: Hold | None) -> None:
    cursor.execute("UPDATE nodes_fleetstate SET paused = %s, version = version + 1 WHERE id = 1", (rows.as_json(hold),))


def wake_all(cursor: Cursor, now: float) -> None:
    """A guard lifted: every pool decides again at once; one without trouble may still hold a recovery back."""
    cursor.execute("UPDATE nodes_poolstate SET wake_at = %s", (rows.moment(now),))
