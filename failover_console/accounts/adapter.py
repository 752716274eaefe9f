"""What django-allauth asks the console for about log-ins with a password."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from allauth.account.adapter import DefaultAccountAdapter
from allauth.account.internal.flows.reauthentication import get_reauthentication_flows
from allauth.core import context
from django.contrib import messages
from django.contrib.auth import authenticate
from django.contrib.auth.models import User
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.http import url_has_allowed_host_and_scheme

from failover_console.accounts import device, history, sessions, throttle
from failover_console.accounts.hashing import BusyError

_FRESH = timedelta(minutes=5)
_SAID = {
    "account/messages/password_changed.txt": "Your password is changed. You are logged in here alone now.",
    "account/messages/password_set.txt": "Your password is set. You are logged in here alone now.",
    "mfa/messages/totp_activated.txt": "Your authenticator app is set up.",
    "mfa/messages/totp_deactivated.txt": "Your authenticator app is removed.",
    "mfa/messages/webauthn_added.txt": "Your passkey is added.",
    "mfa/messages/webauthn_removed.txt": "Your passkey is removed.",
    "socialaccount/messages/account_connected.txt": "Single sign-on leads to this user from now on.",
    "socialaccount/messages/account_connected_other.txt": "It leads to another user already.",
    "socialaccount/messages/account_disconnected.txt": "Single sign-on no longer leads to this user.",
}
_DONE = {
    "account/email/password_changed": "changed the password",
    "account/email/password_set": "set a password",
    "mfa/email/totp_activated": "set up an authenticator app",
    "mfa/email/totp_deactivated": "removed the authenticator app",
    "mfa/email/webauthn_added": "added a passkey",
    "mfa/email/webauthn_removed": "removed a passkey",
    "mfa/email/recovery_codes_generated": "made new recovery codes",
    "socialaccount/email/account_connected": "connected single sign-on",
    "socialaccount/email/account_disconnected": "disconnected single sign-on",
}


class AccountAdapter(DefaultAccountAdapter):  # type: ignore[misc]  # allauth ships no types
    """Accounts are made by admins; log-ins are throttled by the database."""

    error_messages = {
        **DefaultAccountAdapter.error_messages,
        "username_password_mismatch": "No user has this name with this password.",
        "incorrect_password": "This is not your password.",
        "enter_current_password": "This is not your present password.",
        "incorrect_code": "This code is wrong, or was used already.",
        "account_inactive": "This user is disabled.",
    }

    def is_open_for_signup(self, request: HttpRequest) -> bool:
        return False

    def is_safe_url(self, url: str) -> bool:
        """This host alone: `ALLOWED_HOSTS` holds names of loopback too, where something else may listen."""
        request = context.request
        return url_has_allowed_host_and_scheme(url, {request.get_host()}, require_https=request.is_secure())

    def get_client_ip(self, request: HttpRequest) -> str:
        return str(request.META.get("REMOTE_ADDR") or "0.0.0.0")  # noqa: S104 - written down, never bound

    def authenticate(self, request: HttpRequest, **credentials: Any) -> User | None:
        """The user whose name and password these are.  Raises a `ValidationError` for who has to wait."""
        attempt = throttle.begin_password(request, str(credentials.get("username", "")))
        try:
            user = authenticate(request, **credentials)
        except BusyError:
            throttle.withdraw(attempt)
            raise throttle.busy(request) from None
        if isinstance(user, User):
            throttle.succeeded(attempt)
            return user
        throttle.failed(attempt)
        return None

    def post_login(self, request: HttpRequest, user: User, **kwargs: Any) -> HttpResponse:
        """All steps are done: from now on this browser is known."""
        response: HttpResponse = super().post_login(request, user, **kwargs)
        device.remember(request, response, user)
        sessions.remember_address(request)
        sessions.set_end(request)
        return response

    def add_message(self, request: HttpRequest, level: int, message_template: str | None = None, *_: Any, **given: Any) -> None:
        """Of what allauth would say, only what the page does not show anyway, in our words."""
        said = given.get("message") or _SAID.get(message_template or "")
        if said:
            messages.add_message(request, level, said)

    def send_notification_mail(self, template_prefix: str, user: User, *_: Any, **__: Any) -> None:
        """What allauth would write a mail about, the history tells."""
        did = _DONE.get(template_prefix)
        if did:
            history.record(self.request, user, did)

    def get_password_change_redirect_url(self, request: HttpRequest) -> str:
        return reverse("account")

    def is_reauthentication_required(self, *, app: str, **kwargs: Any) -> bool:
        """Who has nothing to prove themselves with yet (single sign-on alone) counts as proved while the log-in is fresh."""
        user = context.request.user
        fresh = user.last_login is not None and timezone.now() - user.last_login < _FRESH
        if fresh and not get_reauthentication_flows(user):
            return False
        return bool(super().is_reauthentication_required(app=app, **kwargs))
