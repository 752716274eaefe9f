"""One pool in a sentence, for its line in a list that names it already: what users get, by whom, who is out and why.  Pure."""

from __future__ import annotations

from collections.abc import Sequence

from nodes.engine.causes import causes, who
from nodes.engine.enums import AdminState, Health
from nodes.engine.headline import MOST_NAMED, listed
from nodes.engine.sentences import NOTHING, Part, Sentence, joined, plain, strong
from nodes.engine.service import NodeView, PoolStatus, PoolView, Service, Truth


def pool_sentence(pool: PoolView, known: Truth) -> Sentence:
    """Empty when there is nothing to say."""
    if not known.in_use:
        return plain(_unused(known))
    if pool.undecided:
        return plain(f"The console cannot tell: {pool.undecided}")
    if known.service is Service.USERS_HIT:
        return _hit(pool, known)
    if known.service is Service.UNKNOWN:
        silent = [node for node in pool.nodes if node.wanted and node.in_doubt]
        return joined((strong("The console cannot tell:"), plain(f"{causes(pool, silent)}.")))
    return joined((_served(pool), _out(pool), _suspects(pool)))


def _unused(known: Truth) -> str:
    if known.status is PoolStatus.UNKNOWN:
        return "Not in service yet: no node has passed a check."
    return "Not in service: no node is to serve."


def _hit(pool: PoolView, known: Truth) -> Sentence:
    bad = [node for node in pool.nodes if node.misdirected] if known.status is PoolStatus.PENDING else []
    bad = bad or [node for node in pool.nodes if node.out or node.misdirected] or [n for n in pool.nodes if not n.eligible]
    cause = causes(pool, bad)
    return Sentence((Part(f"{_begun(cause)}.", strong=True),)) if cause else strong("No node holds traffic.")


def _served(pool: PoolView) -> Sentence:
    if not any(node.out or node.in_doubt for node in pool.nodes):
        return strong("Served.")
    return Sentence((Part("Served", strong=True), Part(f" by {_names(pool.serving) or 'nobody'}.")))


def _out(pool: PoolView) -> Sentence:
    """Who should serve and does not, since when."""
    out = [node for node in pool.nodes if node.wanted and (node.out or node.in_doubt)]
    if not out:
        return plain("Less than half of the weight is left.") if pool.low_capacity else NOTHING
    cause = causes(pool, out)
    since = min((node.since for node in out if node.since), default=None)
    said = Part(_begun(cause))
    return Sentence((said, Part(", for "), Part(since=since), Part("."))) if since else Sentence((said, Part(".")))


def _begun(cause: str) -> str:
    """As a sentence begins; the name of a node stays as it is."""
    return f"{cause[:1].upper()}{cause[1:]}" if cause.startswith(("both nodes", "all ")) else cause


def _suspects(pool: PoolView) -> Sentence:
    """Who fails, below the limit: no alarm, and a word for whoever looks."""
    failing = [node for node in pool.nodes if suspect(node)]
    if not failing:
        return NOTHING
    if len(failing) > 1:
        return plain(f"{_names(failing)} fail checks; no alarm before their limits.")
    first = failing[0]
    if first.fails < 1:
        return plain(f"{first.name} passes with a warning{f': {first.message}' if first.message else ''}.")
    return plain(f"{first.name} failed {first.fails} of {first.failure_threshold} checks; no alarm before the last of them.")


def suspect(node: NodeView) -> bool:
    """It serves, and a check of it has failed or warned."""
    serves = node.admin is AdminState.ENABLED and node.in_service and not node.in_doubt
    return serves and (node.fails > 0 or node.health is Health.DEGRADED)


def _names(nodes: Sequence[NodeView]) -> str:
    names = [node.name for node in nodes]
    more = len(names) - MOST_NAMED
    return listed(names) if more <= 0 else listed([*names[:MOST_NAMED], f"{more} more"])


def moved(pool: PoolView, before: dict[str, int], at: float) -> Sentence:
    """Where the traffic of those who lost some went at the last change; `before` are shares by name."""
    lost = [node for node in pool.nodes if before.get(node.name, 0) > node.share]
    gained = [node for node in pool.nodes if node.share > before.get(node.name, 0)]
    if not lost or not gained:
        return NOTHING
    points = sum(before[node.name] - node.share for node in lost)
    whose = "Its" if len(lost) == 1 else "Their"
    much = f"{points / 100:.3g}\N{NO-BREAK SPACE}%"
    said = f"{whose} {much} has been on {who(pool, gained) if len(gained) > MOST_NAMED else _names(gained)} for "
    return Sentence((Part(said), Part(since=at), Part(".")))
