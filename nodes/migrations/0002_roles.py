from django.db import migrations

from nodes.roles import create_groups, grant

_READ = ("view",)
_EDIT = ("view", "add", "change", "delete")
_DECLARED = ("pool", "node", "check", "breakerpolicy", "failoverpolicy")
_HAPPENED = ("event", "incident", "failover")


def give(apps, schema_editor):
    alias = schema_editor.connection.alias
    create_groups(apps, alias=alias)
    seen = {(model, verb) for model in (*_DECLARED, *_HAPPENED) for verb in _READ}
    acts = {("node", "operate")}
    edits = {(model, verb) for model in (*_DECLARED, "apitoken") for verb in _EDIT}
    grant(apps, "nodes", alias=alias, viewer=seen, operator=seen | acts, admin=seen | acts | edits)
    people = {("user", verb) for verb in _EDIT} | {("group", "view")}
    grant(apps, "auth", alias=alias, admin=people)


class Migration(migrations.Migration):
    dependencies = [
        ("nodes", "0001_initial"),
        ("auth", "0012_alter_user_first_name_max_length"),
        ("contenttypes", "0002_remove_content_type_name"),
    ]

    operations = [migrations.RunPython(give, migrations.RunPython.noop)]
