import django.db.models.deletion
from django.db import migrations, models

_VERBS = ("add", "change", "delete", "view")
_INDEXES = (
    ("page_subject", "alert_subject"),
    ("one_page_per_key", "one_alert_per_key"),
    ("one_notification_per_telling", "one_notification_per_intent"),
)


def _rename_permissions(apps, schema_editor, old, new):
    """What was granted stays granted: Django would make new permissions beside those of the former name."""
    permissions = apps.get_model("auth", "Permission").objects.using(schema_editor.connection.alias)
    for verb in _VERBS:
        found = permissions.filter(content_type__app_label="alerts", codename=f"{verb}_{old}")
        found.update(codename=f"{verb}_{new}", name=f"Can {verb} {new}")


def forwards(apps, schema_editor):
    _rename_permissions(apps, schema_editor, "page", "alert")


def backwards(apps, schema_editor):
    _rename_permissions(apps, schema_editor, "alert", "page")


class Migration(migrations.Migration):
    """`Page` is called `Alert`.  Table and columns keep their names, for nobody gains by a rename.

    An index is renamed beside reads and writes, and with it the constraint that it serves.
    """

    dependencies = [("alerts", "0005_event_types"), ("auth", "0012_alter_user_first_name_max_length")]

    operations = [
        migrations.AlterModelTable(name="page", table="alerts_page"),
        migrations.RenameModel(old_name="Page", new_name="Alert"),
        migrations.AlterField(
            model_name="notification",
            name="page",
            field=models.ForeignKey(
                db_column="page_id",
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="notifications",
                to="alerts.alert",
            ),
        ),
        migrations.RenameField(model_name="notification", old_name="page", new_name="alert"),
        migrations.AlterField(
            model_name="alert",
            name="destination",
            field=models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name="alerts", to="alerts.destination"),
        ),
        migrations.AlterField(
            model_name="alert",
            name="incident",
            field=models.ForeignKey(
                null=True, on_delete=django.db.models.deletion.PROTECT, related_name="alerts", to="nodes.incident"
            ),
        ),
        migrations.SeparateDatabaseAndState(
            database_operations=[
                migrations.RunSQL(f"ALTER INDEX {old} RENAME TO {new}", f"ALTER INDEX {new} RENAME TO {old}")
                for old, new in _INDEXES
            ],
            state_operations=[
                migrations.RenameIndex(model_name="alert", old_name="page_subject", new_name="alert_subject"),
                migrations.RemoveConstraint(model_name="alert", name="one_page_per_key"),
                migrations.AddConstraint(
                    model_name="alert",
                    constraint=models.UniqueConstraint(fields=("destination", "dedup_key"), name="one_alert_per_key"),
                ),
                migrations.RemoveConstraint(model_name="notification", name="one_notification_per_telling"),
                migrations.AddConstraint(
                    model_name="notification",
                    constraint=models.UniqueConstraint(
                        fields=("destination", "dedup_key", "action", "sequence"), name="one_notification_per_intent"
                    ),
                ),
            ],
        ),
        migrations.AlterField(
            model_name="notification",
            name="status",
            field=models.CharField(
                choices=[
                    ("pending", "waiting"),
                    ("leased", "being sent"),
                    ("delivered", "delivered"),
                    ("superseded", "superseded, never sent"),
                    ("dead", "given up"),
                ],
                default="pending",
                max_length=10,
            ),
        ),
        migrations.RunPython(forwards, backwards),
    ]
