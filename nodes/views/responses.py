"""Responses of the pages' views: who may get one, the page or a part of it, and the message after an action."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import wraps
from typing import Any, Concatenate, ParamSpec
from urllib.parse import urlencode

from django.conf import settings
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render, resolve_url
from django.template.loader import render_to_string
from django.utils.cache import patch_vary_headers
from django_htmx.http import HttpResponseClientRedirect, reswap, retarget, trigger_client_event

Given = ParamSpec("Given")
View = Callable[Concatenate[HttpRequest, Given], HttpResponse]

LIVE = "live"  # id of the element that asks for itself while a page has no socket


def signed_in(view: View[Given]) -> View[Given]:
    """For every user; a fragment that is asked for without a session sends the whole page to the login."""
    guarded: View[Given] = login_required(view)

    @wraps(view)
    def asked(request: HttpRequest, /, *args: Given.args, **kwargs: Given.kwargs) -> HttpResponse:
        response: HttpResponse
        if is_fragment(request) and not request.user.is_authenticated:
            came_from = urlencode({"next": getattr(request, "htmx").current_url_abs_path or "/"})  # noqa: B009 - set by a middleware
            response = HttpResponseClientRedirect(f"{resolve_url(settings.LOGIN_URL)}?{came_from}")
        else:
            response = guarded(request, *args, **kwargs)
        patch_vary_headers(response, ("HX-Request", "HX-Target"))
        return response

    return asked


def for_operators(view: View[Given]) -> View[Given]:
    """For users who may act; others are refused."""

    @wraps(view)
    def asked(request: HttpRequest, /, *args: Given.args, **kwargs: Given.kwargs) -> HttpResponse:
        if not request.user.has_perm("nodes.operate"):
            raise PermissionDenied("Acting is for operators and admins.")
        return view(request, *args, **kwargs)

    return signed_in(asked)


def is_fragment(request: HttpRequest) -> bool:
    return bool(getattr(request, "htmx", False))


def page(request: HttpRequest, template: str, context: Mapping[str, Any]) -> HttpResponse:
    """The page, or its live part when that asks for itself."""
    context = {**context, "operator": request.user.has_perm("nodes.operate")}
    if not (is_fragment(request) and request.headers.get("HX-Target") == LIVE):
        return render(request, template, context)
    answer = render(request, f"{template}#{LIVE}", context)
    answer.write(render_to_string("nodes/foot.html", request=request))  # polled with the page, pushed by the socket
    return answer


def after_action(
    request: HttpRequest, back_to: str, *, done: str = "", noted: str = "", refused: str = "", undo: str = ""
) -> HttpResponse:
    """The message with the outcome of an action: on the page itself, or after a redirect for a browser without script.

    `undo` is the address that asks whether to undo what was done; `noted` says that there was nothing to do.
    """
    if done:
        messages.success(request, done, extra_tags=undo)
    if noted:
        messages.info(request, noted)
    if refused:
        messages.error(request, refused)
    if not is_fragment(request):
        return redirect(back_to)
    response = retarget(render(request, "messages.html", status=409 if refused else 200), "#messages")
    reswap(response, "innerHTML")
    # On the body: the form that asked may be gone by now, replaced by what the socket sent.
    return response if refused else trigger_client_event(response, "acted", {"target": "body"})
