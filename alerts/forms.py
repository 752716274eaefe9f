"""Forms for destinations, rules and the list of notifications; a stored secret is never shown, only replaced."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from django import forms

from alerts.delivery import webhook
from alerts.models import AlertSeverity, Destination, Kind, Notification, Rule, masked_secret, origin, origin_of_address
from nodes.engine.event_types import TABLE
from nodes.models import EventType

if TYPE_CHECKING:  # the stubs know the model of a form, Django's class takes no parameter
    _DestinationForm = forms.ModelForm[Destination]
    _RuleForm = forms.ModelForm[Rule]
else:
    _DestinationForm = _RuleForm = forms.ModelForm

_ROUTING_KEY_LENGTH = 32  # characters


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
    """An empty secret keeps the stored one, of which only the host and the last four characters are shown."""

    new_address = _secret_field("Address")
    new_key = _secret_field("Key")

    class Meta:
        model = Destination
        fields = ("name", "kind", "enabled", "base_url")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.made_secret = ""
        if self.instance.pk and "kind" in self.fields:  # a viewer's form has no fields
            self.fields["kind"].disabled = True
            self.fields["kind"].help_text = "It stays: what was sent is counted by it, and what is open there ends there."
        self._stored = {field: masked_secret(self.instance, field) if self.instance.pk else "" for field in ("address", "key")}
        help_texts = {
            "address": "Slack, webhook: the URL.",
            "key": "PagerDuty: the routing key. Webhook: the signing secret (whsec_…); empty on a new webhook makes one.",
        }
        for field, text in help_texts.items():
            stored = self._stored[field]
            kept = f" Stored: {stored}; leave empty to keep it." if stored else ""
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

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or self.cleaned_data
        kind, address, key = cleaned.get("kind"), cleaned.get("new_address", ""), cleaned.get("new_key", "")
        if kind in (Kind.SLACK, Kind.WEBHOOK) and not address and not self._stored["address"]:
            self.add_error("new_address", "The URL is needed.")
        if kind == Kind.PAGERDUTY:
            self._check_routing_key(key, kept=bool(self._stored["key"]))
        if kind == Kind.WEBHOOK:
            self._check_signing_secret(key, kept=bool(self._stored["key"]))
        if self._stored["key"] and not key and self._leads_elsewhere(cleaned):
            what = "routing key" if kind == Kind.PAGERDUTY else "signing secret"
            self.add_error("new_key", f"The stored {what} was entered for another address: enter it again.")
        return cleaned

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
