"""Refuses what a form would store and nothing would ever look at, with a sentence that says what would make it count.

A field counts as set when it differs from its default.  It is refused when it was just changed, or when what it depends on was:
what an older version stored keeps nobody from editing something else.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, NamedTuple

from django import forms
from django.db.models import NOT_PROVIDED

from nodes.engine import health, types
from nodes.engine.backoff import longest_wait
from nodes.models import CheckKind, Pool, Strategy

if TYPE_CHECKING:  # the stubs know the model of a form, Django's classes take no parameter
    AnyForm = forms.ModelForm[Any]
else:
    AnyForm = forms.ModelForm

_NOTHING = (None, "")


class Idle(NamedTuple):
    """A field that nothing looks at, the fields that this depends on, and the sentence that says so."""

    field: str
    depends_on: tuple[str, ...]
    sentence: str


def refuse_idle(form: AnyForm, idle: Iterable[Idle]) -> None:
    """Add its sentence to each field that is set, does nothing, and was just changed or lost its use."""
    changed = set(form.changed_data)
    for field, depends_on, sentence in idle:
        if changed & {field, *depends_on} and _is_set(form, field):
            form.add_error(field, sentence)


def _is_set(form: AnyForm, field: str) -> bool:
    value = form.cleaned_data.get(field)
    if value in _NOTHING:
        return False
    columns = {column.name: column for column in form._meta.model._meta.concrete_fields}
    default = columns[field].default if field in columns else NOT_PROVIDED
    return bool(value) if default is NOT_PROVIDED else bool(value != default)


def of_breaker(policy: types.BreakerPolicy) -> Iterable[Idle]:
    """What does nothing in this breaker policy."""
    if policy.timeout_multiplier == 1 and policy.jitter == 0:
        nothing_grows = "Nothing makes the wait longer: set a timeout multiplier above 1 or a jitter, or leave this empty."
        yield Idle("max_timeout", ("timeout_multiplier", "jitter"), nothing_grows)
    for field in ("timeout_multiplier", "jitter"):
        if policy.timeout == 0:
            yield Idle(field, ("timeout",), "A timeout of 0 does not grow: give the timeout some seconds.")
        elif longest_wait(policy) <= policy.timeout:
            at_its_longest = "The wait cannot grow: the longest wait is no longer than the timeout. Give a longer one."
            yield Idle(field, ("timeout", "max_timeout"), at_its_longest)
    if policy.failure_rate is None and policy.slow_call_rate is None:
        no_rate = "It counts with a rate alone: set a failure rate or a slow-call rate, or leave it at 10."
        yield Idle("minimum_calls", ("failure_rate", "slow_call_rate"), no_rate)


def of_failover(policy: types.HealthPolicy, *, auto_rebalance: bool) -> Iterable[Idle]:
    """What does nothing in this failover policy."""
    yield from of_health(policy)
    if not auto_rebalance:
        yield Idle("rebalance_interval", ("auto_rebalance",), "Nothing is rebalanced at an interval while auto rebalance is off.")


def of_health(policy: types.HealthPolicy) -> Iterable[Idle]:
    """What does nothing in this policy, or in a node's overrides of it."""
    timeout = health.effective_timeout(policy)
    if policy.degraded_latency is not None and policy.degraded_latency >= timeout:
        sentence = f"No answer is ever that slow: a check fails after {timeout:g} s, its timeout. Give less."
        yield Idle("degraded_latency", ("interval", "check_timeout"), sentence)


def of_node(pool: Pool, policy: types.HealthPolicy) -> Iterable[Idle]:
    """What does nothing for a node of this pool; `policy` is the pool's with what the node overrides."""
    yield from of_health(policy)
    if pool.strategy == Strategy.WEIGHTED:
        yield Idle("priority", ("pool",), "Tiers count in an active/passive pool; in a weighted one leave it at 1.")


_HTTP, _TLS, _TCP = CheckKind.HTTP, CheckKind.TLS, CheckKind.TCP
USED_BY: dict[str, tuple[frozenset[CheckKind], str]] = {
    "port": (frozenset({_HTTP, _TCP, _TLS}), "HTTP, TCP and TLS checks"),
    **{
        field: (frozenset({_HTTP}), "HTTP checks")
        for field in (
            "use_tls", "method", "path", "request_headers", "body", "expected_status", "warn_status", "body_contains",
            "body_excludes", "body_matches", "json_path", "json_operator", "json_value", "strict", "follow_redirects",
        )
    },
    "server_name": (frozenset({_HTTP, _TLS}), "HTTP and TLS checks"),
    "verify_tls": (frozenset({_HTTP, _TLS}), "TLS checks and HTTP checks with https"),
    "certificate_days": (frozenset({_HTTP, _TLS}), "TLS checks and HTTP checks with https"),
    "authorities": (frozenset({_HTTP, _TLS}), "TLS checks and HTTP checks with https"),
    "client_certificate": (frozenset({_HTTP, _TLS}), "TLS checks and HTTP checks with https"),
    "new_client_key": (frozenset({_HTTP, _TLS}), "TLS checks and HTTP checks with https"),
    "grace": (frozenset({CheckKind.PUSH}), "push checks"),
    "new_secret": (frozenset({CheckKind.PUSH}), "push checks"),
    "quorum": (frozenset({CheckKind.COMPOSITE}), "composite checks"),
}  # fmt: skip  # a table
_OF_TLS = ("verify_tls", "certificate_days", "authorities", "client_certificate")
_OF_BODY = ("body_contains", "body_excludes", "body_matches", "json_path")


def of_check(chosen: dict[str, Any]) -> Iterable[Idle]:
    """What does nothing for a check with these cleaned fields."""
    for field, (kinds, users) in USED_BY.items():
        if chosen["kind"] not in kinds:
            yield Idle(field, ("kind",), f"Only {users} look at this: put it back to what it was.")
    yield from _of_tls(chosen)
    if chosen.get("method") == "HEAD":
        for field in _OF_BODY:
            yield Idle(field, ("method",), "An answer to HEAD has no text: choose GET.")
    if not chosen.get("json_path"):
        for field in ("json_operator", "json_value"):
            yield Idle(field, ("json_path",), "It is compared with what a JSON path leads to: give the path as well.")
    if chosen.get("request_headers"):
        yield Idle("clear_headers", (), "New headers take the place of the stored ones: tick this, or enter new ones, not both.")


def _of_tls(chosen: dict[str, Any]) -> Iterable[Idle]:
    meets_tls = chosen["kind"] != _HTTP or chosen.get("use_tls") or chosen.get("follow_redirects")
    for field in _OF_TLS:
        if not meets_tls:
            yield Idle(field, ("use_tls", "follow_redirects"), "Without https there is no certificate: tick https.")
    if meets_tls and not chosen.get("verify_tls"):
        yield Idle("authorities", ("verify_tls",), "Nothing is verified, so nobody is trusted: tick verify TLS.")
