"""Forms for destinations, rules and the list of notifications; a stored secret is never shown, only replaced."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from django import forms

from alerts.delivery import webhook
from alerts.models import (
    PAGERDUTY_URL,
    AlertSeverity,
    Destination,
    Kind,
    Notification,
    Rule,
    masked_secret,
    origin,
    origin_of_address,
)
from nodes.engine.event_types import TABLE
from nodes.forms.effects import Idle, refuse_idle
from nodes.models import EventType

if TYPE_CHECKING:  # the stubs know the model of a form, Django's class takes no parameter
    _DestinationForm = forms.ModelForm[Destination]
    _RuleForm = forms.ModelForm[Rule]
else:
    _DestinationForm = _RuleForm = forms.ModelForm

_ROUTING_KEY_LENGTH = 32  # characters
_SECRETS = ("new_address", "new_key")
_NOT_KEPT = "What was typed here was not kept: enter it again, or open this page anew."
_LOOKED_AT = {
    Kind.SLACK: ("new_address",),
    Kind.PAGERDUTY: ("new_key", "base_url"),
    Kind.WEBHOOK: ("new_address", "new_key"),
}
_IDLE = {
    "new_address": "PagerDuty is reached at the PagerDuty address: leave this empty.",
    "new_key": "A Slack webhook has no key, its URL is the secret: leave this empty.",
    "base_url": "Only PagerDuty looks at this: leave it empty.",
}


def _idle(kind: Kind) -> Iterable[Idle]:
    """What does nothing for a destination of this kind."""
    return [Idle(field, ("kind",), sentence) for field, sentence in _IDLE.items() if field not in _LOOKED_AT[kind]]


def _secret_field(label: str) -> forms.CharField:
    widget = forms.PasswordInput(render_value=False, attrs={"autocomplete": "new-password", "size": 80})
    return forms.CharField(label=label, required=False, widget=widget, max_length=2000)


def _checked_url(text: str) -> str:
    """An absolute http(s) address without credentials in it; the egress rules decide where it may lead."""
    try:
        parts = urlsplit(text)
        fits = parts.scheme in ("http", "https") and bool(parts.hostname) and "@" not in parts.netloc and (parts.port or 1) > 0
    except ValueError:
        fits = False
    if not fits or any(c.isspace() or not c.isprintable() for c in text) or "\\" in text:
        raise forms.ValidationError("An address begins with https:// and has no user name in it.")
    return text


class DestinationForm(_DestinationForm):
    """An empty secret keeps the stored one, of which only the host and the last four characters are shown.

    A refused form comes back with its secrets empty.  It carries which of them were typed, `typed_new_key=on` for one, so that
    the next one does not keep the stored secret for want of the typed one.
    """

    new_address = _secret_field("Address")
    new_key = _secret_field("Key")

    class Meta:
        model = Destination
        fields = ("name", "kind", "enabled", "base_url")
        help_texts = {
            "base_url": f"PagerDuty: another host for EU accounts or a private relay. Empty: {PAGERDUTY_URL}.",
        }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.made_secret = ""
        if self.instance.pk and "kind" in self.fields:  # a viewer's form has no fields
            self.fields["kind"].disabled = True
            self.fields["kind"].help_text = "It stays: what was sent is counted by it, and what is open there ends there."
        if isinstance(base_url := self.fields.get("base_url"), forms.CharField):
            base_url.required, base_url.empty_value = False, PAGERDUTY_URL
        self._stored = {field: masked_secret(self.instance, field) if self.instance.pk else "" for field in ("address", "key")}
        help_texts = {
            "address": "Slack, webhook: the URL.",
            "key": "PagerDuty: the routing key. Webhook: the signing secret (whsec_…); empty on a new webhook makes one.",
        }
        for field, text in help_texts.items():
            stored = self._stored[field]
            keep = "" if f"new_{field}" in self.typed_secrets else "; leave empty to keep it"
            kept = f" Stored: {stored}{keep}." if stored else ""
            if f"new_{field}" in self.fields:
                self.fields[f"new_{field}"].help_text = text + kept

    def clean_name(self) -> str:
        name = str(self.cleaned_data["name"])
        if Destination.objects.filter(name=name, removed_at=None).exclude(pk=self.instance.pk).exists():
            raise forms.ValidationError("Another destination has this name.")
        return name

    def clean_base_url(self) -> str:
        return _checked_url(str(self.cleaned_data["base_url"]).rstrip("/"))

    def clean_new_address(self) -> str:
        text = str(self.cleaned_data["new_address"]).strip()
        return _checked_url(text) if text else ""

    def clean_new_key(self) -> str:
        return str(self.cleaned_data["new_key"]).strip()

    @property
    def typed_secrets(self) -> list[str]:
        """The fields of the secrets that were typed here, or in a form that was refused before it."""
        return [name for name in _SECRETS if self.data.get(name) or self.data.get(f"typed_{name}")]

    def full_clean(self) -> None:
        """Whatever else is wrong, each secret that was typed and is not shown again is asked for again."""
        super().full_clean()
        if not self.errors:
            return
        for name in _SECRETS:
            if self.data.get(name) and not self.has_error(name):
                self.add_error(name, _NOT_KEPT)

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or self.cleaned_data
        kind = cleaned.get("kind")
        if kind not in _LOOKED_AT:
            return cleaned
        looked_at = _LOOKED_AT[Kind(kind)]
        refuse_idle(self, _idle(Kind(kind)))
        for name in self.typed_secrets:
            if name in looked_at and cleaned.get(name) == "":
                self.add_error(name, _NOT_KEPT)
        if "new_address" in looked_at and cleaned.get("new_address") == "" and not self._stored["address"]:
            self.add_error("new_address", "The URL is needed.")
        if "new_key" in looked_at and "new_key" in cleaned:  # else it was refused already
            self._check_key(cleaned)
        return cleaned

    def _check_key(self, cleaned: dict[str, Any]) -> None:
        key, kept = cleaned["new_key"], bool(self._stored["key"])
        if cleaned["kind"] == Kind.PAGERDUTY:
            what = "routing key"
            self._check_routing_key(key, kept=kept)
        else:
            what = "signing secret"
            self._check_signing_secret(key, kept=kept)
        if kept and not key and self._leads_elsewhere(cleaned):
            self.add_error("new_key", f"The stored {what} was entered for another address: enter it again.")

    def _leads_elsewhere(self, cleaned: dict[str, Any]) -> bool:
        """Whether messages would go to another server than the one that the stored key is for."""
        if cleaned.get("kind") == Kind.PAGERDUTY:
            return "base_url" in cleaned and cleaned["base_url"] != str(self.initial.get("base_url", "")).rstrip("/")
        address = str(cleaned.get("new_address", ""))
        return bool(address) and origin(address) != origin_of_address(self.instance)

    def _check_routing_key(self, key: str, *, kept: bool) -> None:
        if not key and not kept:
            self.add_error("new_key", "The routing key is needed.")
        elif key and (len(key) != _ROUTING_KEY_LENGTH or not key.isalnum() or not key.isascii()):
            self.add_error("new_key", "A routing key has 32 letters and digits.")

    def _check_signing_secret(self, key: str, *, kept: bool) -> None:
        if not key and not kept:
            self.made_secret = webhook.new_secret()
        try:
            for each in key.split():
                webhook.secret_bytes(each)
        except webhook.SecretMalformedError as error:
            self.add_error("new_key", str(error.__doc__))

    def save(self, commit: bool = True) -> Destination:
        """Puts new secrets in; which fields they are is in `changed_secrets`."""
        for field in self.changed_secrets:
            setattr(self.instance, field, self.cleaned_data.get(f"new_{field}") or self.made_secret)
        saved: Destination = super().save(commit=commit)
        return saved

    @property
    def changed_secrets(self) -> list[str]:
        given = [field for field in ("address", "key") if self.cleaned_data.get(f"new_{field}")]
        return [*given, "key"] if self.made_secret and "key" not in given else given


class RuleForm(_RuleForm):
    severities = forms.MultipleChoiceField(
        choices=AlertSeverity.choices, widget=forms.CheckboxSelectMultiple, initial=[AlertSeverity.CRITICAL.value]
    )
    event_types = forms.MultipleChoiceField(
        choices=[(kind.value, f"{EventType(kind).label} – {row.sentence}") for kind, row in TABLE.items() if row.selectable],
        widget=forms.CheckboxSelectMultiple,
        required=False,
        help_text="None chosen: any type.",
    )

    class Meta:
        model = Rule
        fields = (
            "name",
            "enabled",
            "order",
            "severities",
            "event_types",
            "pool",
            "tag",
            "destination_kind",
            "destinations",
            "wait",
        )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for name in ("destinations", "pool"):
            field = self.fields.get(name)
            if isinstance(field, forms.ModelChoiceField) and field.queryset is not None:
                present = field.queryset.filter(removed_at=None)
                field.queryset = present.filter(leaving_at=None) if name == "destinations" else present

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or self.cleaned_data
        if not cleaned.get("destination_kind") and not cleaned.get("destinations"):
            raise forms.ValidationError("A rule notifies at least one destination: choose destinations, or a kind of them.")
        return cleaned


class NotificationFilter(forms.Form):
    """The filters of the list, from its address; what is not known is ignored."""

    status = forms.ChoiceField(choices=[("", "any"), *Notification.Status.choices], required=False)
    destination = forms.ModelChoiceField(Destination.objects.filter(removed_at=None), required=False, empty_label="any")
