"""Who must have a second factor (SECOND_FACTOR_REQUIRED): until they have one they reach their own account, and nothing else."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from allauth.mfa.models import Authenticator
from asgiref.sync import iscoroutinefunction, sync_to_async
from channels.db import database_sync_to_async
from django.conf import settings
from django.contrib.auth.models import AnonymousUser, User
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.http.response import HttpResponseBase
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.decorators import sync_and_async_middleware
from django_htmx.http import HttpResponseClientRedirect

REFUSED = 4401  # of a socket, as for who is not logged in
_OPEN = ("/accounts/", "/preferences/", "/static/", "/healthz", "/health/", "/push/")  # shows nothing of the fleet
SENTENCE = "your role needs a second factor: set one up on the page of your account"


def is_required(user: User | AnonymousUser) -> bool:
    """Whether a second factor is required of this user."""
    wanted = settings.SECOND_FACTOR_REQUIRED
    if wanted == "nobody" or not user.is_authenticated:
        return False
    return wanted == "everyone" or user.is_staff or user.has_perm("nodes.operate")


def is_missing(user: User | AnonymousUser) -> bool:
    """Whether one is required of this user who has none."""
    if not is_required(user):
        return False
    kinds = (Authenticator.Type.TOTP, Authenticator.Type.WEBAUTHN)
    return not Authenticator.objects.filter(user_id=user.pk, type__in=kinds).exists()


@sync_and_async_middleware
def second_factor(get_response: Callable[[HttpRequest], Any]) -> Callable[[HttpRequest], Any]:
    """The middleware; it asks the database only where the setting says that somebody needs one."""
    if iscoroutinefunction(get_response):

        async def answer_later(request: HttpRequest) -> HttpResponseBase:
            refused = await sync_to_async(_refusal)(request) if _is_asked(request) else None
            answered: HttpResponseBase = await get_response(request) if refused is None else refused
            return answered

        return answer_later

    def answer(request: HttpRequest) -> HttpResponseBase:
        refused = _refusal(request) if _is_asked(request) else None
        answered: HttpResponseBase = get_response(request) if refused is None else refused
        return answered

    return answer


def _is_asked(request: HttpRequest) -> bool:
    """Whether anybody is asked at this address; who comes with a token alone has no session."""
    return settings.SECOND_FACTOR_REQUIRED != "nobody" and settings.SESSION_COOKIE_NAME in request.COOKIES


def _refusal(request: HttpRequest) -> HttpResponse | None:
    """The answer in the place of the page; None for who may go on."""
    if not is_missing(request.user):
        return None
    request.second_factor_missing = True  # type: ignore[attr-defined]  # read by `held`
    return None if request.path.startswith(_OPEN) else _refused(request)


def _refused(request: HttpRequest) -> HttpResponse:
    if request.path.startswith(("/api/", "/metrics")):
        return JsonResponse({"error": SENTENCE}, status=403)
    if getattr(request, "htmx", False):
        return HttpResponseClientRedirect(reverse("account"))
    return redirect("account")


def held(request: HttpRequest) -> dict[str, Any]:
    """The context processor: whether the reader has to set up a second factor first."""
    return {"second_factor_missing": getattr(request, "second_factor_missing", False)}


def live_second_factor(socket: Callable[..., Any]) -> Callable[..., Any]:
    """Around the live socket: what pages do not show, it does not send."""

    async def serve(scope: Any, receive: Any, send: Any) -> None:
        if settings.SECOND_FACTOR_REQUIRED != "nobody" and await database_sync_to_async(is_missing)(scope["user"]):
            await receive()
            await send({"type": "websocket.close", "code": REFUSED})
            return
        await socket(scope, receive, send)

    return serve
