from django.db import migrations

# The roll-ups of minutes and hours go by partitions, as the results do: retention drops a table instead of rows.
# Time is indexed by BRIN: results arrive in its order, so a few kilobytes lead a roll-up to its minutes.
_ROLLUP = """
CREATE TABLE nodes_{grain}rollup (
    node_id bigint NOT NULL,
    start timestamptz NOT NULL,
    passes integer NOT NULL,
    warns integer NOT NULL,
    fails integer NOT NULL,
    unknowns integer NOT NULL,
    latency_sum double precision NOT NULL,
    latency_max double precision,
    histogram integer[] NOT NULL,
    PRIMARY KEY (node_id, start)
) {storage};
"""
_PARTITIONED = (
    "DROP TABLE nodes_{grain}rollup;"
    + _ROLLUP.replace("{storage}", "PARTITION BY RANGE (start)")
    + "CREATE TABLE nodes_{grain}rollup_default PARTITION OF nodes_{grain}rollup DEFAULT;"
    + "CREATE INDEX {grain}rollup_start ON nodes_{grain}rollup USING brin (start) WITH (autosummarize = on);"
)
_PLAIN = "DROP TABLE nodes_{grain}rollup;" + _ROLLUP.replace("{storage}", "")
_BRIN = "CREATE INDEX checkresult_at ON nodes_checkresult USING brin (at) WITH (pages_per_range = 32, autosummarize = on);"


class Migration(migrations.Migration):
    dependencies = [("nodes", "0002_roles")]

    operations = [
        migrations.RunSQL(_PARTITIONED.replace("{grain}", "minute"), _PLAIN.replace("{grain}", "minute")),
        migrations.RunSQL(_PARTITIONED.replace("{grain}", "hour"), _PLAIN.replace("{grain}", "hour")),
        migrations.RunSQL(_BRIN, "DROP INDEX checkresult_at"),
    ]
