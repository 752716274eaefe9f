"""Failed log-ins: who has to wait before the next try, what the history is told of them, and when a series of them is over.

A try is counted before its password is hashed, in one statement, so that tries at the same moment cannot slip past; one that
succeeds is forgiven.  Nothing is ever locked for good: a wait is 30 s at most, and 15 min without a failure forget all of them.
A flood writes few events: one for the first failure of an account from an address in a minute, one that counts the others.
Locks: a row of its own table, then the fleet's row.
"""

from __future__ import annotations

from dataclasses import dataclass

from nodes.engine.enums import EventType
from nodes.engine.event_types import event
from nodes.ledger.clock import now as read_clock
from nodes.ledger.history import append
from nodes.ledger.pools import lock_fleet
from nodes.ledger.rows import Cursor

FIRST_WAIT, LONGEST_WAIT = 1, 30  # s; it doubles with each failure
FORGOTTEN_AFTER = 900  # s without a failure
SERIES_BEGINS, SERIES_ENDS = 10, 5  # failures of one account, or from one address, within SERIES_WITHIN
SERIES_WITHIN = 600  # s
EVENTS_A_MINUTE = 60  # first failures that have an event of their own at once; further ones are counted
SINGLE_COUNTS = 10  # counts of further failures that have an event each; above it one event sums them up
KEPT = 3600  # s


@dataclass(frozen=True, slots=True)
class Failure:
    """A log-in that failed.  `account`: empty when nobody has the name that was typed; `means`: by what it was tried."""

    account: str
    address: str
    means: str

    def __str__(self) -> str:
        who = f"as {self.account}" if self.account else "by a name that nobody has"
        return f"Log-in {who} from {self.address} failed: {self.means}"


# Waiting --------------------------------------------------------------------------------------------------------------


def admit(cursor: Cursor, key: str, free: int) -> float:
    """Count a try; 0 when it may be made, else the seconds until one may.  The first `free` tries wait for nothing."""
    cursor.execute(_ADMIT, {"key": key, "free": free, "first": FIRST_WAIT, "longest": LONGEST_WAIT, "forget": FORGOTTEN_AFTER})
    if cursor.fetchone() is not None:
        return 0.0
    cursor.execute(_WAIT, (key,))
    row = cursor.fetchone()
    return max(0.1, row["wait"]) if row else 0.1  # it was forgiven meanwhile


def forgive(cursor: Cursor, key: str) -> None:
    """Forget all failures of a key: its owner has proved who they are."""
    cursor.execute("DELETE FROM nodes_logindelay WHERE key = %s", (key,))


def take_back(cursor: Cursor, key: str, free: int) -> None:
    """Uncount one try that did not fail; the failures before it stay."""
    cursor.execute(_TAKE_BACK, {"key": key, "free": free})


def undo(cursor: Cursor, key: str) -> None:
    """Uncount one try that was never judged, with the wait that it began: there was none when it was admitted."""
    cursor.execute(_UNDO, (key,))


def spend(cursor: Cursor, key: str, seconds: float) -> bool:
    """Take what may be used once within this time; False when it was taken before."""
    cursor.execute(_SPEND, (key, seconds))
    return cursor.fetchone() is not None


# Telling --------------------------------------------------------------------------------------------------------------


def note(cursor: Cursor, failure: Failure) -> None:
    """Count a failure, and tell it when it is the first of its account and address in this minute, or makes a series."""
    cursor.execute(_COUNT, (failure.account, failure.address))
    row = cursor.fetchone()
    assert row is not None  # RETURNING always answers
    if row["count"] == 1 and row["told"] < EVENTS_A_MINUTE:
        cursor.execute("UPDATE nodes_loginfailure SET told = 1 WHERE id = %s", (row["id"],))
        append(cursor, event(EventType.LOGIN_FAILED, str(failure), detail=_detail(failure, 1)), row["now"])
    _tell_series(cursor, failure)


def _detail(failure: Failure, count: int) -> dict[str, object]:
    return {"account": failure.account, "address": failure.address, "count": count}


def _tell_series(cursor: Cursor, failure: Failure) -> None:
    cursor.execute(_SERIES, {"account": failure.account, "address": failure.address, "within": SERIES_WITHIN})
    row = cursor.fetchone()
    assert row is not None  # an aggregate always answers
    if max(row["of_account"], row["of_address"]) < SERIES_BEGINS or row["told"]:
        return
    if lock_fleet(cursor, exclusive=True) and _set_told(cursor, told=True):
        of_account = row["of_account"] >= SERIES_BEGINS
        about = f"of {failure.account}" if of_account else f"from {failure.address}"
        count = row["of_account"] if of_account else row["of_address"]
        said = f"{count} log-ins {about} failed within {SERIES_WITHIN // 60} min, the last from {failure.address}"
        append(cursor, event(EventType.LOGIN_FAILURES, said, detail=_detail(failure, count)), read_clock(cursor))


def _set_told(cursor: Cursor, *, told: bool) -> bool:
    """Whether this changed it."""
    cursor.execute(
        "UPDATE nodes_fleetstate SET logins_told = %s, version = version + 1 WHERE id = 1 AND logins_told <> %s", (told, told)
    )
    return cursor.rowcount == 1


def watch(cursor: Cursor) -> None:
    """Tell how many failures were only counted, end a series that is over, and remove what is old."""
    now = read_clock(cursor)
    cursor.execute(_UNTOLD)
    untold = cursor.fetchall()
    for row in untold if len(untold) <= SINGLE_COUNTS else ():
        failure = Failure(row["account"], row["address"], f"{row['count']} times more in the same minute")
        append(cursor, event(EventType.LOGIN_FAILED, str(failure), detail=_detail(failure, row["count"])), now)
    if len(untold) > SINGLE_COUNTS:
        accounts, addresses = ({row[name] for row in untold} for name in ("account", "address"))
        count = sum(row["count"] for row in untold)
        said = f"{count} log-ins more failed, of {len(accounts)} accounts and from {len(addresses)} addresses"
        append(cursor, event(EventType.LOGIN_FAILED, said, detail={"count": count}), now)
    _end_series(cursor, now)
    cursor.execute("DELETE FROM nodes_logindelay WHERE free_at < now() - make_interval(secs => %s)", (FORGOTTEN_AFTER,))
    cursor.execute("DELETE FROM nodes_loginfailure WHERE minute < now() - make_interval(secs => %s)", (KEPT,))


def _end_series(cursor: Cursor, now: float) -> None:
    cursor.execute("SELECT 1 FROM nodes_fleetstate WHERE id = 1 AND logins_told")
    if cursor.fetchone() is None:
        return
    cursor.execute(_MOST, {"within": SERIES_WITHIN})
    row = cursor.fetchone()
    assert row is not None  # an aggregate always answers
    if row["most"] < SERIES_ENDS and _set_told(cursor, told=False):
        said = f"The series of failed log-ins is over: fewer than {SERIES_ENDS} of each account and address within 10 min"
        append(cursor, event(EventType.LOGIN_FAILURES_ENDED, said), now)


# The time of a statement, not of its transaction: what comes later in one is later.
_LATER = "least(%(longest)s, %(first)s * power(2, least({failures} - %(free)s - 1, 9)))"
_UNTIL = f"statement_timestamp() + make_interval(secs => CASE WHEN {{failures}} <= %(free)s THEN 0 ELSE {_LATER} END)"
_FAILURES = "CASE WHEN d.failed_at < statement_timestamp() - make_interval(secs => %(forget)s) THEN 1 ELSE d.failures + 1 END"
_ADMIT = f"""
INSERT INTO nodes_logindelay AS d (key, failures, failed_at, free_at)
VALUES (%(key)s, 1, statement_timestamp(), {_UNTIL.format(failures="1")})
ON CONFLICT (key) DO UPDATE
SET failures = {_FAILURES}, failed_at = statement_timestamp(), free_at = {_UNTIL.format(failures=f"({_FAILURES})")}
WHERE d.free_at <= statement_timestamp()
RETURNING failures
"""
_WAIT = "SELECT extract(epoch FROM free_at - statement_timestamp())::float8 AS wait FROM nodes_logindelay WHERE key = %s"
_TAKE_BACK = """
UPDATE nodes_logindelay
SET failures = greatest(failures - 1, 0), free_at = CASE WHEN failures <= %(free)s + 1 THEN statement_timestamp() ELSE free_at END
WHERE key = %(key)s
"""
_UNDO = "UPDATE nodes_logindelay SET failures = greatest(failures - 1, 0), free_at = statement_timestamp() WHERE key = %s"
_SPEND = """
INSERT INTO nodes_logindelay AS d (key, failures, failed_at, free_at)
VALUES (%s, 0, statement_timestamp(), statement_timestamp() + make_interval(secs => %s))
ON CONFLICT (key) DO UPDATE SET failed_at = excluded.failed_at, free_at = excluded.free_at WHERE d.free_at <= statement_timestamp()
RETURNING key
"""
_COUNT = """
WITH counted AS (
    INSERT INTO nodes_loginfailure AS f (account, address, minute, count, told)
    VALUES (%s, %s, date_trunc('minute', statement_timestamp()), 1, 0)
    ON CONFLICT (minute, account, address) DO UPDATE SET count = f.count + 1
    RETURNING id, count
)
SELECT id, count, extract(epoch FROM clock_timestamp())::float8 AS now,
       (SELECT coalesce(sum(told), 0) FROM nodes_loginfailure WHERE minute = date_trunc('minute', statement_timestamp())) AS told
FROM counted
"""
_SERIES = """
SELECT coalesce(sum(count) FILTER (WHERE account = %(account)s AND account <> ''), 0)::int AS of_account,
       coalesce(sum(count) FILTER (WHERE address = %(address)s), 0)::int AS of_address,
       (SELECT coalesce(bool_or(logins_told), false) FROM nodes_fleetstate WHERE id = 1) AS told
FROM nodes_loginfailure
WHERE minute > statement_timestamp() - make_interval(secs => %(within)s)
"""
_UNTOLD = """
WITH old AS MATERIALIZED (
    SELECT id, count - told AS count FROM nodes_loginfailure
    WHERE minute < statement_timestamp() - interval '60 s' AND count > told ORDER BY id FOR UPDATE
)
UPDATE nodes_loginfailure f SET told = f.count FROM old WHERE f.id = old.id RETURNING f.account, f.address, old.count
"""
_MOST = """
SELECT coalesce(max(failed), 0)::int AS most FROM (
    SELECT sum(count) AS failed FROM nodes_loginfailure
    WHERE minute > statement_timestamp() - make_interval(secs => %(within)s)
    GROUP BY GROUPING SETS ((account), (address)) HAVING NOT (GROUPING(account) = 0 AND account = '')
) each
"""
