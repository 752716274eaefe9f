"""Single sign-on by OpenID Connect (OIDC_SERVER_URL): who the provider vouches for, and what role a new user gets.

The token is believed by its signature, also where it came directly.  Nobody is matched by an e-mail address: a user who is there
already connects the provider on the page of their account, once.
"""

from __future__ import annotations

import time
from typing import Any, ClassVar

from allauth.account.adapter import get_adapter as get_account_adapter
from allauth.core.exceptions import ImmediateHttpResponse
from allauth.socialaccount.adapter import DefaultSocialAccountAdapter
from allauth.socialaccount.internal import jwtkit
from allauth.socialaccount.models import SocialAccount, SocialApp, SocialLogin
from allauth.socialaccount.providers.oauth2.views import OAuth2CallbackView, OAuth2LoginView
from allauth.socialaccount.providers.openid_connect.views import OpenIDConnectOAuth2Adapter
from django.conf import settings
from django.contrib.auth.models import Group, User
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_GET, require_POST
from requests import RequestException, Response

from failover_console.accounts import history, throttle

PROVIDER = "sso"  # its id in SOCIALACCOUNT_PROVIDERS
KEPT = 60.0  # s
_ODD = (KeyError, ValueError, TypeError, AttributeError)  # of an answer that is something else than was asked for


class SocialAdapter(DefaultSocialAccountAdapter):  # type: ignore[misc]  # allauth ships no types
    """Who may come in by the provider."""

    def get_provider(self, request: HttpRequest, provider: str, client_id: str | None = None) -> Any:
        found = super().get_provider(request, provider, client_id)
        found.oauth2_adapter_class = Signed
        return found

    def is_open_for_signup(self, request: HttpRequest, sociallogin: SocialLogin) -> bool:
        return settings.OIDC_DEFAULT_ROLE != "nobody"

    def pre_social_login(self, request: HttpRequest, sociallogin: SocialLogin) -> None:
        """An address may be anybody's: the user keeps it, and nothing is looked up by it."""
        sociallogin.email_addresses = []

    def save_user(self, request: HttpRequest, sociallogin: SocialLogin, form: Any = None) -> User:
        user: User = super().save_user(request, sociallogin, form)
        user.groups.add(Group.objects.get(name=settings.OIDC_DEFAULT_ROLE))
        history.record(
            request, user, f"came by {settings.OIDC_NAME} and was made a user with the role {settings.OIDC_DEFAULT_ROLE}"
        )
        return user

    def get_connect_redirect_url(self, request: HttpRequest, socialaccount: SocialAccount) -> str:
        return reverse("account")

    def validate_disconnect(self, account: SocialAccount, accounts: Any) -> None:
        """Who has no password keeps the one way in."""
        if not account.user.has_usable_password():
            raise self.validation_error("no_password")

    def get_requests_session(self) -> Any:
        session = super().get_requests_session()
        session.hooks["response"].append(_raise_its_trouble)
        return session

    def on_authentication_error(self, request: HttpRequest, *_: Any, exception: Exception | None = None, **__: Any) -> None:
        """Each refusal is a failed log-in; the provider's trouble is nobody's."""
        if isinstance(exception, RequestException):
            raise ImmediateHttpResponse(_away(request))
        throttle.failed(throttle.begin_single_sign_on(request))

    def send_notification_mail(self, *args: Any, **kwargs: Any) -> None:
        get_account_adapter().send_notification_mail(*args, **kwargs)


def _raise_its_trouble(answer: Response, **_: Any) -> None:
    """Raise `HTTPError` for what the provider calls its own failure."""
    if answer.status_code >= 500:
        answer.raise_for_status()


class Signed(OpenIDConnectOAuth2Adapter):  # type: ignore[misc]  # as above
    """Checks the signature of each token, calls itself by its public name, and asks the provider who it is once a minute."""

    _kept: ClassVar[dict[str, tuple[float, dict[str, Any]]]] = {}  # by its address, with the monotonic end

    @property
    def openid_config(self) -> dict[str, Any]:
        until, known = self._kept.get(settings.OIDC_SERVER_URL, (0.0, {}))
        if time.monotonic() >= until:
            known = super().openid_config
            self._kept[settings.OIDC_SERVER_URL] = time.monotonic() + KEPT, known
        return known

    def _decode_id_token(self, app: SocialApp, id_token: str) -> dict[str, Any]:
        found: dict[str, Any] = jwtkit.verify_and_decode(
            credential=id_token,
            keys_url=self.openid_config["jwks_uri"],
            issuer=self.openid_config["issuer"],
            audience=app.client_id,
            lookup_kid=jwtkit.lookup_kid_jwk,
        )
        return found

    def get_callback_url(self, request: HttpRequest, app: SocialApp) -> str:
        return settings.PUBLIC_URL + reverse("openid_connect_callback")


def is_on() -> bool:
    """Whether there is a provider."""
    return bool(settings.OIDC_SERVER_URL)


@require_POST
def begin(request: HttpRequest) -> HttpResponse:
    """Lead on to the provider by a page: a redirect that follows a form would need its address in our policy."""
    _check()
    try:
        response: HttpResponse = OAuth2LoginView.adapter_view(Signed(request, PROVIDER))(request)
    except (RequestException, *_ODD):
        return _away(request)
    if response.status_code != 302:
        return response
    return render(request, "socialaccount/onward.html", {"provider": settings.OIDC_NAME, "onward": response["Location"]})


@require_GET
def called_back(request: HttpRequest) -> HttpResponse:
    """What the provider says; raises no failure of its own for what a stranger writes there."""
    _check()
    try:
        return _answered(request)
    except throttle.WaitError:
        return render(request, "account/busy.html", status=429)


def _answered(request: HttpRequest) -> HttpResponse:
    """Raises `WaitError`."""
    try:
        response: HttpResponse = OAuth2CallbackView.adapter_view(Signed(request, PROVIDER))(request)
    except RequestException:
        return _away(request)
    except _ODD:
        throttle.failed(throttle.begin_single_sign_on(request))
        return render(request, "socialaccount/authentication_error.html", {"provider": settings.OIDC_NAME}, status=400)
    return response


def _away(request: HttpRequest) -> HttpResponse:
    context = {"provider": settings.OIDC_NAME, "away": True}
    return render(request, "socialaccount/authentication_error.html", context, status=503)


@require_POST
def disconnect(request: HttpRequest) -> HttpResponse:
    """The provider leads to this user no longer."""
    from allauth.socialaccount.forms import DisconnectForm

    form = DisconnectForm(data=request.POST, request=request)
    if form.is_valid():
        form.save()
    else:
        get_account_adapter().add_message(request, 40, message="It is the only way in: set a password first.")
    return redirect("account")


def _check() -> None:
    if not is_on():
        raise Http404
