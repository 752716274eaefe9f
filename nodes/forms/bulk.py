"""The form behind a selection of pools and nodes: which ones, and what is to be done with all of them."""

from __future__ import annotations

from typing import Any

from django import forms
from django.db.models import Q

from nodes.models import Node, Pool

MOST = 400  # nodes at a time


class SelectionForm(forms.Form):
    """Pools and nodes by their ids; those that are gone are left out."""

    pool = forms.TypedMultipleChoiceField(coerce=int, required=False)
    node = forms.TypedMultipleChoiceField(coerce=int, required=False)

    def __init__(self, asked: Any) -> None:
        super().__init__(asked)
        for name in ("pool", "node"):
            given = [
                (each, each) for each in asked.getlist(name)[: MOST + 1] if each.isascii() and each.isdigit() and len(each) < 19
            ]
            self.fields[name].choices = given  # type: ignore[attr-defined]  # the stubs know only Field

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or self.cleaned_data
        pools, nodes = cleaned.get("pool") or [], cleaned.get("node") or []
        chosen = Node.objects.filter(Q(pk__in=nodes) | Q(pool__in=pools), removed_at=None, pool__removed_at=None)
        cleaned["nodes"] = list(chosen.order_by("pool_id", "priority", "name")[: MOST + 1])
        cleaned["pools"] = list(Pool.objects.filter(pk__in=pools, removed_at=None).order_by("pk")[: MOST + 1])
        if max(len(cleaned["nodes"]), len(cleaned["pools"])) > MOST:
            raise forms.ValidationError(f"These are too many at a time: choose {MOST} nodes or fewer.")
        if not cleaned["nodes"] and not cleaned["pools"]:
            raise forms.ValidationError("Tick the pools or nodes first.")
        return cleaned

    def error_text(self) -> str:
        if set(self.errors) - {"__all__"}:
            return "This page knows no such pool or node: reload it."
        return " ".join(str(error) for found in self.errors.values() for error in found)
