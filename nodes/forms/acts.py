"""What a person may say with an act on a page."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from django import forms

from nodes.engine.enums import Guard

LASTING = (("", "until somebody ends it"), ("900", "15 minutes"), ("3600", "1 hour"), ("14400", "4 hours"), ("86400", "1 day"))
NODE_ACTS = (
    ("enable", "Enable"), ("drain", "Drain"), ("maintenance", "Maintenance"), ("disable", "Disable"), ("check_now", "Check now"),
    ("fail_over", "Fail over now"), ("fail_back", "Fail back"), ("force_open", "Force open"), ("force_closed", "Force closed"),
    ("metrics_only", "Metrics only"), ("release", "Release"), ("reset", "Reset"),
)  # fmt: skip  # a table
POOL_ACTS = (("pause", "Pause automation"), ("resume", "Resume automation"), ("rebalance", "Rebalance"), ("fail_back", "Fail back"))
AUTOMATION_ACTS = (("pause", "Pause all automation"), ("resume", "Resume all automation"))
_NEED_REASON = frozenset({"force_open", "force_closed", "metrics_only", "pause"})


class ActForm(forms.Form):
    """An act with why, for how long, and over which guards.  `acts` are the pairs of name and words that the page knows."""

    act = forms.ChoiceField()
    reason = forms.CharField(max_length=200, required=False)
    lasts = forms.TypedChoiceField(choices=LASTING, coerce=int, required=False, empty_value=None)
    override = forms.TypedMultipleChoiceField(choices=[(guard.value, guard.value) for guard in Guard], coerce=Guard, required=False)

    def __init__(self, *args: Any, acts: tuple[tuple[str, str], ...], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["act"].choices = acts  # type: ignore[attr-defined]  # the stubs know only Field

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or self.cleaned_data
        if cleaned.get("act") in _NEED_REASON and not cleaned.get("reason"):
            self.add_error("reason", "Say why: the others read it beside your name.")
        return cleaned

    def until(self, now: datetime) -> datetime | None:
        """When the act ends by itself; None: when somebody ends it."""
        lasts: int | None = self.cleaned_data["lasts"]
        return None if lasts is None else now + timedelta(seconds=lasts)

    def overrides(self) -> frozenset[Guard]:
        return frozenset(self.cleaned_data["override"])

    def complaint(self) -> str:
        """All that is wrong, in sentences."""
        if "act" in self.errors:
            return "This page knows no such act."
        return " ".join(str(error) for found in self.errors.values() for error in found)


class AcknowledgeForm(forms.Form):
    note = forms.CharField(max_length=500, required=False)
