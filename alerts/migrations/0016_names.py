"""Names hold only what can be seen; in those of before each other character is replaced, as in those of the nodes."""

from django.db import migrations, models

import nodes.models.names

_UNSEEN = (
    r"[\u0001-\u001f\u007f-\u009f\u00ad\u034f\u061c\u115f\u1160\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f"
    r"\u3164\ufeff\uffa0\ufff9-\ufffb\U000e0000-\U000e007f]"
)
_SEEN = [nodes.models.names.Seen()]


def show_the_unseen(apps, schema_editor):
    with schema_editor.connection.cursor() as cursor:
        for model in ("destination", "rule"):
            cursor.execute(
                f"""UPDATE alerts_{model}
                    SET name = left(regexp_replace(name, %s, '\ufffd', 'g'), 58) || ' (' || id || ')' WHERE name ~ %s""",
                [_UNSEEN, _UNSEEN],
            )
        cursor.execute("UPDATE alerts_rule SET tag = regexp_replace(tag, %s, '\ufffd', 'g') WHERE tag ~ %s", [_UNSEEN, _UNSEEN])


def _only_seen(model, field, name):
    condition = ~models.Q(**{f"{field}__regex": _UNSEEN})
    return migrations.AddConstraint(model_name=model, constraint=models.CheckConstraint(condition=condition, name=name))


class Migration(migrations.Migration):
    dependencies = [("alerts", "0015_logins")]

    operations = [
        migrations.AlterField(
            model_name="destination",
            name="base_url",
            field=models.CharField(
                default="https://events.pagerduty.com",
                help_text="Another host for EU accounts or a private relay.",
                max_length=200,
                validators=_SEEN,
                verbose_name="PagerDuty address",
            ),
        ),
        migrations.AlterField(model_name="destination", name="name", field=models.CharField(max_length=80, validators=_SEEN)),
        migrations.AlterField(model_name="rule", name="name", field=models.CharField(max_length=80, unique=True, validators=_SEEN)),
        migrations.AlterField(
            model_name="rule",
            name="tag",
            field=models.CharField(
                blank=True, default="", help_text="Only nodes with this tag. Empty: any.", max_length=40, validators=_SEEN
            ),
        ),
        migrations.RunPython(show_the_unseen, migrations.RunPython.noop),
        _only_seen("destination", "name", "destination_name_seen"),
        _only_seen("rule", "name", "rule_name_seen"),
        _only_seen("rule", "tag", "rule_tag_seen"),
    ]
