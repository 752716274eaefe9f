"""Addresses of the whole console."""

from __future__ import annotations

from django.contrib import admin
from django.urls import include, path

from failover_console.encryption_keys import encryption_keys
from failover_console.health import alerts, checks, healthz, metrics
from failover_console.preferences import choose

handler500 = "failover_console.errors.server_error"
handler404 = "failover_console.errors.not_found"

admin.autodiscover()  # here, since no worker needs it
urlpatterns = [
    path("healthz", healthz, name="healthz"),
    path("health/checks", checks, name="health_checks"),
    path("health/alerts", alerts, name="health_alerts"),
    path("metrics", metrics, name="metrics"),
    path("preferences/", choose, name="preferences"),
    path("", include("nodes.urls")),
    path("alerts/", include("alerts.urls")),
    path("accounts/", include("failover_console.accounts.urls")),
    path("admin/encryption-keys/", admin.site.admin_view(encryption_keys), name="encryption_keys"),
    path("admin/", admin.site.urls),
    path("demo/", include("failover_console.demo.urls")),
]
