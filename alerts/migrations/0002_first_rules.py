import uuid

from django.db import migrations

from nodes.roles import grant

_READ = ("view",)
_EDIT = ("view", "add", "change", "delete")

# They select by kind, so they work from the moment that a destination is made.
FIRST_RULES = (
    {"name": "Critical to PagerDuty", "order": 10, "severities": ["critical"], "destination_kind": "pagerduty"},
    # A channel that hears of warnings and not of what is worse would mislead.
    {"name": "Warning and worse to Slack", "order": 20, "severities": ["warning", "critical"], "destination_kind": "slack"},
)


def begin(apps, schema_editor):
    alias = schema_editor.connection.alias
    apps.get_model("alerts", "Installation").objects.using(alias).create(pk=1, name=uuid.uuid4().hex[:12])
    for rule in FIRST_RULES:
        apps.get_model("alerts", "Rule").objects.using(alias).create(**rule)
    seen = {(model, verb) for model in ("destination", "rule", "notification") for verb in _READ}
    edits = {(model, verb) for model in ("destination", "rule") for verb in _EDIT}
    grant(apps, "alerts", alias=alias, viewer=seen, operator=seen, admin=seen | edits)


class Migration(migrations.Migration):
    dependencies = [("alerts", "0001_initial"), ("nodes", "0003_partitioned_rollups")]

    operations = [migrations.RunPython(begin, migrations.RunPython.noop)]
