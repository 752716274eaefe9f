"""The form behind every button of an operator: which action, why, for how long, over which guards."""

from __future__ import annotations

from collections.abc import Container, Iterable
from datetime import datetime, timedelta
from typing import Any

from django import forms

from nodes.engine.enums import Guard

DURATIONS = (("", "until somebody ends it"), ("900", "15 minutes"), ("3600", "1 hour"), ("14400", "4 hours"), ("86400", "1 day"))


class ActionForm(forms.Form):
    """An action with its reason, its duration and the guards it overrides, and the version of the offer that is accepted.

    `actions`: names of those that there are; `need_reason`: of those that are not done without one.
    """

    action = forms.ChoiceField()
    reason = forms.CharField(max_length=200, required=False)
    duration = forms.TypedChoiceField(choices=DURATIONS, coerce=int, required=False, empty_value=None)
    override = forms.TypedMultipleChoiceField(choices=[(guard.value, guard.value) for guard in Guard], coerce=Guard, required=False)

    offered = forms.CharField(max_length=16, required=False)

    def __init__(self, *args: Any, actions: Iterable[str], need_reason: Container[str] = (), **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["action"].choices = [(name, name) for name in actions]  # type: ignore[attr-defined]  # the stubs know only Field
        self._need_reason = need_reason

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or self.cleaned_data
        if cleaned.get("action") in self._need_reason and not cleaned.get("reason"):
            self.add_error("reason", "Give a reason: the others read it beside your name.")
        return cleaned

    def until(self, now: datetime) -> datetime | None:
        """When it ends by itself; None: when somebody ends it."""
        seconds: int | None = self.cleaned_data["duration"]
        return None if seconds is None else now + timedelta(seconds=seconds)

    def overrides(self) -> frozenset[Guard]:
        return frozenset(self.cleaned_data["override"])

    def error_text(self) -> str:
        """All that is wrong, in sentences."""
        if "action" in self.errors:
            return "This page knows no such action: reload it."
        return " ".join(str(error) for found in self.errors.values() for error in found)


class AcknowledgeForm(forms.Form):
    note = forms.CharField(max_length=500, required=False)


class NoteForm(forms.Form):
    note = forms.CharField(max_length=300)
