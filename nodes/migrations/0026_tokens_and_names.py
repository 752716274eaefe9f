"""Tokens are bound to pools and rotated with an overlap; those of before stay for every pool.

Names hold only what can be seen.  In those of before each other character becomes a question mark in a box, and the number of the
row is written behind it, since two of them may look the same by now.
"""

import django.contrib.postgres.fields
import django.core.validators
from django.db import migrations, models

import nodes.models.names

_UNSEEN = (
    r"[\u0001-\u001f\u007f-\u009f\u00ad\u034f\u061c\u115f\u1160\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f"
    r"\u3164\ufeff\uffa0\ufff9-\ufffb\U000e0000-\U000e007f]"
)
_NAMED = ("apitoken", "breakerpolicy", "failoverpolicy", "node", "pool")
_SEEN = [nodes.models.names.Seen()]


def show_the_unseen(apps, schema_editor):
    with schema_editor.connection.cursor() as cursor:
        for model in _NAMED:
            cursor.execute(
                f"""UPDATE nodes_{model}
                    SET name = left(regexp_replace(name, %s, '\ufffd', 'g'), 58) || ' (' || id || ')' WHERE name ~ %s""",
                [_UNSEEN, _UNSEEN],
            )
        cursor.execute("UPDATE nodes_node SET zone = regexp_replace(zone, %s, '\ufffd', 'g') WHERE zone ~ %s", [_UNSEEN, _UNSEEN])


def _only_seen(model, field, name):
    condition = ~models.Q(**{f"{field}__regex": _UNSEEN})
    return migrations.AddConstraint(model_name=model, constraint=models.CheckConstraint(condition=condition, name=name))


class Migration(migrations.Migration):
    dependencies = [("nodes", "0025_failover_figures")]

    operations = [
        migrations.AddField(
            model_name="apitoken",
            name="every_pool",
            field=models.BooleanField(db_default=True, default=True, help_text="Also pools that are added later."),
        ),
        migrations.AddField(
            model_name="apitoken",
            name="last_used_from",
            field=models.CharField(db_default="", default="", editable=False, max_length=45),
        ),
        migrations.AddField(
            model_name="apitoken",
            name="pools",
            field=models.ManyToManyField(
                blank=True, help_text="It is refused for every other pool.", related_name="+", to="nodes.pool"
            ),
        ),
        migrations.AddField(
            model_name="apitoken",
            name="previous_digest",
            field=models.CharField(db_default="", default="", editable=False, max_length=64),
        ),
        migrations.AddField(
            model_name="apitoken",
            name="previous_key",
            field=models.CharField(editable=False, max_length=16, null=True, unique=True),
        ),
        migrations.AddField(model_name="apitoken", name="previous_until", field=models.DateTimeField(editable=False, null=True)),
        migrations.AddField(model_name="apitoken", name="previous_used_at", field=models.DateTimeField(editable=False, null=True)),
        migrations.AddField(model_name="apitoken", name="rotated_at", field=models.DateTimeField(editable=False, null=True)),
        migrations.AlterField(model_name="apitoken", name="expires_at", field=models.DateTimeField(blank=True, null=True)),
        migrations.AlterField(
            model_name="apitoken",
            name="name",
            field=models.CharField(
                help_text="Who uses it, for example the name of the load balancer.", max_length=80, validators=_SEEN
            ),
        ),
        migrations.AlterField(
            model_name="breakerpolicy", name="name", field=models.CharField(max_length=80, unique=True, validators=_SEEN)
        ),
        migrations.AlterField(
            model_name="failoverpolicy", name="name", field=models.CharField(max_length=80, unique=True, validators=_SEEN)
        ),
        migrations.AlterField(model_name="pool", name="name", field=models.CharField(max_length=80, unique=True, validators=_SEEN)),
        migrations.AlterField(model_name="node", name="name", field=models.CharField(max_length=80, validators=_SEEN)),
        migrations.AlterField(model_name="node", name="zone", field=models.CharField(blank=True, max_length=80, validators=_SEEN)),
        migrations.AlterField(
            model_name="node",
            name="address",
            field=models.CharField(help_text="Host name or IP address, without a scheme.", max_length=253, validators=_SEEN),
        ),
        migrations.AlterField(
            model_name="node",
            name="tags",
            field=django.contrib.postgres.fields.ArrayField(
                base_field=models.CharField(
                    max_length=40,
                    validators=[
                        django.core.validators.RegexValidator("^[\\w.:-]+\\Z", "A tag is letters, digits and . : _ -"),
                        *_SEEN,
                    ],
                ),
                blank=True,
                default=list,
                help_text="Comma-separated; alert rules can select by tag.",
                size=None,
            ),
        ),
        migrations.AlterField(
            model_name="check",
            name="expected_status",
            field=models.CharField(default="200-299", help_text="For example 200-299,301.", max_length=100, validators=_SEEN),
        ),
        migrations.AlterField(
            model_name="check",
            name="server_name",
            field=models.CharField(
                blank=True, help_text="Name for TLS and Host. Empty: the address.", max_length=253, validators=_SEEN
            ),
        ),
        migrations.AlterField(
            model_name="check",
            name="path",
            field=models.CharField(
                default="/",
                max_length=500,
                validators=[django.core.validators.RegexValidator("^/[!-~]*\\Z", "A path begins with / and has no spaces.")],
            ),
        ),
        migrations.RunPython(show_the_unseen, migrations.RunPython.noop),
        _only_seen("apitoken", "name", "token_name_seen"),
        _only_seen("breakerpolicy", "name", "breaker_policy_name_seen"),
        _only_seen("failoverpolicy", "name", "failover_policy_name_seen"),
        _only_seen("node", "name", "node_name_seen"),
        _only_seen("node", "zone", "node_zone_seen"),
        _only_seen("pool", "name", "pool_name_seen"),
    ]
