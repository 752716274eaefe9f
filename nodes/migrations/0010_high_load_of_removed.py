from django.db import migrations

# A high load lasted for ever when its node was removed; what it opened at a destination is to be resolved.
ENDED = """
WITH ended AS (
    INSERT INTO nodes_event (at, type, severity, pool_id, node_id, actor, message, detail)
    SELECT now(), 'high_load_ended', 'info', n.pool_id, n.id, 'engine',
           left(n.name, 200) || ': its load is no longer watched, it was removed', '{}'::jsonb
    FROM nodes_nodestate s JOIN nodes_node n ON n.id = s.node_id
    WHERE n.removed_at IS NOT NULL AND (s.load ->> 'high')::float8 >= 3
    ORDER BY n.id
    RETURNING id
)
INSERT INTO nodes_outbox (event_id) SELECT id FROM ended;
"""


class Migration(migrations.Migration):
    dependencies = [
        ("nodes", "0009_leases"),
    ]

    operations = [
        migrations.RunSQL(ENDED, migrations.RunSQL.noop),
    ]
