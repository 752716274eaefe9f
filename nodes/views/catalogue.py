"""What operators can do with a node and with a pool: the words of each action, what it asks for, and the engine's command."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from nodes.engine import commands
from nodes.engine.enums import AdminState, Guard, Mode
from nodes.engine.step import Refused, Step
from nodes.engine.types import Fleet, Member, Pool
from nodes.engine.what_if import Command


@dataclass(frozen=True, slots=True)
class Asked:
    """What a person asks for: of which node or pool, why, over which guards, until when."""

    subject: int
    actor: str
    reason: str = ""
    override: frozenset[Guard] = frozenset()
    until: float | None = None


@dataclass(frozen=True, slots=True)
class Action:
    """One action.  `{name}` stands for the node or pool, `{moved}` for what became of its share."""

    label: str
    question: str
    effect: str
    done: str
    command: Callable[[Asked], Command]
    tone: str = "main"  # of its button
    needs_reason: bool = False
    has_duration: bool = False
    can_override: bool = False


def _admin(state: AdminState) -> Callable[[Asked], Command]:
    def command(asked: Asked) -> Command:
        return lambda pool, fleet, now: commands.set_admin(
            pool, fleet, now, asked.subject, state, asked.actor, asked.reason, override=asked.override
        )

    return command


def _force(mode: Mode) -> Callable[[Asked], Command]:
    def command(asked: Asked) -> Command:
        return lambda pool, fleet, now: commands.force_breaker(
            pool, fleet, now, asked.subject, mode, asked.reason, asked.actor, asked.until, override=asked.override
        )

    return command


def _fail_over(asked: Asked) -> Command:
    return lambda pool, fleet, now: commands.fail_over(
        pool, fleet, now, asked.subject, asked.actor, asked.reason, override=asked.override
    )


def _fail_back(asked: Asked) -> Command:
    return lambda pool, fleet, now: commands.fail_back(pool, fleet, now, asked.subject, asked.actor, asked.reason)


def _release(asked: Asked) -> Command:
    return lambda pool, fleet, now: commands.release_breaker(pool, fleet, now, asked.subject, asked.actor, asked.reason)


def _heal(asked: Asked) -> Command:
    return lambda pool, fleet, now: commands.heal_unreported(pool, fleet, now, asked.subject, asked.actor, asked.reason)


def _reset(asked: Asked) -> Command:
    return lambda pool, fleet, now: commands.reset_breaker(pool, fleet, now, asked.subject, asked.actor, asked.reason)


NODE: dict[str, Action] = {
    "enable": Action(
        "Enable", "Enable {name}?", "It takes its share as soon as it is eligible.",
        "Enabled; it takes its share as soon as it is eligible.", _admin(AdminState.ENABLED),
    ),
    "drain": Action(
        "Drain", "Drain {name}?", "It gets no traffic until somebody enables it; it is still checked.",
        "Draining{moved}; it is still checked.", _admin(AdminState.DRAINING), "warn", can_override=True,
    ),
    "maintenance": Action(
        "Put in maintenance", "Put {name} in maintenance?",
        "It gets no traffic until somebody enables it; it is checked and never alerts, and reports exclude the time.",
        "In maintenance{moved}; it never alerts.", _admin(AdminState.MAINTENANCE), "warn", can_override=True,
    ),
    "disable": Action(
        "Disable", "Disable {name}?", "It gets no traffic and is no longer checked until somebody enables it.",
        "Disabled{moved}; it is no longer checked.", _admin(AdminState.DISABLED), "warn", can_override=True,
    ),
    "fail_over": Action(
        "Fail over now", "Fail {name} over now?",
        "An eligible node is drained until somebody fails back; one that failed comes back by itself when it has recovered.",
        "Failed over{moved}.", _fail_over, "warn", can_override=True,
    ),
    "fail_back": Action("Fail back", "Fail back to {name}?", "It gets traffic again.", "Failing back.", _fail_back),
    "force_open": Action(
        "Force open", "Force the breaker of {name} open?", "It gets no traffic; neither checks nor calls close its breaker.",
        "The breaker is forced open{moved}.", _force(Mode.FORCED_OPEN), "warn", needs_reason=True, has_duration=True,
        can_override=True,
    ),
    "force_closed": Action(
        "Force closed", "Force the breaker of {name} closed?", "Failures no longer open it.",
        "The breaker is forced closed.", _force(Mode.FORCED_CLOSED), "warn", needs_reason=True, has_duration=True,
    ),
    "metrics_only": Action(
        "Metrics only", "Let the breaker of {name} only measure?", "It counts and changes state as ever, and refuses nothing.",
        "The breaker is in metrics-only mode.", _force(Mode.METRICS_ONLY), "warn", needs_reason=True, has_duration=True,
    ),
    "release": Action(
        "Release", "Release the breaker of {name}?", "Its own counts rule it again.", "The breaker is automatic again.", _release,
    ),
    "heal": Action(
        "Let checks heal it", "Let checks heal the breaker of {name}?",
        "It is half-open and waits for calls; from now on its checks count as trials as well.",
        "Checks count as trials of the breaker now.", _heal,
    ),
    "reset": Action(
        "Reset", "Reset the breaker of {name}?", "It is closed and its counts are cleared.",
        "The breaker is closed, its counts are cleared.", _reset, "warn",
    ),
}  # fmt: skip  # a table


def _pause(asked: Asked) -> Command:
    return lambda pool, fleet, now: commands.pause(pool, fleet, now, asked.actor, asked.reason, asked.until)


def _resume(asked: Asked) -> Command:
    return lambda pool, fleet, now: commands.resume(pool, fleet, now, asked.actor)


def _rebalance(asked: Asked) -> Command:
    return lambda pool, fleet, now: commands.rebalance(pool, fleet, now, asked.actor)


def _fail_pool_back(asked: Asked) -> Command:
    """To the best tier, by its first node: the engine moves the tier as a whole."""

    def command(pool: Pool, fleet: Fleet, now: float) -> Step:
        if not pool.members:
            raise Refused("This pool has no node.")
        best = min(pool.members, key=lambda node: (node.priority, node.id))
        return commands.fail_back(pool, fleet, now, best.id, asked.actor, asked.reason)

    return command


PAUSED = "A node that fails keeps its share until somebody resumes; people can still move traffic."

POOL: dict[str, Action] = {
    "pause": Action(
        "Pause automation", "Pause the automation of {name}?", PAUSED,
        "Automation is paused for this pool; people can still act.", _pause, "warn", needs_reason=True, has_duration=True,
    ),
    "resume": Action(
        "Resume automation", "Resume the automation of {name}?", "What waited happens at once.", "Automation is resumed.", _resume,
    ),
    "rebalance": Action(
        "Rebalance", "Rebalance {name}?", "The shares go back to the weights.", "The shares follow the weights again.", _rebalance,
    ),
    "fail_back": Action("Fail back", "Fail {name} back?", "Traffic goes back to the best tier.", "Failing back.", _fail_pool_back),
}  # fmt: skip  # a table

_TO = {
    AdminState.ENABLED: "enable", AdminState.DRAINING: "drain", AdminState.MAINTENANCE: "maintenance",
    AdminState.DISABLED: "disable",
}  # fmt: skip  # a table


def undoes_node(before: Member, after: Member) -> str:
    """The action that brings a node back from where an action brought it; empty when none does."""
    if before.admin != after.admin:
        return _TO[before.admin]
    return "release" if before.breaker.mode == Mode.AUTO != after.breaker.mode else ""


def undoes_pool(before: Pool, after: Pool) -> str:
    """As `undoes_node`, for a pool."""
    return "resume" if after.paused is not None and before.paused is None else ""
