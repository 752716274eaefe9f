"""The demo's address in the console."""

from django.urls import path

from failover_console.demo import views

app_name = "demo"
urlpatterns = [path("remove/", views.remove, name="remove")]
