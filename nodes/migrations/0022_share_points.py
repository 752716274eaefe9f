import django.db.models.deletion
from django.db import migrations, models

# What the decisions tell of the shares before this table was there.  A decision's record says what each node held after it; a
# recovery in several steps tells of its first one there, and of its last one in `shares_after` and in the last of its steps.  What
# lay between is known no more, nor are the trials that one decision counts.  Of decisions of one instant, which is one transaction,
# the last was in force, also where its shares are not known.  A row that cannot be read is left out.
BACKFILL = r"""
WITH step AS (
    SELECT f.id, f.pool_id, substring(s ->> 'text' FROM 'epoch ([0-9]{1,15})$')::bigint AS epoch,
           to_timestamp((s ->> 'at')::float8) AS at
    FROM nodes_failover f,
         jsonb_path_query(f.record, '$.steps[*] ? (@.at > 0 && @.at < 100000000000 && @.text like_regex "epoch [0-9]{1,15}$")') s
    WHERE f.epoch IS NOT NULL
), decision AS (
    SELECT f.id, f.pool_id, f.epoch, f.at, f.trials, step.epoch AS last_epoch, step.at AS last_at,
           jsonb_path_query_array(f.record, '$.considered[*] ? (@.node > 0 && @.after >= 0)') AS considered,
           CASE WHEN jsonb_typeof(f.shares_after) = 'object' THEN f.shares_after ELSE '{}' END AS shares_after
    FROM nodes_failover f
    LEFT JOIN (SELECT DISTINCT ON (id) * FROM step ORDER BY id, epoch DESC) step ON step.id = f.id AND step.epoch > f.epoch
    WHERE f.epoch IS NOT NULL
), known AS (
    SELECT pool_id, epoch, at, id AS failover_id, 1 AS rank,
           (SELECT coalesce(jsonb_object_agg(c ->> 'node', c -> 'after') FILTER (WHERE c -> 'after' <> '0'), '{}')
            FROM jsonb_array_elements(considered) c) AS shares
    FROM decision WHERE jsonb_array_length(considered) > 0
    UNION ALL
    SELECT pool_id, coalesce(last_epoch, epoch), coalesce(last_at, at), id, 2,
           (SELECT coalesce(jsonb_object_agg(key, value), '{}') FROM jsonb_each(shares_after)
            WHERE key ~ '^[0-9]{1,18}$' AND jsonb_typeof(value) = 'number' AND value > '0')
    FROM decision WHERE trials <= 1
    UNION ALL
    SELECT pool_id, epoch, at, id, 3, NULL FROM step
    UNION ALL
    SELECT s.pool_id, s.epoch, s.epoch_at, NULL, 0,
           (SELECT coalesce(jsonb_object_agg(n.node_id::text, n.share), '{}') FROM nodes_nodestate n
            JOIN nodes_node m ON m.id = n.node_id WHERE n.pool_id = s.pool_id AND n.share > 0 AND m.removed_at IS NULL)
    FROM nodes_poolstate s JOIN nodes_pool p ON p.id = s.pool_id AND p.removed_at IS NULL
    WHERE s.epoch_at IS NOT NULL
), of_epoch AS (
    SELECT DISTINCT ON (pool_id, epoch) pool_id, epoch, at, shares,
           max(failover_id) OVER (PARTITION BY pool_id, epoch) AS failover_id
    FROM known ORDER BY pool_id, epoch, rank
), of_instant AS (
    SELECT DISTINCT ON (pool_id, round(extract(epoch FROM at), 3)) * FROM of_epoch
    ORDER BY pool_id, round(extract(epoch FROM at), 3), epoch DESC
)
INSERT INTO nodes_sharepoint (pool_id, at, epoch, shares, failover_id)
SELECT pool_id, at, epoch, shares, failover_id FROM of_instant WHERE shares IS NOT NULL ORDER BY at, pool_id
"""


class Migration(migrations.Migration):
    dependencies = [
        ("nodes", "0021_flapping"),
    ]

    operations = [
        migrations.CreateModel(
            name="SharePoint",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("at", models.DateTimeField()),
                ("epoch", models.BigIntegerField()),
                ("shares", models.JSONField()),
                (
                    "failover",
                    models.ForeignKey(
                        db_index=False,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="nodes.failover",
                    ),
                ),
                (
                    "pool",
                    models.ForeignKey(
                        db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name="share_points", to="nodes.pool"
                    ),
                ),
            ],
            options={"indexes": [models.Index(fields=["pool", "at", "id"], name="sharepoint_pool_at")]},
        ),
        migrations.RunSQL(BACKFILL, migrations.RunSQL.noop),
        migrations.AddIndex(
            model_name="event",
            index=models.Index(
                condition=models.Q(("type", "admin_state_changed")), fields=["node", "at"], name="event_admin_state"
            ),
        ),
        migrations.AddIndex(
            model_name="failover",
            index=models.Index(
                condition=models.Q(("epoch__isnull", False), models.Q(("kind", "rebalance"), _negated=True)),
                fields=["pool", "-at"],
                name="failover_switch",
            ),
        ),
        migrations.AddIndex(
            model_name="failure",
            index=models.Index(fields=["recovered_at"], name="failure_recovered"),
        ),
    ]
