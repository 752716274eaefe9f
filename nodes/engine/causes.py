"""Why nodes do not serve, as clauses: "both nodes answer 503", "api-2 refuses connections and api-3 is draining".  Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from functools import lru_cache

from nodes.engine.enums import AdminState, Health, State
from nodes.engine.headline import MOST_NAMED, listed
from nodes.engine.service import NodeView, PoolView

MOST_CAUSES = 2  # clauses; the nodes of further ones are counted
_LONGEST = 80  # characters of a message that is quoted

# What a check says of a node -> what the node does, for one and for several.
_PHRASES = tuple(
    (re.compile(said), one, several)
    for said, one, several in (
        (r"connection refused", "refuses connections", "refuse connections"),
        (r"connection reset", "resets connections", "reset connections"),
        (r"connection (?:broken off|aborted)", "breaks connections off", "break connections off"),
        (r"the connection was closed without an answer", "closes connections unanswered", "close connections unanswered"),
        (r"timed out", "gives no answer", "give no answer"),
        (r"no answer within (.+)", r"gives no answer within \1", r"give no answer within \1"),
        (r"host (?:unreachable|down)", "is unreachable", "are unreachable"),
        (r"answered (\d+) without the text (.+)", r"answers \1 without \2", r"answer \1 without \2"),
        (r"answered (\d+).*", r"answers \1", r"answer \1"),
        (r"the answer ended half way", "answers half", "answer half"),
        (r"redirected (.+)", r"redirects \1", r"redirect \1"),
        (r"the certificate (.+)", r"shows a certificate that \1", r"show a certificate that \1"),
        (r"TLS failed: (.+)", r"fails in TLS: \1", r"fail in TLS: \1"),
        (r"the name .+ has no address", "has no address", "have no address"),
        (r"the node has never called", "has never called", "have never called"),
        (r"the node last called .+", "no longer calls", "no longer call"),
    )
)


def causes(pool: PoolView, nodes: Iterable[NodeView]) -> str:
    """Who does what; empty when there is nobody."""
    groups: dict[tuple[str, str], list[NodeView]] = {}
    for node in nodes:
        groups.setdefault(_phrase(node), []).append(node)
    ordered = sorted(groups.items(), key=lambda group: -len(group[1]))
    clauses = [f"{who(pool, found)} {one if len(found) == 1 else several}" for (one, several), found in ordered[: MOST_CAUSES + 1]]
    rest = sum(len(found) for _, found in ordered[MOST_CAUSES:])
    if len(ordered) > MOST_CAUSES + 1:
        clauses[MOST_CAUSES:] = [f"{rest} more fail"]
    return listed(clauses)


def common_cause(pools: Sequence[tuple[PoolView, Sequence[NodeView]]]) -> str:
    """What all nodes of several pools do, if it is one thing."""
    phrases = {_phrase(node)[1] for _, nodes in pools for node in nodes}
    return f"all their nodes {phrases.pop()}" if len(phrases) == 1 else ""


def who(pool: PoolView, nodes: Sequence[NodeView]) -> str:
    """These nodes of the pool as the subject of a clause."""
    if len(nodes) == len(pool.nodes) > 1:
        return "both nodes" if len(nodes) == 2 else f"all {len(nodes)} nodes"
    return listed([node.name for node in nodes]) if len(nodes) <= MOST_NAMED else f"{len(nodes)} nodes"


def _phrase(node: NodeView) -> tuple[str, str]:
    """What the node does, for one and for several that do the same."""
    if node.admin is not AdminState.ENABLED:
        return f"is {node.admin.words}", f"are {node.admin.words}"
    if node.health is Health.FAILED or node.unconfirmed:
        return _of_message(node.message)
    if node.health is Health.RECOVERING:
        return "is recovering", "are recovering"
    if node.breaker is State.OPEN:
        why = f" ({node.opened})" if node.opened else ""
        return f"has its breaker open{why}", f"have their breakers open{why}"
    if node.breaker is State.HALF_OPEN:
        return "is on trial", "are on trial"
    if node.stale:
        return "has no fresh check", "have no fresh check"
    return ("has not been checked", "have not been checked") if node.health is Health.UNKNOWN else ("is eligible", "are eligible")


@lru_cache(maxsize=1024)
def _of_message(message: str) -> tuple[str, str]:
    for said, one, several in _PHRASES:
        if (found := said.fullmatch(message)) is not None:
            return _kept_together(found.expand(one)), _kept_together(found.expand(several))
    if not message:
        return "fails its checks", "fail their checks"
    quoted = message if len(message) <= _LONGEST else f"{message[:_LONGEST].rstrip()}…"
    return f"fails: {quoted}", f"fail: {quoted}"


def _kept_together(text: str) -> str:
    """No line break between a number and its unit."""
    return re.sub(r"(\d) (m?s|days)\b", "\\1\N{NO-BREAK SPACE}\\2", text)
