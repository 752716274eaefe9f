"""The titles of incidents: the pool, how many of its nodes are down, and where its traffic is, as one line.

A title is made of the pool as it is after a step, so it follows the truth for as long as its incident is open.
"""

from __future__ import annotations

from collections.abc import Sequence

from nodes.engine.enums import UNWATCHED, Guard
from nodes.engine.shares import off_ideal, on_trial
from nodes.engine.types import FULL_SHARE, Flapping, Member, Pool

MOST_NAMED = 3  # nodes; more are counted
_MINUTE = 60  # s
_HOUR = 60 * _MINUTE
_DAY = 24 * _HOUR


def of_pool(pool: Pool) -> str:
    """The title of the pool's open incident."""
    watched = sum(node.admin not in UNWATCHED for node in pool.members)
    down = sum(node.failure is not None for node in pool.members)
    return f"{pool.name}: {down} of {watched} node{'' if watched == 1 else 's'} down, {_traffic(pool)}"


def of_pool_over(pool: Pool, names: Sequence[str], seconds: float) -> str:
    """The title of the pool's incident once it is over; `names`: the nodes that were down."""
    who = listed(names) if len(names) <= MOST_NAMED else f"{len(names)} nodes"
    return f"{pool.name}: {who} {'was' if len(names) == 1 else 'were'} down for {span(seconds)}; {_settled(pool)}"


def of_flapping(pool: Pool, node: Member) -> str:
    """The title of the open incident of a flapping node."""
    assert node.flapping is not None  # asked by the caller
    if node.failure is not None:
        standing = f"down now, {_traffic(pool)}"
    elif node.admin in UNWATCHED:
        standing = f"{node.admin.words} now"
    else:
        standing = "up now"
    return f"{pool.name}: {node.name} is flapping: failed {_often(node.flapping)}, {standing}"


def of_flapping_over(pool: Pool, name: str, flapping: Flapping) -> str:
    """The title of a flapping node's incident once it is over."""
    return f"{pool.name}: {name} was flapping: failed {_often(flapping)}; {_settled(pool)}"


def _often(flapping: Flapping) -> str:
    return f"{flapping.failures} times in {span(flapping.failed_at - flapping.since)}"


def _traffic(pool: Pool) -> str:
    holders = [node for node in pool.members if node.share]
    stuck = [node for node in holders if node.failure is not None and not on_trial(node)]
    if stuck:
        return f"{_part(stuck)} still on {_who(stuck)}, which {'is' if len(stuck) == 1 else 'are'} down{_why(stuck)}"
    well = [node for node in holders if node.failure is None]
    if not well:
        return "no node holds traffic"
    return f"{_part(well)} on {_who(well)}"


def _settled(pool: Pool) -> str:
    """Where the traffic is once nothing is down; true then, and as a sentence later."""
    if not any(node.share for node in pool.members):
        return "no node holds traffic"
    if any(node.ramp is not None for node in pool.members):
        return f"shares come back in steps over {span(pool.policy.slow_start)}"
    return _traffic(pool) if off_ideal(pool) else "traffic is at its weights"


def _part(holders: Sequence[Member]) -> str:
    points = sum(node.share for node in holders)
    return "all traffic" if points == FULL_SHARE else f"{_percent(points)} %"


def _percent(points: int) -> str:
    """Two digits, and never 100 that are not all."""
    return f"{points / 100:.2g}" if points < 99 * 100 else f"{points / 100:g}"


def _who(holders: Sequence[Member]) -> str:
    return listed([node.name for node in holders]) if len(holders) <= MOST_NAMED else f"{len(holders)} nodes"


def _why(stuck: Sequence[Member]) -> str:
    """The one guard that holds their failovers back, if it is one."""
    guards = {node.failure.refused_by for node in stuck if node.failure is not None}
    guard = guards.pop() if len(guards) == 1 else None
    if guard is None:
        return ""
    return ": no other node can take it" if guard is Guard.NO_CANDIDATE else f": blocked by {guard.words}"


def listed(names: Sequence[str]) -> str:
    """a, b and c"""
    return " and ".join((", ".join(names[:-1]), names[-1])) if len(names) > 1 else "".join(names)


def span(seconds: float) -> str:
    """A duration in at most two units: 45 s, 3 min, 2 h 5 min, 1 d 4 h."""
    whole = max(0, round(seconds))
    if whole < _MINUTE:
        return f"{whole} s"
    if whole < _HOUR:
        return f"{round(whole / _MINUTE)} min"
    if whole < _DAY:
        return f"{whole // _HOUR} h {whole % _HOUR // _MINUTE} min".removesuffix(" 0 min")
    return f"{whole // _DAY} d {whole % _DAY // _HOUR} h".removesuffix(" 0 h")
