from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("nodes", "0023_event_words"),
    ]

    operations = [
        migrations.AddIndex(
            model_name="event",
            index=models.Index(fields=["type", "-at"], name="event_type_at"),
        ),
    ]
