"""The Django app of the alerts."""

from django.apps import AppConfig


class AlertsConfig(AppConfig):
    name = "alerts"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Let the pages of incidents say who was notified."""
        from alerts.services.notices import of_incident  # needs the models, which are there only now
        from nodes.notices import read_by

        read_by(of_incident)
