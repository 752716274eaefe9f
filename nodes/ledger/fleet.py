"""The fleet's one row: a pause of all automation, a console that is cut off, checks that start late.

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
    _write(cursor, "paused", hold)
    message = f"All automation paused by {hold.owner}: {hold.reason or 'no reason given'}"
    append(cursor, event(EventType.AUTOMATION_PAUSED, message, actor=hold.owner), now)
    return True


def resume(cursor: Cursor, actor: str, now: float) -> bool:
    """Let automation act again; False when nothing held it."""
    if rows.hold(lock_fleet(cursor, exclusive=True)["paused"]) is None:
        return False
    _write(cursor, "paused", None)
    message = f"All automation resumed by {actor}"
    append(cursor, event(EventType.AUTOMATION_RESUMED, message, actor=actor), now)
    _wake_all(cursor, now)
    return True


def isolate(cursor: Cursor, hold: Hold, now: float) -> bool:
    """Hold automation since the console itself seems cut off; False when that was known."""
    if rows.hold(lock_fleet(cursor, exclusive=True)["isolated"]) is not None:
        return False
    _write(cursor, "isolated", hold)
    message = f"Checker isolated: {hold.reason}. Automation holds until checks pass again"
    append(cursor, event(EventType.CHECKER_ISOLATED, message, detail={"checker": hold.owner}), now)
    return True


def rejoin(cursor: Cursor, checker: str, now: float) -> bool:
    """End the isolation; False when there was none."""
    held = rows.hold(lock_fleet(cursor, exclusive=True)["isolated"])
    if held is None:
        return False
    _write(cursor, "isolated", None)
    message = f"Checker no longer isolated after {now - held.since:.0f} s: automation acts again"
    append(cursor, event(EventType.CHECKER_REJOINED, message, detail={"checker": checker}), now)
    _wake_all(cursor, now)
    return True


def tell_late(cursor: Cursor, late: bool, lateness: float, now: float) -> bool:
    """Say once that checks start late, and once that they are on time again."""
    if lock_fleet(cursor, exclusive=True)["late_told"] == late:
        return False
    cursor.execute("UPDATE nodes_fleetstate SET late_told = %s, version = version + 1 WHERE id = 1", (late,))
    if late:
        message = f"Checks start {lateness:.1f} s late (p99): add workers or lengthen intervals"
        told = event(EventType.CHECKS_LATE, message, detail={"lateness_p99": round(lateness, 3)})
    else:
        told = event(EventType.CHECKS_ON_TIME, "Checks start on time again")
    append(cursor, told, now)
    return True


def edited(cursor: Cursor) -> None:
    """Tell the runners to load the checks anew."""
    lock_fleet(cursor, exclusive=True)
    cursor.execute("UPDATE nodes_fleetstate SET config_version = config_version + 1, version = version + 1 WHERE id = 1")


def _write(cursor: Cursor, column: str, hold: Hold | None) -> None:
    queries = {
        "paused": "UPDATE nodes_fleetstate SET paused = %s, version = version + 1 WHERE id = 1",
        "isolated": "UPDATE nodes_fleetstate SET isolated = %s, version = version + 1 WHERE id = 1",
    }
    cursor.execute(queries[column], (rows.as_json(hold),))


def _wake_all(cursor: Cursor, now: float) -> None:
    """A guard lifted: every pool decides again at once; one without trouble may still hold a recovery back."""
    cursor.execute("UPDATE nodes_poolstate SET wake_at = %s", (rows.moment(now),))
