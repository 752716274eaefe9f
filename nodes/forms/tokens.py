"""The form of an API token."""

from __future__ import annotations

from typing import Any

from django import forms
from django.db.models import Q
from django.utils import timezone

from nodes.forms.effects import AnyForm
from nodes.models import Scope
from nodes.models.access import ApiToken


class ApiTokenForm(AnyForm):
    class Meta:
        model = ApiToken
        fields = ("name", "scopes", "expires_at")

    scopes = forms.MultipleChoiceField(choices=Scope.choices, widget=forms.CheckboxSelectMultiple)

    def clean(self) -> dict[str, Any]:
        """A name stands for one token that works, and a token works when it is made."""
        cleaned: dict[str, Any] = super().clean() or self.cleaned_data
        now, expires_at = timezone.now(), cleaned.get("expires_at")
        if expires_at is not None and expires_at <= now:
            if "expires_at" in self.changed_data:
                self.add_error("expires_at", "This instant has passed: the token would be refused from the start.")
            return cleaned
        working = ApiToken.objects.filter(Q(expires_at=None) | Q(expires_at__gt=now), name=cleaned.get("name"), revoked_at=None)
        if self.instance.revoked_at is None and working.exclude(pk=self.instance.pk).exists():
            self.add_error("name", "A token of this name works already: revoke it, or take another name.")
        return cleaned
