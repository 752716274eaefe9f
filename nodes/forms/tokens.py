"""The forms of an API token: what it may ask, of which pools, until when; and how long the secret before works beside a new one."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django import forms
from django.utils import timezone

from nodes.forms.effects import AnyForm
from nodes.models import Pool, Scope
from nodes.models.access import GOOD_FOR, LONGEST, ApiToken

OVERLAPS = {0: "at once", 1: "in 1 hour", 24: "in 24 hours", 168: "in 7 days", 720: "in 30 days"}  # hours → words
_OVERLAP = 24


class ApiTokenForm(AnyForm):
    """Every pool and no end are chosen as such: an empty field means neither."""

    class Meta:
        model = ApiToken
        fields = ("name", "scopes", "every_pool", "pools", "expires_at")

        widgets = {"pools": forms.CheckboxSelectMultiple}

    scopes = forms.MultipleChoiceField(choices=Scope.choices, widget=forms.CheckboxSelectMultiple)
    expires_at = forms.DateTimeField(
        required=False, widget=forms.DateTimeInput(attrs={"type": "datetime-local"}, format="%Y-%m-%dT%H:%M")
    )
    never_expires = forms.BooleanField(required=False, help_text="Only where nobody can replace it: it works until it is revoked.")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if "expires_at" not in self.fields:  # of somebody who may only look
            return
        days = LONGEST.days
        self.fields[
            "expires_at"
        ].help_text = f"At most {days} days ahead. Rotate the token before; a new secret does not move this."
        pools = self.fields["pools"]
        assert isinstance(pools, forms.ModelMultipleChoiceField)  # it is the model's
        pools.queryset = Pool.objects.filter(removed_at=None)
        if self.instance.pk:
            self.initial["never_expires"] = self.instance.expires_at is None
        else:
            self.initial.update(expires_at=timezone.now().replace(second=0, microsecond=0) + GOOD_FOR, every_pool=False)

    def clean(self) -> dict[str, Any]:
        """A name stands for one token that works, and a token works when it is made."""
        cleaned: dict[str, Any] = super().clean() or self.cleaned_data
        self._check_pools(cleaned)
        if "expires_at" in self.errors or not self._check_end(cleaned):
            return cleaned
        working = ApiToken.objects.filter(ApiToken.working(timezone.now()), name=cleaned.get("name"))
        if self.instance.revoked_at is None and working.exclude(pk=self.instance.pk).exists():
            self.add_error("name", "A token of this name works already: revoke it, or take another name.")
        return cleaned

    def _check_pools(self, cleaned: dict[str, Any]) -> None:
        every, pools = cleaned.get("every_pool"), cleaned.get("pools")
        if every and pools:
            self.add_error("every_pool", "It is either for every pool or for the chosen ones.")
        elif not every and not pools and "pools" not in self.errors:
            self.add_error("pools", "Choose its pools, or every pool.")
        if not every and Scope.METRICS in cleaned.get("scopes", ()):
            self.add_error("scopes", "Metrics are of the whole console: a token that reads them is for every pool.")

    def _check_end(self, cleaned: dict[str, Any]) -> bool:
        """Whether it works from now on, as far as its end is concerned."""
        now, ends = timezone.now(), cleaned.get("expires_at")
        if cleaned.get("never_expires"):
            if "never_expires" in self.changed_data or ends is None:
                cleaned["expires_at"] = None
            else:
                self.add_error("never_expires", "It either ends at an instant or never.")
            return True
        if ends is None:
            self.add_error("expires_at", "Say when it ends, or that it never does.")
            return False
        changed = "expires_at" in self.changed_data or not self.instance.pk
        if changed and ends <= now:
            self.add_error("expires_at", "This instant has passed: the token would be refused from the start.")
        elif changed and ends > now + LONGEST + timedelta(minutes=1):
            self.add_error("expires_at", f"A token ends within {LONGEST.days} days, or never.")
        return bool(ends > now)


class RotationForm(forms.Form):
    """When the present secret ends."""

    overlap = forms.TypedChoiceField(
        choices=OVERLAPS.items(), coerce=int, initial=_OVERLAP, widget=forms.RadioSelect, label="The present secret ends"
    )

    def lasts(self) -> timedelta:
        return timedelta(hours=self.cleaned_data["overlap"])
