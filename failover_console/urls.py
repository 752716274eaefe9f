"""Addresses of the whole console."""

from __future__ import annotations

from django.contrib import admin
from django.contrib.auth import views as auth
from django.urls import include, path

from failover_console.health import alerts, checks, healthz, metrics

urlpatterns = [
    path("healthz", healthz, name="healthz"),
    path("health/checks", checks, name="health_checks"),
    path("health/alerts", alerts, name="health_alerts"),
    path("metrics", metrics, name="metrics"),
    path("", include("nodes.urls")),
    path("alerts/", include("alerts.urls")),
    path("accounts/login/", auth.LoginView.as_view(redirect_authenticated_user=True), name="login"),
    path("accounts/logout/", auth.LogoutView.as_view(), name="logout"),
    path("accounts/password/", auth.PasswordChangeView.as_view(success_url="/"), name="password_change"),
    path("admin/", admin.site.urls),
    path("demo/", include("failover_console.demo.urls")),
]
