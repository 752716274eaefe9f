"""The page that says which keys of ENCRYPTION_KEYS are in use, by fingerprint, for admins."""

from __future__ import annotations

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from nodes.sealed import usage

LOOKED_AT = 20_000  # rows of a column; a page waits for each of them to be tried


def encryption_keys(request: HttpRequest) -> HttpResponse:
    """Counted when it is asked for; a page of many rows says that the command counts them all."""
    if not request.user.has_perm("auth.change_user"):
        raise PermissionDenied("Encryption keys are for admins.")
    found = usage(LOOKED_AT)
    keys = [(key, found.may_go(key)) for key in found.keys]
    context = {**admin.site.each_context(request), "title": "Encryption keys", "usage": found, "keys": keys, "most": LOOKED_AT}
    return render(request, "admin/encryption_keys.html", context)
