"""Forms of the checks of a node, each and all together."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from django import forms
from django.core.exceptions import ValidationError
from django.forms.models import BaseInlineFormSet

from nodes.forms.effects import AnyForm, of_check, refuse_idle
from nodes.forms.hosts import host_or_address
from nodes.forms.inventory import WithDurations
from nodes.models import Check, CheckKind, Node
from nodes.models.encrypted import EncryptedTextUnreadableError
from nodes.probes.body import check_expression
from nodes.probes.expectations import statuses
from nodes.probes.json_value import path
from nodes.probes.spec import parse_headers, parse_status_set
from nodes.probes.tls import check_authorities, check_pair

if TYPE_CHECKING:  # the stubs know the models of a formset, Django's class takes no parameter
    AnyFormSet = BaseInlineFormSet[Any, Any, Any]
else:
    AnyFormSet = BaseInlineFormSet

_RESERVED = frozenset({"connection", "content-length", "host", "transfer-encoding"})  # written by the check itself
_HTTPS, _PLAIN = 443, 80


class CheckForm(WithDurations):
    """One check.  Secrets go in and never come out: headers blank keep what is stored, a push secret is made here."""

    class Meta:
        model = Check
        fields = (
            "kind", "port", "use_tls", "method", "path", "body", "expected_status", "warn_status", "body_contains", "body_excludes",
            "body_matches", "json_path", "json_operator", "json_value", "strict", "follow_redirects", "verify_tls", "server_name",
            "certificate_days", "authorities", "client_certificate", "grace", "quorum",
        )  # fmt: skip
        help_texts = {
            "method": "HEAD asks for no body.",
            "path": "With a query, if there is one.",
            "body": "Sent with the request, as it is typed.",
            "follow_redirects": "Up to 3. Else a redirect is an answer like any other.",
            "verify_tls": "The certificate must be good, and be for the name.",
            "json_operator": "Numbers are compared as numbers, all else as text.",
            "quorum": "Of the node's other checks.",
            "kind": "All kinds may be counted by a composite, a push check too: the node then calls the one address it is given.",
            "certificate_days": "Warn when the certificate has fewer days left, verified or not. 0: off.",
            "server_name": "Name for TLS and Host, without a port. Empty: the address.",
        }

    request_headers = forms.CharField(
        required=False,
        strip=False,
        help_text="One “Name: value” a line. Encrypted at rest; not shown again.",
        widget=forms.Textarea(attrs={"rows": 3, "cols": 60, "autocomplete": "off"}),
    )
    clear_headers = forms.BooleanField(
        required=False, label="delete the stored headers", help_text="Of any kind: what another kind has stored."
    )
    new_client_key = forms.CharField(
        required=False,
        label="client key",
        help_text="In PEM, without a password. Encrypted at rest; not shown again.",
        max_length=20_000,
        widget=forms.Textarea(attrs={"rows": 3, "cols": 60, "autocomplete": "off", "spellcheck": "false"}),
    )
    new_secret = forms.BooleanField(
        required=False, label="new push secret", help_text="A new push check gets one by itself. The old address stops working."
    )
    shown_once: str | None = None  # the push secret made by save()

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._keeps_headers = bool(vars(self.instance).get("keeps_headers"))  # by the inline's query, which reads none of them
        if "request_headers" in self.fields:
            state = "Set, hidden: leave empty to keep them. " if self._keeps_headers else ""
            self.fields["request_headers"].help_text = f"{state}One “Name: value” a line. Encrypted at rest; not shown again."
        self._keeps_key = bool(vars(self.instance).get("keeps_key"))  # as above
        if "new_client_key" in self.fields:
            state = "Set, hidden: leave empty to keep it. " if self._keeps_key else ""
            self.fields["new_client_key"].help_text = f"{state}In PEM, without a password. Encrypted at rest; not shown again."
        for name in ("authorities", "client_certificate"):
            if name in self.fields:
                self.fields[name].widget.attrs |= {"rows": 3, "cols": 60, "spellcheck": "false"}
        for name in ("body", "body_contains", "body_excludes", "body_matches", "json_value"):
            if isinstance(field := self.fields.get(name), forms.CharField):
                field.strip = False  # sent, and looked for, as it is typed

    def refuse_secrets_elsewhere(self, before: tuple[str, int], after: tuple[str, int | None]) -> None:
        """Stored secrets stay with the place that they were entered for; `before` and `after`: the node's address and port."""
        new = self.cleaned_data
        keeps_headers = self._keeps_headers and not new.get("request_headers") and not new.get("clear_headers")
        keeps_key = self._keeps_key and not new.get("new_client_key") and bool(new.get("client_certificate"))
        if not keeps_headers and not keeps_key:
            return
        old = self.initial
        changed = {
            "address": before[0] != after[0],
            "port": (old["port"] or before[1]) != (new["port"] or after[1]),
            "https": old["use_tls"] != new["use_tls"],
            "server name": old["server_name"] != new["server_name"],  # of Host too
            "verify TLS": new["use_tls"] and old["verify_tls"] and not new["verify_tls"],
            "certificate authorities": bool(new.get("authorities")) and old.get("authorities", "") != new["authorities"],
        }
        found = ", ".join(name for name, differs in changed.items() if differs)
        if found and keeps_headers:
            sentence = f"The stored headers were entered for another place ({found} changed): enter or delete them."
            self.add_error("request_headers", sentence)
        if found and keeps_key:
            sentence = f"The stored key was entered for another place ({found} changed): enter it again, or empty the certificate."
            self.add_error("new_client_key", sentence)

    def has_changed(self) -> bool:
        """The first check of a new node is saved even if its defaults were left alone."""
        return super().has_changed() or (self.instance.pk is None and not self.empty_permitted)

    def clean_request_headers(self) -> str:
        try:
            pairs = parse_headers(self.cleaned_data["request_headers"])
        except ValueError as error:
            raise ValidationError(str(error)) from None
        for number, (name, value) in enumerate(pairs, start=1):
            if name.lower() in _RESERVED:
                raise ValidationError(f"Line {number}: this header is written by the check itself.")
            if any(ord(char) > 0xFF for char in value):
                raise ValidationError(
                    f"Line {number}: a header holds the characters of Latin-1 alone; encode the others, say as %E2%82%AC."
                )
        return "\n".join(f"{name}: {value}" for name, value in pairs)

    def clean_expected_status(self) -> str:
        return self._that_passes("expected_status", parse_status_set)

    def clean_warn_status(self) -> str:
        return self._that_passes("warn_status", statuses)

    def clean_body_matches(self) -> str:
        return self._that_passes("body_matches", check_expression)

    def clean_json_path(self) -> str:
        return self._that_passes("json_path", path)

    def clean_authorities(self) -> str:
        return self._that_passes("authorities", check_authorities)

    def _that_passes(self, name: str, check: Callable[[str], object]) -> str:
        """What was typed, unless it is refused with a sentence."""
        text: str = self.cleaned_data[name]
        try:
            if text:
                check(text)
        except ValueError as error:
            raise ValidationError(str(error)) from None
        return text

    def clean_server_name(self) -> str:
        typed: str = self.cleaned_data["server_name"]
        return host_or_address(typed) if typed else ""

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or self.cleaned_data
        if "kind" not in cleaned:
            return cleaned
        refuse_idle(self, of_check(cleaned))
        self._refuse_no_pair(cleaned)
        lost_use = "kind" in self.changed_data and cleaned["kind"] != CheckKind.HTTP
        if lost_use and self._keeps_headers and not cleaned.get("clear_headers"):
            self.add_error("clear_headers", "Only HTTP checks send headers: delete the stored ones.")
        return cleaned

    def _refuse_no_pair(self, cleaned: dict[str, Any]) -> None:
        """The client certificate and its key belong together; a stored key is looked at as well."""
        certificate, key = cleaned.get("client_certificate", ""), cleaned.get("new_client_key", "")
        if not certificate:
            if key:
                self.add_error("client_certificate", "A key without its certificate is of no use: give both.")
            return
        try:
            check_pair(certificate, key or self._stored_key())
        except ValueError as error:
            self.add_error("new_client_key" if key or not self._keeps_key else "client_certificate", str(error))

    def _stored_key(self) -> str:
        found = Check.objects.filter(pk=self.instance.pk).values_list("client_key", flat=True)
        try:
            return found.first() or ""
        except EncryptedTextUnreadableError:
            raise ValueError("The stored key cannot be read with today's ENCRYPTION_KEYS: enter it again.") from None

    def save(self, commit: bool = True) -> Check:
        check: Check = self.instance
        if self.cleaned_data.get("new_client_key") or not check.client_certificate:
            check.client_key = self.cleaned_data.get("new_client_key", "")
        if self.cleaned_data.get("request_headers"):
            check.headers = self.cleaned_data["request_headers"]
        elif self.cleaned_data.get("clear_headers"):
            check.headers = ""
        if check.kind == CheckKind.PUSH and (self.cleaned_data.get("new_secret") or not check.push_digest):
            self.shown_once = check.new_push_secret()
        return super().save(commit)  # type: ignore[no-any-return]  # the stubs know no model here


class CheckFormSet(AnyFormSet):
    """The checks of one node: exactly one, or one composite and the children that it counts."""

    warnings: tuple[str, ...] = ()

    def add_fields(self, form: AnyForm, index: int | None) -> None:
        super().add_fields(form, index)
        key: Any = form.fields["id"]
        key.queryset = key.queryset.defer("headers", "client_key")  # a secret whose key is gone must not stop its replacement

    def clean(self) -> None:
        super().clean()
        if any(self.errors):
            return
        staying = [form for form in self.forms if form not in self.deleted_forms and (form.has_changed() or form.instance.pk)]
        kinds = [form.cleaned_data["kind"] for form in staying]
        _refuse_kinds(kinds)
        if kinds == [CheckKind.PUSH] and self.instance.degraded_latency is not None:
            raise ValidationError("No answer of a push check is slow: leave the node's degraded latency empty.")
        if self.instance.port is None:
            self.instance.port = _default_port([form.cleaned_data for form in staying])
        self._refuse_secrets_elsewhere(staying)
        asks_plainly = any(_scheme_port(form.cleaned_data) == _PLAIN and not form.cleaned_data.get("port") for form in staying)
        if self.instance.port == _HTTPS and asks_plainly:
            self.warnings = ("Plain HTTP is asked on port 443: tick https if the node speaks TLS there.",)

    def _refuse_secrets_elsewhere(self, staying: list[Any]) -> None:
        stored = Node.objects.filter(pk=self.instance.pk).values_list("address", "port").first()
        for form in staying if stored else ():
            if form.instance.pk and form.cleaned_data["kind"] in (CheckKind.HTTP, CheckKind.TLS):
                form.refuse_secrets_elsewhere(stored, (self.instance.address, self.instance.port))


def _refuse_kinds(kinds: list[str]) -> None:
    composites, pushes = kinds.count(CheckKind.COMPOSITE), kinds.count(CheckKind.PUSH)
    if not kinds:
        raise ValidationError("A node needs a check: without one nobody knows how it is.")
    if composites > 1:
        raise ValidationError("A node has one composite check at the most; it counts all the others.")
    if composites and len(kinds) == 1:
        raise ValidationError("A composite check counts the node's other checks: add at least one.")
    if not composites and len(kinds) > 1:
        raise ValidationError("Several checks need a composite check that says how they count: all, any or a majority.")
    if pushes > 1:
        raise ValidationError("A node has one push check at the most: its heartbeat has one address.")


def _scheme_port(check: dict[str, Any]) -> int | None:
    """The port of the scheme by which the check asks; None when it has no scheme."""
    if check["kind"] == CheckKind.TLS:
        return _HTTPS
    if check["kind"] == CheckKind.HTTP:
        return _HTTPS if check.get("use_tls") else _PLAIN
    return None


def _default_port(checks: list[dict[str, Any]]) -> int:
    """The node's port when none was given: that of the first check that has one, or of its scheme."""
    found = (check.get("port") or _scheme_port(check) for check in checks)
    port: int | None = next((port for port in found if port), None)
    if port is None:
        raise ValidationError("Give the node its port: only checks by HTTP and TLS have a default.")
    return port
