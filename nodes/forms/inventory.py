"""Forms of the admin for nodes, pools and policies; each refuses a policy that cannot work, with the engine's own sentence.

A form collects `warnings`: what is legal and yet probably not meant.  The admin shows them after saving.
"""

from __future__ import annotations

from dataclasses import fields
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator

from nodes.engine import breaker, health, types
from nodes.engine.breaker import PolicyError
from nodes.engine.shares import portions
from nodes.engine.types import FULL_SHARE
from nodes.forms import effects
from nodes.forms.effects import AnyForm, refuse_idle
from nodes.forms.hosts import host_or_address
from nodes.models import BreakerPolicy, FailoverPolicy, Node, Pool, Strategy

_LONGEST = 366 * 86_400.0  # s; no interval, wait or delay is meant to be longer
_LASTS_TOO_LONG = MaxValueValidator(_LONGEST, f"No duration is longer than a year, {_LONGEST:.0f} s.")
_HEALTH_FIELDS = tuple(field.name for field in fields(types.HealthPolicy))
_GUARD_FIELDS = tuple(field.name for field in fields(types.PoolPolicy))
_BREAKER_FIELDS = tuple(field.name for field in fields(types.BreakerPolicy))


class WithDurations(AnyForm):
    """A form whose numbers with a fraction are seconds, or far below: none is longer than a year."""

    unbounded: tuple[str, ...] = ()

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for name, field in self.fields.items():
            if isinstance(field, forms.FloatField) and name not in self.unbounded:
                field.validators.append(_LASTS_TOO_LONG)


class BreakerPolicyForm(WithDurations):
    class Meta:
        model = BreakerPolicy
        fields = ("name", *_BREAKER_FIELDS)

    warnings: tuple[str, ...] = ()

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or self.cleaned_data
        if self.errors:
            return cleaned
        policy = BreakerPolicy(**{name: value for name, value in cleaned.items() if name != "name"}).value()
        self.warnings = _validated(breaker, policy)
        refuse_idle(self, effects.of_breaker(policy))
        return cleaned


class FailoverPolicyForm(WithDurations):
    class Meta:
        model = FailoverPolicy
        fields = ("name", *_HEALTH_FIELDS, *_GUARD_FIELDS)

    warnings: tuple[str, ...] = ()

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or self.cleaned_data
        if self.errors:
            return cleaned
        policy = FailoverPolicy(**cleaned)
        self.warnings = _validated(health, policy.in_force())
        refuse_idle(self, effects.of_failover(policy.in_force(), auto_rebalance=policy.auto_rebalance))
        if self.instance.pk:
            _validate_nodes(policy, Node.objects.filter(pool__failover_policy=self.instance, removed_at=None))
        return cleaned


class PoolForm(AnyForm):
    class Meta:
        model = Pool
        fields = ("name", "slug", "strategy", "breaker_policy", "failover_policy")  # the admin adds the runbook with its scheme

    warnings: tuple[str, ...] = ()

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or self.cleaned_data
        if not self.errors and self.instance.pk:
            nodes = Node.objects.filter(pool=self.instance, removed_at=None)
            _validate_nodes(cleaned["failover_policy"], nodes)
            if cleaned["strategy"] == Strategy.WEIGHTED and nodes.exclude(priority=1).exists():
                self.warnings = ("Its nodes have tiers, which count in an active/passive pool alone: all of them serve now.",)
        return cleaned


class NodeForm(WithDurations):
    class Meta:
        model = Node
        fields = ("pool", "name", "address", "port", "weight", "priority", "capacity", "zone", "tags", *_HEALTH_FIELDS)

    warnings: tuple[str, ...] = ()
    unbounded = ("capacity",)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if "tags" in self.fields:
            self.fields["tags"].show_hidden_initial = False  # compared with what is stored, as every other field
        if isinstance(pools := self.fields.get("pool"), forms.ModelChoiceField):
            pools.queryset = Pool.objects.filter(removed_at=None)
        if "port" in self.fields:
            self.fields["port"].required = False
            self.fields["port"].help_text = "Empty: 443 for a check by https or TLS, 80 for one by plain HTTP; others need one."
            if self.instance.pk is None:
                # Not the column's default: it follows the scheme of the check, or is that of the node before.
                self.initial["port"] = (kwargs.get("initial") or {}).get("port")

    def clean_address(self) -> str:
        return host_or_address(self.cleaned_data["address"])

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or self.cleaned_data
        if self.errors:
            return cleaned
        pool: Pool = cleaned.get("pool") or self.instance.pool
        others = Node.objects.filter(pool=pool, removed_at=None).exclude(pk=self.instance.pk)
        if others.filter(name=cleaned["name"]).exists():  # the constraint has a condition, which a form leaves out
            raise ValidationError({"name": f"Another node of {pool} has this name."})
        policy = pool.failover_policy.in_force(Node(**{name: cleaned.get(name) for name in _HEALTH_FIELDS}))
        self.warnings = _validated(health, policy) + _of_weights(cleaned["weight"], others)
        refuse_idle(self, effects.of_node(pool, policy))
        return cleaned


def _of_weights(weight: int, others: Any) -> tuple[str, ...]:
    """A warning when this weight, or all of the pool's, bring no traffic."""
    weights = dict(others.values_list("pk", "weight"))
    if weight == 0:
        alone = not any(weights.values())
        return ("Weight 0: this node never receives traffic.",) + ("No node of this pool has a weight above 0.",) * alone
    if portions(FULL_SHARE, {**weights, 0: weight})[0] == 0:
        whole = weight + sum(weights.values())
        return (f"Weight {weight} of {whole} is under 0.01 %: this node receives no traffic beside the others.",)
    return ()


def _validated(rules: Any, policy: object) -> tuple[str, ...]:
    """Refuse a policy that cannot work; returns the warnings about one that can."""
    try:
        rules.validate(policy)
    except PolicyError as error:
        raise ValidationError(str(error)) from None
    return tuple(rules.warnings(policy))


def _validate_nodes(policy: FailoverPolicy, nodes: Any) -> None:
    """A pool's policy must also work with what its nodes override."""
    for node in nodes.select_related("pool"):
        try:
            health.validate(policy.in_force(node))
        except PolicyError as error:
            raise ValidationError(f"With what node {node} of {node.pool} overrides: {error}") from None


class ReasonForm(forms.Form):
    """The reason of an action, and the override of its guard; kept with the event."""

    reason = forms.CharField(max_length=200, required=False, help_text="Kept in the history, next to your name.")
    override = forms.BooleanField(
        required=False,
        label="override the guard “no candidate”: even when no other node is eligible",
        help_text="The share of the node then goes nowhere: the pool serves no traffic until a node is eligible.",
    )
