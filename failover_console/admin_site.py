"""The admin as a part of the console: one login page, and a door for operators beside staff."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from django.conf import settings
from django.contrib.admin import AdminSite
from django.contrib.admin.apps import SimpleAdminConfig
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, resolve_url
from django.urls import reverse


class ConsoleAdminSite(AdminSite):
    site_header = "Failover console"
    site_title = "Failover console"
    index_title = "Set up"
    enable_nav_sidebar = False  # the head and the overview lead everywhere

    def has_permission(self, request: HttpRequest) -> bool:
        """Staff, and whoever may act on nodes; what they may do inside is up to their permissions."""
        user = request.user
        return user.is_active and (user.is_staff or user.has_perm("nodes.operate"))

    def login(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """Sends to the console's own login page; a viewer who is logged in already is refused."""
        if request.user.is_authenticated and not self.has_permission(request):
            raise PermissionDenied("The admin is for operators and admins.")
        wanted = request.GET.get("next") or reverse("admin:index")  # the login page refuses foreign addresses
        return redirect(f"{resolve_url(settings.LOGIN_URL)}?{urlencode({'next': wanted})}")

    def password_change(  # type: ignore[override]  # its callers take any response
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """One page changes passwords: it is throttled, and ends the other sessions."""
        return redirect("account_change_password")


class ConsoleAdminConfig(SimpleAdminConfig):
    """In INSTALLED_APPS in the place of django.contrib.admin; `urls` loads what is edited in it, which takes a third of a start."""

    default_site = "failover_console.admin_site.ConsoleAdminSite"
