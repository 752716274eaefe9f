"""One action for many nodes and pools: asked with the consequence of all of it, done in one go or not at all."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from urllib.parse import urlencode

from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.views.decorators.http import require_http_methods

from nodes import offers
from nodes.engine.enums import AdminState
from nodes.engine.headline import listed
from nodes.engine.step import NothingToDo, Step
from nodes.engine.types import Fleet
from nodes.engine.types import Pool as PoolValue
from nodes.engine.what_if import Command, together
from nodes.forms.actions import ActionForm
from nodes.forms.bulk import SelectionForm
from nodes.ledger.clock import database_now
from nodes.offers import Carried, OutdatedError
from nodes.operations import Refused
from nodes.views.catalogue import NODE, POOL, Action, Asked
from nodes.views.dialog import CHANGED, Dialog, ask
from nodes.views.responses import after_action, for_operators

_NODES = ("drain", "maintenance", "disable", "enable")
_POOLS = ("pause", "resume", "rebalance")
BULK: dict[str, Action] = {**{name: NODE[name] for name in _NODES}, **{name: POOL[name] for name in _POOLS}}
_STATES = {
    "drain": AdminState.DRAINING, "maintenance": AdminState.MAINTENANCE, "disable": AdminState.DISABLED,
    "enable": AdminState.ENABLED,
}  # fmt: skip  # a table
_NAMED = 3


@require_http_methods(["GET", "HEAD", "POST"])
@for_operators
def bulk_action(request: HttpRequest) -> HttpResponse:
    back_to, asked = reverse("nodes:dashboard"), request.POST or request.GET
    posted = request.method == "POST"
    need_reason = [name for name, action in BULK.items() if action.needs_reason]
    form = ActionForm(asked, actions=BULK, need_reason=need_reason if posted else ())
    chosen = SelectionForm(asked)
    if not form.is_valid() and "action" in form.errors:
        return after_action(request, back_to, refused=form.error_text())
    if not chosen.is_valid():
        return after_action(request, back_to, refused=chosen.error_text())
    name: str = form.cleaned_data["action"]
    if not _subjects(name, chosen):
        return after_action(
            request, back_to, refused=f"Tick pools to {BULK[name].label.lower()}: it is done for a pool as a whole."
        )
    if not posted or not form.is_valid():
        return ask(request, _dialog(request, name, chosen), typed=form.data, problem=form.error_text())
    return _do(request, form, chosen, name)


def _do(request: HttpRequest, form: ActionForm, chosen: SelectionForm, name: str) -> HttpResponse:
    until = form.until(database_now()) if BULK[name].has_duration else None
    ends = until.timestamp() if until else None
    commands = _commands(name, chosen, request.user.get_username(), form.cleaned_data["reason"], ends)
    back_to, version = reverse("nodes:dashboard"), form.cleaned_data["offered"]
    try:
        carried = offers.accept_together(commands, version)
    except OutdatedError:
        return ask(request, _dialog(request, name, chosen), typed=form.data, problem=CHANGED)
    except NothingToDo as nothing:
        return after_action(request, back_to, noted=str(nothing))
    except Refused as refused:
        return ask(request, _dialog(request, name, chosen), typed=form.data, problem=str(refused))
    return after_action(request, back_to, done=_result(name, chosen, carried), undo=_undo(name, chosen, carried))


def _dialog(request: HttpRequest, name: str, chosen: SelectionForm) -> Dialog:
    action, subjects = BULK[name], _subjects(name, chosen)
    what = "node" if name in _STATES else "pool"
    many = f"{len(subjects)} {what}s" if len(subjects) > 1 else subjects[0]
    return Dialog(
        title=action.question.format(name=many),
        effect=f"Each of {_names(subjects)}: {action.effect[0].lower()}{action.effect[1:]}" if len(subjects) > 1 else action.effect,
        label=f"{action.label} {many}" if len(subjects) > 1 else action.label,
        tone=action.tone,
        address=reverse("nodes:bulk_action"),
        fields=(("action", name), *_fields(chosen)),
        back_to=reverse("nodes:dashboard"),
        offer=offers.offer_together(_commands(name, chosen, request.user.get_username(), "…", None)),
        has_reason=True,
        needs_reason=action.needs_reason,
        has_duration=action.has_duration,
    )


def _fields(chosen: SelectionForm) -> list[tuple[str, str]]:
    return [(name, str(each)) for name in ("pool", "node") for each in chosen.cleaned_data[name]]


def _subjects(name: str, chosen: SelectionForm) -> list[str]:
    """The names of what it is done to."""
    return [each.name for each in chosen.cleaned_data["nodes" if name in _STATES else "pools"]]


def _commands(name: str, chosen: SelectionForm, actor: str, reason: str, until: float | None) -> Mapping[int, Command]:
    """One command a pool."""
    action = BULK[name]
    if name not in _STATES:
        pools = chosen.cleaned_data["pools"]
        return {pool.pk: action.command(Asked(pool.pk, actor, reason, until=until)) for pool in pools}
    by_pool: dict[int, list[Command]] = defaultdict(list)
    for node in chosen.cleaned_data["nodes"]:
        command = action.command(Asked(node.pk, actor, reason, until=until))
        by_pool[node.pool_id].append(_unless_so(command, node.pk, _STATES[name]))
    return {pool: together(commands) for pool, commands in by_pool.items()}


def _unless_so(command: Command, node: int, state: AdminState) -> Command:
    """Of many, one that is in this state already is no reason to refuse the others."""

    def act(pool: PoolValue, fleet: Fleet, now: float) -> Step:
        member = next((each for each in pool.members if each.id == node), None)
        if member is not None and member.admin == state:
            raise NothingToDo(f"{member.name} is {state.words} already.")
        return command(pool, fleet, now)

    return act


def _changed(carried: Sequence[Carried]) -> dict[int, tuple[str, AdminState, int, int]]:
    """Node -> name, state before, share before and after, of the nodes whose state changed."""
    found = {}
    for each in carried:
        after = {node.id: node for node in each.after.members}
        for node in each.before.members:
            if node.id in after and after[node.id].admin != node.admin:
                found[node.id] = (node.name, node.admin, node.share, after[node.id].share)
    return found


def _result(name: str, chosen: SelectionForm, carried: Sequence[Carried]) -> str:
    """What became of each."""
    if name not in _STATES:
        done = [each.before.name for each in carried]
        others = len(chosen.cleaned_data["pools"]) - len(done)
        return f"{_names(done)}: {POOL[name].done}{f' {others} needed nothing.' if others else ''}"
    changed = _changed(carried)
    nodes = chosen.cleaned_data["nodes"]
    moved = [node for node, _, before, after in changed.values() if after < before]
    so_already = [node.name for node in nodes if node.pk not in changed]
    state = _STATES[name].words
    said = [f"{_names([node for node, *_ in changed.values()])} {'is' if len(changed) == 1 else 'are'} {state} now"]
    if moved:
        said.append(f"the share of {_names(moved)} has moved")
    if so_already:
        said.append(f"{_names(so_already)} {'was' if len(so_already) == 1 else 'were'} so already")
    return f"{'; '.join(said)}."


def _undo(name: str, chosen: SelectionForm, carried: Sequence[Carried]) -> str:
    """The address of the action that undoes it; empty where no single one does."""
    address = reverse("nodes:bulk_action")
    if name == "pause":
        pools = [("pool", each.before.id) for each in carried]
        return f"{address}?{urlencode([('action', 'resume'), *pools])}"
    changed = _changed(carried)
    before = {state for _, state, *_ in changed.values()}
    if name not in _STATES or len(before) != 1:
        return ""
    back = next(each for each, state in _STATES.items() if state in before)
    return f"{address}?{urlencode([('action', back), *(('node', node) for node in changed)])}"


def _names(names: Sequence[str]) -> str:
    more = len(names) - _NAMED
    return listed(list(names)) if more <= 0 else listed([*names[:_NAMED], f"{more} more"])
