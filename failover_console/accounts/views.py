"""The pages around a log-in, and the page of one's own account."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from functools import wraps
from ipaddress import ip_address
from typing import Any
from urllib.parse import quote, urlsplit

from allauth.account import views as account_views
from allauth.account.adapter import get_adapter
from allauth.mfa.adapter import get_adapter as get_mfa_adapter
from allauth.mfa.base import views as mfa_views
from allauth.mfa.models import Authenticator
from allauth.mfa.recovery_codes import views as code_views
from allauth.mfa.webauthn import views as passkey_views
from allauth.socialaccount.models import SocialAccount
from django.conf import settings
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.contrib.auth.models import User
from django.core.serializers.json import DjangoJSONEncoder
from django.core.validators import MaxLengthValidator
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render, resolve_url
from django.urls import reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_POST

from failover_console.accounts import device, history, sessions, single_sign_on
from failover_console.accounts.refusals import refused
from failover_console.accounts.requirement import is_required
from nodes.models.encrypted import EncryptedTextUnreadableError
from nodes.models.names import seen

_log = logging.getLogger(__name__)


def private(view: Callable[..., HttpResponse]) -> Callable[..., HttpResponse]:
    """Kept by no cache; a refusal that a form noted on the request becomes the answer's status, a lost key a page that says so."""

    @never_cache
    @wraps(view)
    def asked(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        try:
            response = view(request, *args, **kwargs)
        except EncryptedTextUnreadableError:
            _log.error("%s: no key of ENCRYPTION_KEYS reads a second factor", request.path)
            return render(request, "account/unreadable.html", status=503)
        refusal = getattr(request, "refusal", None)
        return response if refusal is None else refused(request, response, *refusal)

    return asked


def pressed(view: Callable[..., HttpResponse]) -> Callable[..., HttpResponse]:
    """Of a button: whoever comes by its address alone, as after a log-in in between, is led to the page of their account."""

    @wraps(view)
    def asked(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        return redirect("account") if request.method in ("GET", "HEAD") else view(request, *args, **kwargs)

    return asked


def passkeys_work() -> bool:
    """Browsers bind passkeys to a name, over https; a bare address has none."""
    parts = urlsplit(settings.PUBLIC_URL)
    name = parts.hostname or ""
    try:
        ip_address(name)
    except ValueError:
        return settings.HTTPS or name == "localhost" or name.endswith(".localhost")
    return False


def _options(found: Any) -> str:
    """What the browser is to ask the passkey, for an attribute that the script reads."""
    return json.dumps(found, cls=DjangoJSONEncoder)


class LoginView(account_views.login.view_class):  # type: ignore[misc]  # allauth ships no types
    """Leads on to anywhere but to itself."""

    def get_next_url(self) -> str | None:
        url = super().get_next_url()
        return None if url and urlsplit(url).path == self.request.path else url

    def get_default_success_url(self) -> str:
        return resolve_url(settings.LOGIN_REDIRECT_URL)

    def get_authenticated_redirect_url(self) -> str:
        return str(self.get_success_url())

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        ours = {"passkeys": passkeys_work(), "provider": settings.OIDC_NAME if single_sign_on.is_on() else ""}
        return {**super().get_context_data(**kwargs), **ours}


class _Plain:
    """Of a view with a form whose labels say it all: without words in the fields."""

    def get_form(self, form_class: Any = None) -> Any:
        form = super().get_form(form_class)  # type: ignore[misc]  # of the view beside it
        for field in form.fields.values():
            field.widget.attrs.pop("placeholder", None)
        return form


class ChangePasswordView(_Plain, account_views.password_change.view_class):  # type: ignore[misc]  # as above
    """A new password ends all other sessions, and this browser stays known."""

    def form_valid(self, form: Any) -> HttpResponse:
        if form.cleaned_data["password1"] == form.cleaned_data["oldpassword"]:
            form.add_error("password1", "This is your present password: take another one.")
            return self.form_invalid(form)  # type: ignore[no-any-return]  # allauth's
        response: HttpResponse = super().form_valid(form)
        sessions.end(self.request.user, but=self.request.session.session_key)
        device.remember(self.request, response, self.request.user)
        return response


class SetPasswordView(_Plain, account_views.password_set.view_class):  # type: ignore[misc]  # as above
    """The first password of who came by single sign-on."""

    def form_valid(self, form: Any) -> HttpResponse:
        response: HttpResponse = super().form_valid(form)
        sessions.end(self.request.user, but=self.request.session.session_key)
        return response


class AuthenticateView(mfa_views.authenticate.view_class):  # type: ignore[misc]  # as above
    """The second step: a code, or a passkey."""

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        found = super().get_context_data(**kwargs)
        kinds = set(Authenticator.objects.filter(user=self.stage.login.user).values_list("type", flat=True))
        ours: dict[str, Any] = {"by_code": bool(kinds - {Authenticator.Type.WEBAUTHN}), "by_app": Authenticator.Type.TOTP in kinds}
        if Authenticator.Type.WEBAUTHN in kinds and passkeys_work():
            ours["options"] = _options(found["js_data"]["request_options"])
        return {**found, **ours}


class _NamesPasskey:
    """Of a view with a form that names a passkey: a name is short, and of what can be seen."""

    def get_form(self, form_class: Any = None) -> Any:
        form = super().get_form(form_class)  # type: ignore[misc]  # of the view beside it
        validators = form.fields["name"].validators
        validators += [each for each in (MaxLengthValidator(60), seen) if each not in validators]
        return form


class RenamePasskeyView(_NamesPasskey, passkey_views.edit_webauthn.view_class):  # type: ignore[misc]  # as above
    """Another name for a passkey, which the history tells."""

    def form_valid(self, form: Any) -> HttpResponse:
        with transaction.atomic():
            response: HttpResponse = super().form_valid(form)
            if form.has_changed():
                history.record(self.request, _reader(self.request), "renamed a passkey")
        return response


class AddPasskeyView(_NamesPasskey, passkey_views.add_webauthn.view_class):  # type: ignore[misc]  # as above
    """A new passkey."""

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        found = super().get_context_data(**kwargs)
        return {**found, "options": _options(found["js_data"]["creation_options"]), "passkeys": passkeys_work()}


class ReauthenticateByPasskeyView(passkey_views.reauthenticate_webauthn.view_class):  # type: ignore[misc]  # as above
    """Proof by a passkey that one still is who one was."""

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        found = super().get_context_data(**kwargs)
        return {**found, "options": _options(found["js_data"]["request_options"])}


class RemovePasskeyView(passkey_views.remove_webauthn.view_class):  # type: ignore[misc]  # as above
    """The last second factor stays where one is required."""

    def form_valid(self, form: Any) -> HttpResponse:
        adapter = get_mfa_adapter()
        if not adapter.can_delete_authenticator(self.get_object()):
            messages.error(self.request, adapter.error_messages["cannot_delete_authenticator"])
            return redirect("account")
        response: HttpResponse = super().form_valid(form)
        return response


class RecoveryCodesView(code_views.view_recovery_codes.view_class):  # type: ignore[misc]  # as above
    """The codes, shown once; the file to keep is made of what the page shows."""

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        found = super().get_context_data(**kwargs)
        if found["can_view_codes"]:
            found["file"] = "data:text/plain;charset=utf-8," + quote("\n".join([*found["unused_codes"], ""]))
        return dict(found)


def _reader(request: HttpRequest) -> User:
    """The user of a view that asks for a log-in."""
    assert isinstance(request.user, User)  # `login_required` saw to it
    return request.user


@require_GET
@login_required
def account(request: HttpRequest) -> HttpResponse:
    """The page of one's own account: password, second factors, recovery codes, where one is logged in."""
    user = _reader(request)
    found = list(Authenticator.objects.filter(user=user).order_by("created_at"))
    codes = next((each for each in found if each.type == Authenticator.Type.RECOVERY_CODES), None)
    context = {
        "app": next((each for each in found if each.type == Authenticator.Type.TOTP), None),
        "passkeys": [each for each in found if each.type == Authenticator.Type.WEBAUTHN],
        "codes": codes,
        "codes_left": len(codes.wrap().get_unused_codes()) if codes else 0,
        "sessions": sessions.of(user, request.session.session_key or ""),
        "required": is_required(user),
        "passkeys_work": passkeys_work(),
        "has_password": user.has_usable_password(),
        "provider": settings.OIDC_NAME if single_sign_on.is_on() else "",
        "connected": SocialAccount.objects.filter(user=user).first(),
        "roles": [group.name for group in user.groups.all()],
    }
    return render(request, "account/account.html", context)


@require_POST
@login_required
def end_sessions(request: HttpRequest) -> HttpResponse:
    """End one session, or all but this one."""
    user, which = _reader(request), request.POST.get("session", "")
    if which == "others":
        ended = sessions.end(user, but=request.session.session_key or "")
    elif which.isascii() and which.isdecimal() and len(which) < 19:
        ended = sessions.end(user, session=int(which), but=request.session.session_key or "")
    else:
        ended = 0
    if ended:
        history.record(request, user, f"ended {ended} of their sessions")
        messages.success(request, "It is logged out." if ended == 1 else f"{ended} sessions are logged out.")
    else:
        messages.info(request, "That session had ended already.")
    return redirect("account")


@require_GET
def to_account(_request: HttpRequest) -> HttpResponse:
    """Where allauth has a list of its own, the page of the account has it."""
    return redirect(reverse("account"))


@require_GET
def disabled(request: HttpRequest) -> HttpResponse:
    """Who was vouched for but is disabled here."""
    return render(request, "account/account_inactive.html", {"said": get_adapter().error_messages["account_inactive"]})
