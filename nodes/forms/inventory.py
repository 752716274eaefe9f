"""Forms of the admin for nodes, pools, policies and tokens; each refuses a policy that cannot work, with the engine's own sentence.

A form collects `warnings`: what is legal and yet probably not meant.  The admin shows them after saving.
"""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING, Any

from django import forms
from django.core.exceptions import ValidationError
from django.forms.models import BaseInlineFormSet

from nodes.engine import breaker, health, types
from nodes.engine.breaker import PolicyError
from nodes.models import BreakerPolicy, Check, CheckKind, FailoverPolicy, Node, Pool, Scope
from nodes.models.access import ApiToken
from nodes.probes.spec import parse_headers, parse_status_set

if TYPE_CHECKING:  # the stubs know the model of a form, Django's classes take no parameter
    AnyForm = forms.ModelForm[Any]
    AnyFormSet = BaseInlineFormSet[Any, Any, Any]
else:
    AnyForm, AnyFormSet = forms.ModelForm, BaseInlineFormSet

_RESERVED = frozenset({"connection", "content-length", "host", "transfer-encoding"})  # written by the check itself
_HEALTH_FIELDS = tuple(field.name for field in fields(types.HealthPolicy))
_GUARD_FIELDS = tuple(field.name for field in fields(types.PoolPolicy))
_BREAKER_FIELDS = tuple(field.name for field in fields(types.BreakerPolicy))


class BreakerPolicyForm(AnyForm):
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
        return cleaned


class FailoverPolicyForm(AnyForm):
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
        if self.instance.pk:
            _validate_nodes(policy, Node.objects.filter(pool__failover_policy=self.instance, removed_at=None))
        return cleaned


class PoolForm(AnyForm):
    class Meta:
        model = Pool
        fields = ("name", "slug", "strategy", "breaker_policy", "failover_policy")  # the admin adds the runbook with its scheme

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or self.cleaned_data
        if not self.errors and self.instance.pk:
            _validate_nodes(cleaned["failover_policy"], Node.objects.filter(pool=self.instance, removed_at=None))
        return cleaned


class NodeForm(AnyForm):
    class Meta:
        model = Node
        fields = ("pool", "name", "address", "port", "weight", "priority", "capacity", "zone", "tags", *_HEALTH_FIELDS)

    warnings: tuple[str, ...] = ()

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if "tags" in self.fields:
            self.fields["tags"].show_hidden_initial = False  # compared with what is stored, as every other field

    def clean_address(self) -> str:
        address: str = self.cleaned_data["address"].strip()
        if "/" in address or any(char.isspace() for char in address):
            raise ValidationError("Only the host name or IP address: no scheme, no path, no spaces.")
        return address.strip("[]")

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or self.cleaned_data
        if self.errors:
            return cleaned
        pool: Pool = cleaned.get("pool") or self.instance.pool
        overrides = Node(**{name: cleaned.get(name) for name in _HEALTH_FIELDS})
        self.warnings = _validated(health, pool.failover_policy.in_force(overrides))
        if cleaned.get("weight") == 0:
            self.warnings += ("Weight 0: this node never receives traffic.",)
        return cleaned


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


class CheckForm(AnyForm):
    """One check.  Secrets go in and never come out: headers blank keep what is stored, a push secret is made here."""

    class Meta:
        model = Check
        fields = (
            "kind", "port", "use_tls", "method", "path", "body", "expected_status", "body_contains", "follow_redirects",
            "verify_tls", "server_name", "certificate_days", "grace", "quorum",
        )  # fmt: skip

    request_headers = forms.CharField(
        required=False, strip=False, widget=forms.Textarea(attrs={"rows": 3, "cols": 60, "autocomplete": "off"})
    )
    clear_headers = forms.BooleanField(required=False, label="delete the stored headers")
    new_secret = forms.BooleanField(
        required=False, label="new push secret", help_text="A new push check gets one by itself. The old address stops working."
    )
    shown_once: str | None = None  # the push secret made by save()

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if "request_headers" in self.fields:
            kept = bool(self.instance.pk) and Check.objects.filter(pk=self.instance.pk).exclude(headers="").exists()
            state = "Set, hidden: leave empty to keep them. " if kept else ""
            self.fields["request_headers"].help_text = f"{state}One “Name: value” a line. Encrypted at rest; not shown again."

    def has_changed(self) -> bool:
        """The first check of a new node is saved even if its defaults were left alone."""
        return super().has_changed() or (self.instance.pk is None and not self.empty_permitted)

    def clean_request_headers(self) -> str:
        try:
            pairs = parse_headers(self.cleaned_data["request_headers"])
        except ValueError as error:
            raise ValidationError(str(error)) from None
        for number, (name, _) in enumerate(pairs, start=1):
            if name.lower() in _RESERVED:
                raise ValidationError(f"Line {number}: this header is written by the check itself.")
        return "\n".join(f"{name}: {value}" for name, value in pairs)

    def clean_expected_status(self) -> str:
        text: str = self.cleaned_data["expected_status"]
        try:
            parse_status_set(text)
        except ValueError as error:
            raise ValidationError(str(error)) from None
        return text

    def save(self, commit: bool = True) -> Check:
        check: Check = self.instance
        if self.cleaned_data.get("request_headers"):
            check.headers = self.cleaned_data["request_headers"]
        elif self.cleaned_data.get("clear_headers"):
            check.headers = ""
        if check.kind == CheckKind.PUSH and (self.cleaned_data.get("new_secret") or not check.push_digest):
            self.shown_once = check.new_push_secret()
        return super().save(commit)  # type: ignore[no-any-return]  # the stubs know no model here


class CheckFormSet(AnyFormSet):
    """The checks of one node: exactly one, or one composite and the children that it counts."""

    def add_fields(self, form: AnyForm, index: int | None) -> None:
        super().add_fields(form, index)
        key: Any = form.fields["id"]
        key.queryset = key.queryset.defer("headers")  # a secret whose key is gone must not stop its replacement

    def clean(self) -> None:
        super().clean()
        if any(self.errors):
            return
        staying = [form for form in self.forms if form not in self.deleted_forms and (form.has_changed() or form.instance.pk)]
        kinds = [form.cleaned_data["kind"] for form in staying]
        composites, pushes = kinds.count(CheckKind.COMPOSITE), kinds.count(CheckKind.PUSH)
        if not kinds:
            raise ValidationError("A node needs a check: without one nobody knows how it is.")
        if composites > 1:
            raise ValidationError("A node has one composite check at the most; it counts all the others.")
        if composites and len(kinds) == 1:
            raise ValidationError("A composite check counts the node's other checks: add at least one.")
        if not composites and len(kinds) > 1:
            raise ValidationError("Several checks need a composite check that says how they count: all, any or a majority.")
        if pushes > 1:
            raise ValidationError("A node has one push check at the most: its heartbeat has one address.")


class ApiTokenForm(AnyForm):
    class Meta:
        model = ApiToken
        fields = ("name", "scopes", "expires_at")

    scopes = forms.MultipleChoiceField(choices=Scope.choices, widget=forms.CheckboxSelectMultiple)


class ReasonForm(forms.Form):
    """The reason of an action, and the override of its guard; kept with the event."""

    reason = forms.CharField(max_length=200, required=False, help_text="Kept in the history, next to your name.")
    override = forms.BooleanField(
        required=False,
        label="override the guard “no candidate”: even when no other node is eligible",
        help_text="The share of the node then goes nowhere: the pool serves no traffic until a node is eligible.",
    )
