import django.contrib.postgres.indexes
import django.contrib.postgres.search
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("nodes", "0022_share_points"),
    ]

    operations = [
        migrations.AlterField(
            model_name="event",
            name="type",
            field=models.CharField(
                choices=[
                    ("health_check_failed", "health check failed"),
                    ("node_marked_failed", "node marked failed"),
                    ("node_degraded", "node degraded"),
                    ("node_stale", "node stale"),
                    ("node_stale_ended", "node stale ended"),
                    ("node_added", "node added"),
                    ("node_removed", "node removed"),
                    ("failover_started", "failover started"),
                    ("failover_completed", "failover completed"),
                    ("failover_failed", "failover failed"),
                    ("failover_unverified", "failover unverified"),
                    ("failover_refused", "failover refused"),
                    ("recovery_started", "recovery started"),
                    ("recovery_failed", "recovery failed"),
                    ("recovery_completed", "recovery completed"),
                    ("failure_ended", "failure ended"),
                    ("incident_closed", "incident closed"),
                    ("rebalanced", "rebalanced"),
                    ("failback_due", "failback due"),
                    ("breaker_opened", "breaker opened"),
                    ("breaker_reopened", "breaker reopened"),
                    ("breaker_half_opened", "breaker half opened"),
                    ("breaker_closed", "breaker closed"),
                    ("breaker_forced", "breaker forced"),
                    ("admin_state_changed", "admin state changed"),
                    ("config_changed", "config changed"),
                    ("high_load", "high load"),
                    ("high_load_ended", "high load ended"),
                    ("low_capacity", "low capacity"),
                    ("low_capacity_ended", "low capacity ended"),
                    ("pool_down", "pool down"),
                    ("pool_down_ended", "pool down ended"),
                    ("trial_starved", "trial starved"),
                    ("trial_starved_ended", "trial starved ended"),
                    ("checker_isolated", "checker isolated"),
                    ("checker_rejoined", "checker rejoined"),
                    ("no_checker_believed", "no checker believed"),
                    ("checker_believed", "checker believed"),
                    ("checks_missing", "checks missing"),
                    ("checks_resumed", "checks resumed"),
                    ("event_given_up", "event given up"),
                    ("destination_failing", "destination failing"),
                    ("destination_answers", "destination answers"),
                    ("destination_quiet", "destination quiet"),
                    ("destination_quiet_ended", "destination quiet ended"),
                    ("pool_undecided", "pool undecided"),
                    ("pool_decided", "pool decided"),
                    ("checks_late", "checks late"),
                    ("checks_on_time", "checks on time"),
                    ("automation_paused", "automation paused"),
                    ("automation_resumed", "automation resumed"),
                    ("acknowledged", "acknowledged"),
                    ("note_added", "note added"),
                ],
                max_length=24,
            ),
        ),
        migrations.AddIndex(
            model_name="event",
            index=models.Index(condition=models.Q(("severity", "info"), _negated=True), fields=["-at", "-id"], name="event_grave"),
        ),
        migrations.AddIndex(
            model_name="event",
            index=models.Index(
                condition=models.Q(("actor", "engine"), _negated=True), fields=["-at", "-id"], name="event_by_person"
            ),
        ),
        migrations.AddIndex(
            model_name="event",
            index=django.contrib.postgres.indexes.GinIndex(
                django.contrib.postgres.search.SearchVector("message", config="simple"), name="event_words"
            ),
        ),
    ]
