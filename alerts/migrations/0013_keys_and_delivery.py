"""Keys of an incident with the troubles on them, and what is remembered of a destination that fails or leaves."""

import django.core.validators
from django.db import migrations, models

# What is open goes on under its key: its subject says first what it is about, and the subject is the trouble on it.
_FILL = r"""
UPDATE alerts_page SET subject = CASE
    WHEN subject ~ '^(incident|event)/' THEN subject
    WHEN subject ~ '^[a-z_]+/(node|pool|checker)/' THEN regexp_replace(subject, '^([a-z_]+)/(node|pool|checker)/(.+)$', '\2/\3/\1')
    ELSE 'fleet/' || subject END
WHERE resolved_at IS NULL;
UPDATE alerts_page SET
    acknowledgements = acknowledged::int,
    resolves = (resolved_at IS NOT NULL)::int,
    troubles = CASE WHEN resolved_at IS NOT NULL THEN '{}'::jsonb ELSE jsonb_build_object(subject, NULL) || coalesce(
        (SELECT jsonb_object_agg('node/' || node || '/failure', NULL) FROM unnest(nodes) node), '{}'::jsonb) END;
"""


class Migration(migrations.Migration):
    dependencies = [
        ("alerts", "0012_event_types_of_telling"),
        ("nodes", "0019_event_types_of_telling"),
    ]

    operations = [
        # The column stays, with a default: a console of the version before may still be running.
        migrations.SeparateDatabaseAndState(
            state_operations=[migrations.RemoveField(model_name="destination", name="not_found")],
            database_operations=[
                migrations.RunSQL(
                    "ALTER TABLE alerts_destination ALTER COLUMN not_found SET DEFAULT 0",
                    "ALTER TABLE alerts_destination ALTER COLUMN not_found DROP DEFAULT",
                )
            ],
        ),
        migrations.AddField(
            model_name="alert",
            name="acknowledgements",
            field=models.PositiveIntegerField(db_default=0, default=0),
        ),
        migrations.AddField(
            model_name="alert",
            name="not_before",
            field=models.DateTimeField(null=True),
        ),
        migrations.AddField(
            model_name="alert",
            name="number",
            field=models.PositiveIntegerField(db_default=1, default=1),
        ),
        migrations.AddField(
            model_name="alert",
            name="resolves",
            field=models.PositiveIntegerField(db_default=0, default=0),
        ),
        migrations.AddField(
            model_name="alert",
            name="troubles",
            field=models.JSONField(db_default=models.Value({}, models.JSONField()), default=dict),
        ),
        migrations.AddField(
            model_name="destination",
            name="edited_at",
            field=models.DateTimeField(editable=False, null=True),
        ),
        migrations.AddField(
            model_name="destination",
            name="failing_since",
            field=models.DateTimeField(editable=False, null=True),
        ),
        migrations.AddField(
            model_name="destination",
            name="failing_why",
            field=models.CharField(db_default="", default="", editable=False, max_length=300),
        ),
        migrations.AddField(
            model_name="destination",
            name="leaving_at",
            field=models.DateTimeField(editable=False, null=True),
        ),
        migrations.AddField(
            model_name="destination",
            name="leaving_by",
            field=models.CharField(db_default="", default="", editable=False, max_length=150),
        ),
        migrations.AddField(
            model_name="destination",
            name="quiet_told",
            field=models.BooleanField(db_default=False, default=False, editable=False),
        ),
        migrations.AddField(
            model_name="destination",
            name="unreachable_from",
            field=models.JSONField(db_default=models.Value({}, models.JSONField()), default=dict, editable=False),
        ),
        migrations.AddField(
            model_name="rule",
            name="wait",
            field=models.PositiveIntegerField(
                db_default=0,
                default=0,
                help_text="Seconds from the beginning of a trouble to its first message; one that ends sooner sends nothing.",
                validators=[django.core.validators.MaxValueValidator(86400)],
            ),
        ),
        migrations.AddIndex(
            model_name="alert",
            index=models.Index(condition=models.Q(("resolved_at", None)), fields=["destination"], name="alert_open"),
        ),
        migrations.RunSQL(_FILL, migrations.RunSQL.noop),
    ]
