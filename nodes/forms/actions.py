"""The form behind every button of an operator: which action, why, for how long, over which guards."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from django import forms

from nodes.engine.enums import Guard

DURATIONS = (("", "until somebody ends it"), ("900", "15 minutes"), ("3600", "1 hour"), ("14400", "4 hours"), ("86400", "1 day"))
NODE_ACTIONS = (
    ("enable", "Enable"), ("drain", "Drain"), ("maintenance", "Maintenance"), ("disable", "Disable"), ("check_now", "Check now"),
    ("fail_over", "Fail over now"), ("fail_back", "Fail back"), ("force_open", "Force open"), ("force_closed", "Force closed"),
    ("metrics_only", "Metrics only"), ("release", "Release"), ("reset", "Reset"),
)  # fmt: skip  # a table
POOL_ACTIONS = (
    ("pause", "Pause automation"),
    ("resume", "Resume automation"),
    ("rebalance", "Rebalance"),
    ("fail_back", "Fail back"),
)
AUTOMATION_ACTIONS = (("pause", "Pause all automation"), ("resume", "Resume all automation"))
_NEED_REASON = frozenset({"force_open", "force_closed", "metrics_only", "pause"})


class ActionForm(forms.Form):
    """An action with its reason, its duration and the guards it overrides.  `actions`: name and label of those the page has."""

    action = forms.ChoiceField()
    reason = forms.CharField(max_length=200, required=False)
    duration = forms.TypedChoiceField(choices=DURATIONS, coerce=int, required=False, empty_value=None)
    override = forms.TypedMultipleChoiceField(choices=[(guard.value, guard.value) for guard in Guard], coerce=Guard, required=False)

    def __init__(self, *args: Any, actions: tuple[tuple[str, str], ...], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["action"].choices = actions  # type: ignore[attr-defined]  # the stubs know only Field

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or self.cleaned_data
        if cleaned.get("action") in _NEED_REASON and not cleaned.get("reason"):
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
