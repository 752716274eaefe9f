"""Tags of the admin: the overview of what is set up, and lists whose cells know their columns."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django import template
from django.contrib.auth.models import User
from django.contrib.postgres.aggregates import ArrayAgg
from django.db.models import Count, F, Func, Q, QuerySet, TextField, Value
from django.db.models.functions import Cast
from django.template.context import Context
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from alerts.models import Destination, Rule
from nodes.models import ApiToken, BreakerPolicy, FailoverPolicy, Pool

register = template.Library()

_MOST = 12  # rows of a part
_WHO = ("destination", "rule", "user", "apitoken")


@dataclass(frozen=True, slots=True)
class Entry:
    """A row of the overview: its form, one fact, a state with its tone, and what can be added to it."""

    name: str
    address: str
    fact: str = ""
    state: str = ""
    tone: str = ""
    add: str = ""


@dataclass(frozen=True, slots=True)
class Part:
    """What can be set up of one kind: what it is for, its list, its rows; `left` is how many more there are."""

    title: str
    what_for: str
    all: str
    add: str
    entries: Sequence[Entry]
    left: int
    who: bool  # of alerting or access, not of what is watched


@register.simple_tag(takes_context=True)
def set_up_parts(context: Context) -> list[Part]:
    """The parts that this user may see, in the order in which a console is set up."""
    user, parts, named = context["request"].user, [], _named()
    for model, title, what_for, rows in (
        ("nodes.pool", "Pools", "What is watched: nodes that serve the same traffic and take over from each other.", _pools),
        ("nodes.failoverpolicy", "Failover policies", "How often nodes are checked, and when traffic moves.", None),
        ("nodes.breakerpolicy", "Breaker policies", "When a node is taken out at once, and how it comes back.", None),
        ("alerts.destination", "Destinations", "Where alerts go: Slack, PagerDuty, or a webhook of your own.", _destinations),
        ("alerts.rule", "Rules", "Which events go to which destinations.", _rules),
        ("auth.user", "Users", "Who may see, act and edit. A role says which.", _users),
        ("nodes.apitoken", "API tokens", "For programs: load balancers that read shares, callers that report outcomes.", None),
    ):
        app, name = model.split(".")
        if user.has_perm(f"{app}.view_{name}") or user.has_perm(f"{app}.change_{name}"):
            found = named[model] if rows is None else list(rows())
            add = reverse(f"admin:{app}_{name}_add") if user.has_perm(f"{app}.add_{name}") else ""
            listed = reverse(f"admin:{app}_{name}_changelist")
            parts.append(Part(title, what_for, listed, add, found[:_MOST], max(0, len(found) - _MOST), name in _WHO))
    return parts


def _pools() -> Iterator[Entry]:
    nodes = Count("nodes", filter=Q(nodes__removed_at=None))
    for pool in Pool.objects.filter(removed_at=None).select_related("state").annotate(nodes_count=nodes):
        held = hasattr(pool, "state") and pool.state.paused  # a row that was deleted by hand holds nothing
        paused = {"state": "paused", "tone": "paused"} if held else {}
        yield Entry(
            pool.name,
            reverse("admin:nodes_pool_change", args=[pool.pk]),
            _counted(vars(pool)["nodes_count"], "node"),
            add=f"{reverse('admin:nodes_node_add')}?pool={pool.pk}",
            **paused,
        )


def _named() -> dict[str, list[Entry]]:
    """Policies and tokens, of which a name and one fact are shown: one query for all."""
    followed = Cast(Count("pools", filter=Q(pools__removed_at=None)), TextField())
    scopes = Func(F("scopes"), Value(", "), function="array_to_string", output_field=TextField())
    kinds: dict[str, QuerySet[Any]] = {
        "nodes.failoverpolicy": FailoverPolicy.objects.annotate(fact=followed),
        "nodes.breakerpolicy": BreakerPolicy.objects.annotate(fact=followed),
        "nodes.apitoken": ApiToken.objects.filter(revoked_at=None).annotate(fact=scopes),
    }
    columns = [
        rows.order_by().annotate(kind=Value(kind, TextField())).values_list("kind", "pk", "name", "fact")
        for kind, rows in kinds.items()
    ]
    found: dict[str, list[Entry]] = {kind: [] for kind in kinds}
    for kind, pk, name, fact in columns[0].union(*columns[1:], all=True).order_by("name"):
        said = fact if kind == "nodes.apitoken" else f"followed by {_counted(int(fact), 'pool')}"
        found[kind].append(Entry(name, reverse(f"admin:{kind.replace('.', '_')}_change", args=[pk]), said))
    return found


def _destinations() -> Iterator[Entry]:
    for each in Destination.objects.filter(removed_at=None, leaving_at=None):
        state = ("off", "bad") if not each.enabled else ("failing", "bad") if each.failing_since else ("on", "ok")
        yield Entry(each.name, reverse("admin:alerts_destination_change", args=[each.pk]), each.get_kind_display(), *state)


def _rules() -> Iterator[Entry]:
    for rule in Rule.objects.select_related("pool"):
        state = () if rule.enabled else ("off", "idle")
        fact = f"{', '.join(rule.severities)}, {rule.pool.name if rule.pool else 'every pool'}"
        yield Entry(rule.name, reverse("admin:alerts_rule_change", args=[rule.pk]), fact, *state)


def _users() -> Iterator[Entry]:
    groups = ArrayAgg("groups__name", filter=Q(groups__name__isnull=False), order_by="groups__name")
    for user in User.objects.annotate(roles=groups).order_by("username"):
        roles = "superuser" if user.is_superuser else ", ".join(vars(user)["roles"] or ()) or "viewer"
        state = () if user.is_active else ("off", "idle")
        yield Entry(user.get_username(), reverse("admin:auth_user_change", args=[user.pk]), roles, *state)


def _counted(number: int, what: str) -> str:
    return f"{number}\N{NO-BREAK SPACE}{what}{'' if number == 1 else 's'}"


@register.simple_tag
def labelled(result: Sequence[SafeString], headers: Sequence[Mapping[str, Any]]) -> list[SafeString]:
    """The cells of a row of a list, each with the name of its column, which a narrow page writes over it."""
    cells = []
    for cell, header in zip(result, headers, strict=False):
        name = str(header["text"])
        label = name[:1].upper() + name[1:] if "<" not in name else ""
        cells.append(format_html('<td data-label="{}"{}', label, SafeString(cell[3:])) if cell.startswith("<td") else cell)
    return cells
