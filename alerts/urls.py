"""URLs below alerts/."""

from __future__ import annotations

from django.urls import path

from alerts import views

app_name = "alerts"

urlpatterns = [
    path("", views.notifications, name="notifications"),
    path("<int:pk>/", views.notification, name="notification"),
    path("<int:pk>/resend/", views.resend_notification, name="resend"),
    path("incident/<int:pk>/", views.incident_notifications, name="incident_notifications"),
    path("banner/", views.banner, name="banner"),
    path("destinations/", views.destinations, name="destinations"),
    path("destinations/<int:pk>/test/", views.test_send, name="test_send"),
]
