"""A node as it stands in its form, unsaved: the rows that a runner would read of it, and what is wrong with it in sentences."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from nodes.ledger.rows import HEALTH_POLICY_FIELDS, Row
from nodes.models import Check, Node
from nodes.models.encrypted import encrypt

_SEALED = ("headers", "client_key")


def rows_of(node: Node, formset: Any) -> list[Row]:
    """The rows of its checks as `nodes.ledger.checks` reads them; nothing is written."""
    staying = [form for form in formset.forms if form not in formset.deleted_forms and (form.has_changed() or form.instance.pk)]
    return [_row(node, form.save(commit=False)) for form in staying]


def _row(node: Node, check: Check) -> Row:
    row = {field.attname: getattr(check, field.attname) for field in Check._meta.concrete_fields}
    policies = {f"node_{name}": getattr(node, name) for name in HEALTH_POLICY_FIELDS}
    policies |= {f"pool_{name}": getattr(node.pool.failover_policy, name) for name in HEALTH_POLICY_FIELDS}
    sealed = {name: encrypt(row[name]) for name in _SEALED}
    return {**row, **sealed, **policies, "address": node.address, "node_port": node.port, "last_message": None}


def errors_of(form: Any) -> Iterator[str]:
    """What keeps a form or a formset from being saved."""
    for each in getattr(form, "forms", [form]):
        for name, errors in each.errors.items():
            label = each.fields[name].label or name if name in each.fields else ""
            yield from (f"{label}: {error}" if label else str(error) for error in errors)
    yield from map(str, getattr(form, "non_form_errors", list)())
