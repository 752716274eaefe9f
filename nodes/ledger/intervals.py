"""The engine's rules on intervals and on staleness, as SQL.

Expressions over three aliases: `s` a node's state, `n` the node, `f` its pool's failover policy.  The defaults are the engine's
own constants (`nodes.engine.health`), and a test holds both to one answer.
"""

from __future__ import annotations

from nodes.engine.enums import AdminState, Health
from nodes.engine.health import LONGEST_DEFAULT_FAST_INTERVAL, LONGEST_DEFAULT_TIMEOUT, SHORTEST_SILENCE

_LONGEST = "1e8"  # s, three years


def _bounded(seconds: str) -> str:
    """A duration that `make_interval` takes: one infinite or not a number would fail the statement, and so every other row."""
    return f"least(greatest({seconds}, 0), {_LONGEST}::float8)"


INTERVAL = _bounded("coalesce(n.interval, f.interval)")
FAST_INTERVAL = _bounded(f"coalesce(n.fast_interval, f.fast_interval, least({LONGEST_DEFAULT_FAST_INTERVAL}::float8, {INTERVAL}))")
DOWN_INTERVAL = _bounded(f"coalesce(n.down_interval, f.down_interval, {INTERVAL})")
CHECK_TIMEOUT = _bounded(f"coalesce(n.check_timeout, f.check_timeout, least({LONGEST_DEFAULT_TIMEOUT}::float8, {INTERVAL} / 2))")
INTERVAL_IN_FORCE = (
    f"CASE WHEN s.health = '{Health.FAILED}' THEN {DOWN_INTERVAL} "
    f"WHEN s.health = '{Health.RECOVERING}' OR s.fails > 0 THEN {FAST_INTERVAL} ELSE {INTERVAL} END"
)
_SILENCE = (
    f"greatest(2 * {_bounded(f'coalesce(s.due_interval, {INTERVAL_IN_FORCE})')} + {CHECK_TIMEOUT}, {SHORTEST_SILENCE}::float8)"
)
STALE_AT = f"coalesce(s.observed_at, s.health_since) + make_interval(secs => {_SILENCE})"


def stale(now: str = "now()") -> str:
    """Whether the node is stale at the instant `now` (an SQL expression); as `nodes.engine.health.stale`.

    Its interval is asked for only when it was silent for the shortest time that could do.
    """
    silent = f"coalesce(s.observed_at, s.health_since) < {now} - make_interval(secs => {SHORTEST_SILENCE}) AND {STALE_AT} < {now}"
    return f"(s.stale OR (s.admin_state <> '{AdminState.DISABLED}' AND coalesce({silent}, false)))"
