"""The forms of django-allauth with the console's fields, and each check of a secret throttled before it is made."""

from __future__ import annotations

from typing import Any

from allauth.account import forms as account
from allauth.account.adapter import get_adapter
from allauth.core import context
from allauth.mfa.adapter import get_adapter as get_mfa_adapter
from allauth.mfa.base import forms as mfa
from allauth.mfa.models import Authenticator
from allauth.mfa.totp import forms as totp
from allauth.mfa.totp.internal.auth import validate_totp_code
from allauth.mfa.webauthn import forms as webauthn
from django import forms
from django.core.exceptions import ValidationError
from django.core.validators import MaxLengthValidator
from django.http import HttpRequest, HttpResponse

from failover_console.accounts import history, sessions, throttle


class LoginForm(account.LoginForm):  # type: ignore[misc]  # allauth ships no types
    """Name and password; the field keeps the name that browsers have saved it under."""

    def add_prefix(self, field_name: str) -> str:
        return "username" if field_name == "login" else str(super().add_prefix(field_name))

    def login(self, request: HttpRequest, redirect_url: str | None = None) -> HttpResponse:
        """As allauth does, but for the end of the session, which allauth would move at each change of it."""
        response: HttpResponse = super().login(request, redirect_url)
        sessions.set_end(request)
        return response


class ChangePasswordForm(account.ChangePasswordForm):  # type: ignore[misc]  # as above
    """The present password is checked as at a log-in: whoever finds an open session cannot guess it here."""

    def clean_oldpassword(self) -> str:
        given: str = self.cleaned_data["oldpassword"]
        if not get_adapter().reauthenticate(self.user, given):
            raise get_adapter().validation_error("enter_current_password")
        return given


class _ByCode:
    """Of a form with a code of a second factor: the tries of one account wait for each other."""

    user: Any
    authenticator: Any
    cleaned_data: dict[str, Any]

    def clean_code(self) -> str:
        attempt = throttle.begin_code(context.request, self.user)
        code = "".join(str(self.cleaned_data["code"]).split())
        kinds = (Authenticator.Type.TOTP, Authenticator.Type.RECOVERY_CODES)
        for each in Authenticator.objects.filter(user=self.user, type__in=kinds).order_by("-type"):  # an app's code first
            if each.wrap().validate_code(code) and throttle.is_first_use(self.user, code):
                throttle.succeeded(attempt)
                if each.type == Authenticator.Type.RECOVERY_CODES:
                    history.record(context.request, self.user, "used a recovery code")
                each.user = self.user
                self.authenticator = each
                return code
        throttle.failed(attempt)
        raise get_adapter().validation_error("incorrect_code")


class AuthenticateForm(_ByCode, mfa.AuthenticateForm):  # type: ignore[misc]  # as above
    """The second step of a log-in."""


class ReauthenticateByCodeForm(_ByCode, mfa.ReauthenticateForm):  # type: ignore[misc]  # as above
    """Whoever is logged in proves that they still are who they were."""


class _ByPasskey:
    """Of a form with the answer of a passkey.  What a stranger writes there goes through parsers that raise many things."""

    user: Any
    fields: dict[str, forms.Field]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["credential"] = _CredentialField(widget=forms.HiddenInput)

    def clean_credential(self) -> Any:
        attempt = throttle.begin_passkey(context.request, self.user)
        try:
            found = super().clean_credential()  # type: ignore[misc]  # of the form beside it
        except Exception as trouble:
            throttle.failed(attempt)
            if isinstance(trouble, ValidationError):
                raise
            raise get_mfa_adapter().validation_error("incorrect_code") from trouble
        throttle.succeeded(attempt)
        return found


class _CredentialField(forms.JSONField):
    """Refuses also what is nested deeper than the parser goes."""

    def to_python(self, value: Any) -> Any:
        try:
            return super().to_python(value)
        except RecursionError:
            raise ValidationError(self.error_messages["invalid"], code="invalid") from None


class AuthenticateByPasskeyForm(_ByPasskey, webauthn.AuthenticateWebAuthnForm):  # type: ignore[misc]  # as above
    """The second step of a log-in."""


class ReauthenticateByPasskeyForm(_ByPasskey, webauthn.ReauthenticateWebAuthnForm):  # type: ignore[misc]  # as above
    """Whoever is logged in proves that they still are who they were."""


class LoginByPasskeyForm(_ByPasskey, webauthn.LoginWebAuthnForm):  # type: ignore[misc]  # as above
    """A whole log-in."""


class AddPasskeyForm(webauthn.AddWebAuthnForm):  # type: ignore[misc]  # as above
    """A new passkey, and the name that tells it from others."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["name"].max_length = 60
        self.fields["name"].validators.append(MaxLengthValidator(60))
        self.fields["passwordless"].label = "It logs in without a password"
        self.fields["passwordless"].help_text = "It has to know you by a finger, a face or a PIN then."

    def clean(self) -> Any:
        try:
            return super().clean()
        except ValidationError:
            raise
        except Exception as trouble:  # as above
            raise get_mfa_adapter().validation_error("incorrect_code") from trouble


class ActivateTOTPForm(totp.ActivateTOTPForm):  # type: ignore[misc]  # as above
    """The first code of a new authenticator app: a wrong one is a slip, and no failed log-in."""

    def clean_code(self) -> str:
        code = "".join(str(self.cleaned_data["code"]).split())
        if not validate_totp_code(self.secret, code):
            raise ValidationError("This code does not fit. Is the clock of your phone right?")
        return code
