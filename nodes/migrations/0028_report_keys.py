"""The idempotency keys of reports, kept for ten minutes."""

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("nodes", "0027_logins"),
    ]

    operations = [
        migrations.CreateModel(
            name="ReportKey",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("key", models.BinaryField(max_length=32)),
                ("body", models.BinaryField(max_length=32)),
                ("at", models.DateTimeField(db_index=True)),
                (
                    "node",
                    models.ForeignKey(
                        db_constraint=False, db_index=False, on_delete=django.db.models.deletion.CASCADE, to="nodes.node"
                    ),
                ),
            ],
            options={
                "constraints": [models.UniqueConstraint(fields=("node", "key"), name="one_report_per_key")],
            },
        ),
    ]
