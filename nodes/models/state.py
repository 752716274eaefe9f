"""Live state: one narrow row a node, one a pool, one for the fleet.  Written by the ledger alone.

The rows mirror the values of `nodes.engine.types` field by field.  `NodeState` is updated at every check, so it has a
fillfactor of 50 and no index but its key: an update then touches one page and no index.
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import TypeVar

from django.contrib.postgres.fields import ArrayField
from django.db import models

from nodes.engine import enums, types
from nodes.engine.health import stale
from nodes.models.inventory import Node, Pool

_Word = TypeVar("_Word", bound=StrEnum)


class AdminState(models.TextChoices):
    ENABLED = enums.AdminState.ENABLED, "enabled"
    DRAINING = enums.AdminState.DRAINING, "draining"
    MAINTENANCE = enums.AdminState.MAINTENANCE, "maintenance"
    DISABLED = enums.AdminState.DISABLED, "disabled"


class Health(models.TextChoices):
    UNKNOWN = enums.Health.UNKNOWN, "unknown"
    HEALTHY = enums.Health.HEALTHY, "healthy"
    DEGRADED = enums.Health.DEGRADED, "degraded"
    FAILED = enums.Health.FAILED, "failed"
    RECOVERING = enums.Health.RECOVERING, "recovering"


class BreakerState(models.TextChoices):
    CLOSED = enums.State.CLOSED, "closed"
    OPEN = enums.State.OPEN, "open"
    HALF_OPEN = enums.State.HALF_OPEN, "half-open"


class BreakerMode(models.TextChoices):
    AUTO = enums.Mode.AUTO, "automatic"
    FORCED_OPEN = enums.Mode.FORCED_OPEN, "forced open"
    FORCED_CLOSED = enums.Mode.FORCED_CLOSED, "forced closed"
    METRICS_ONLY = enums.Mode.METRICS_ONLY, "metrics only"


class NodeState(models.Model):
    """The hot row of a node: schedule, health, breaker, share."""

    node = models.OneToOneField(Node, on_delete=models.CASCADE, primary_key=True, related_name="state")
    pool_id = models.BigIntegerField(editable=False)
    version = models.BigIntegerField(default=0)  # one up at each write
    # schedule
    due_at = models.DateTimeField()
    due_interval = models.FloatField(null=True)  # seconds; the interval that `due_at` was made of, null before the first check
    token = models.BigIntegerField(default=0)  # term number of the last claim
    owner = models.BigIntegerField(null=True)  # term number of the lease that has claimed it
    last_beat_at = models.DateTimeField(null=True)  # push checks: the last heartbeat
    # last check
    checked_at = models.DateTimeField(null=True)  # start of the last check, whatever it saw
    last_verdict = models.CharField(max_length=7, default="")
    last_latency = models.FloatField(null=True)  # seconds
    last_message = models.CharField(max_length=200, default="")
    recent = models.CharField(max_length=40, default="")  # one letter a check, newest last: p w f u
    # health
    admin_state = models.CharField(max_length=11, choices=AdminState, default=AdminState.ENABLED)
    health = models.CharField(max_length=10, choices=Health, default=Health.UNKNOWN)
    health_since = models.DateTimeField(null=True)
    fails = models.IntegerField(default=0)
    passes = models.IntegerField(default=0)
    first_bad_at = models.DateTimeField(null=True)
    observed_at = models.DateTimeField(null=True)  # start of the last check that was not unknown
    # the checkers that saw the run of failing checks
    seen_by = ArrayField(models.CharField(max_length=253), default=list, db_default=models.Value([]))
    confirm_until = models.DateTimeField(null=True)  # until when the next check is left to another checker
    stale = models.BooleanField(default=False)  # found so, and no verdict since; whether it is stale now says `is_stale`
    ever_able = models.BooleanField(default=False)
    fault = models.CharField(max_length=200, default="", db_default="")  # what the last failing check of the run said
    # engine HealthState.results: the last 20 since it was first seen or left recovering, a bit each behind a leading 1
    results = models.IntegerField(default=1, db_default=1)
    alternating = models.BooleanField(default=False, db_default=False)
    # share and failure
    share = models.IntegerField(default=0)  # basis points
    failure = models.JSONField(null=True)  # engine Failure, and "id" of its row
    ramp = models.JSONField(null=True)  # engine Ramp
    trial = models.JSONField(null=True)  # engine Trial
    enabled_by = models.CharField(max_length=150, default="", db_default="")  # until it has its share by that act
    load = models.JSONField(null=True)  # engine Load
    last_failure = models.JSONField(null=True)  # engine LastFailure
    flapping = models.JSONField(null=True)  # engine Flapping, and "id" of its open incident
    trials_epoch = models.BigIntegerField(null=True)  # of the decision that counts the trials of the open failure
    # circuit breaker, the engine's Breaker and BreakerStats
    breaker_state = models.CharField(max_length=9, choices=BreakerState, default=BreakerState.CLOSED)
    breaker_generation = models.BigIntegerField(default=0)
    breaker_failures = models.IntegerField(default=0)
    breaker_successes = models.IntegerField(default=0)
    breaker_opened_at = models.DateTimeField(null=True)
    breaker_first_opened_at = models.DateTimeField(null=True)
    breaker_reopened = models.IntegerField(default=0)
    breaker_wait = models.FloatField(default=0.0)
    breaker_opened_by = models.CharField(max_length=8, default="")
    breaker_opened_why = models.CharField(max_length=120, default="")
    breaker_window = models.JSONField(default=list)  # engine Window: calls in hexadecimal, spans
    breaker_reported = models.JSONField(default=list)  # engine Run of reported calls: failures, and the same two
    breaker_trials = models.JSONField(default=list)
    breaker_last_permit = models.BigIntegerField(default=0)
    breaker_mode = models.CharField(max_length=13, choices=BreakerMode, default=BreakerMode.AUTO)
    breaker_mode_reason = models.CharField(max_length=200, default="")
    breaker_mode_owner = models.CharField(max_length=150, default="")
    breaker_mode_until = models.DateTimeField(null=True)
    breaker_total = models.BigIntegerField(default=0)
    breaker_successful = models.BigIntegerField(default=0)
    breaker_failed = models.BigIntegerField(default=0)
    breaker_rejected = models.BigIntegerField(default=0)
    breaker_ignored = models.BigIntegerField(default=0)
    breaker_late = models.BigIntegerField(default=0)
    breaker_late_lapsed = models.BigIntegerField(default=0)
    breaker_times_opened = models.BigIntegerField(default=0)
    breaker_last_change = models.DateTimeField(null=True)
    breaker_closings = models.BigIntegerField(default=0)
    breaker_open_seconds = models.FloatField(default=0.0)

    class Meta:
        verbose_name = "node state"

    def __str__(self) -> str:
        return f"{self.node_id}: {self.health}, breaker {self.breaker_state}, {self.share} bp"

    def is_stale(self, now: datetime) -> bool:
        """Whether the node is stale, by the engine's rule; reads the node and its pool's policy, so select them along."""
        health = types.HealthState(
            status=_known(enums.Health, self.health, enums.Health.UNKNOWN),
            fails=self.fails,
            since=self.health_since.timestamp() if self.health_since else 0.0,
            observed_at=self.observed_at.timestamp() if self.observed_at else None,
            due_interval=self.due_interval,
            stale=self.stale,
        )
        policy = self.node.pool.failover_policy.in_force(self.node)
        admin_state = _known(enums.AdminState, self.admin_state, enums.AdminState.ENABLED)
        return stale(health, policy, admin_state, now.timestamp())


def _known(kind: type[_Word], stored: str, otherwise: _Word) -> _Word:
    """The stored word; one of another version counts as `otherwise`, as it does in SQL."""
    try:
        return kind(stored)
    except ValueError:
        return otherwise


class PoolState(models.Model):
    """The row that is locked for every decision about a pool."""

    pool = models.OneToOneField(Pool, on_delete=models.CASCADE, primary_key=True, related_name="state")
    epoch = models.BigIntegerField(default=0)
    epoch_at = models.DateTimeField(null=True)
    version = models.BigIntegerField(default=0)  # one up at each locked write, so that readers see a change
    active_tier = models.IntegerField(null=True)
    paused = models.JSONField(null=True)  # engine Hold
    last_failover_at = models.DateTimeField(null=True)
    cooldown_lifted_at = models.DateTimeField(null=True)
    better_tier_since = models.DateTimeField(null=True)
    failback_told = models.BooleanField(default=False)
    rebalanced_at = models.DateTimeField(null=True)
    low_capacity = models.BooleanField(default=False)
    down = models.BooleanField(default=False, db_default=False)  # nobody is eligible, and that was told
    missing_told = models.BooleanField(default=False, db_default=False)  # most nodes are silent, and that was notified
    stale_told = ArrayField(models.BigIntegerField(), default=list, db_default=[])  # nodes of whose silence was notified
    watched_since = models.DateTimeField(null=True)  # engine Told
    incident_id = models.BigIntegerField(null=True)  # its own open one; those of flapping nodes are beside it
    wake_at = models.DateTimeField(null=True)  # when time alone changes something
    busy = models.BooleanField(default=False)  # something is failing, pending or unsure: every check takes the locked way
    # while it cannot be decided, see `nodes.ledger.undecided`
    undecided_since = models.DateTimeField(null=True)  # the first try that failed
    undecided_tried_at = models.DateTimeField(null=True)  # the last one
    undecided_tries = models.IntegerField(default=0, db_default=0)
    undecided_why = models.CharField(max_length=300, default="", db_default="")
    undecided_told = models.BooleanField(default=False, db_default=False)

    class Meta:
        verbose_name = "pool state"

    def __str__(self) -> str:
        return f"{self.pool_id}: epoch {self.epoch}"


class FleetState(models.Model):
    """The one row (id 1) of the fleet: a pause of all automation, and whether a checker is believed."""

    version = models.BigIntegerField(default=0)
    config_version = models.BigIntegerField(default=0)  # one up at each edit, so that runners load the checks anew
    paused = models.JSONField(null=True)  # engine Hold
    isolated = models.JSONField(null=True)  # engine Hold: no checker is believed
    believed = models.IntegerField(default=1, db_default=1)  # checkers that are
    nobody_since = models.DateTimeField(null=True)  # since when none is
    nobody_told = models.BooleanField(default=False, db_default=False)  # and that was notified
    missing_told = models.BooleanField(default=False)  # no check has a result, and that was notified
    watched_since = models.DateTimeField(null=True)  # engine Told
    logins_told = models.BooleanField(default=False, db_default=False)  # a series of failed log-ins lasts, and that was notified

    class Meta:
        verbose_name = "fleet state"

    def __str__(self) -> str:
        return "paused" if self.paused else "isolated" if self.isolated else "automation on"


class Checker(models.Model):
    """A host as a checker: what is remembered of it beyond the terms of its runners; the engine's Checker and Isolation."""

    host = models.CharField(max_length=253, primary_key=True)
    doubt = models.CharField(max_length=12, default="")  # why it is isolated; empty: it is not
    reason = models.CharField(max_length=500, default="")
    since = models.DateTimeField(null=True)
    clear_since = models.DateTimeField(null=True)
    told = models.BooleanField(default=False)
    healthy = ArrayField(models.BigIntegerField(), default=list)  # nodes that were, when its isolation began
    stalls = ArrayField(models.DateTimeField(), default=list)
    contradicted = ArrayField(models.BigIntegerField(), default=list)  # nodes
    overruled = ArrayField(models.CharField(max_length=12), default=list)  # doubts
    late = models.BooleanField(default=False)
    turning_since = models.DateTimeField(null=True)
    resolver_told = models.BooleanField(default=False, db_default=False)  # that it is away; the engine's Resolver
    resolver_grave = models.BooleanField(default=False, db_default=False)
    resolver_turning_since = models.DateTimeField(null=True)

    def __str__(self) -> str:
        return f"{self.host}, isolated: {self.reason}" if self.doubt else self.host


class Lease(models.Model):
    """The right of one process to work in a slot of its host until the deadline, which it renews; see `nodes.ledger.leases`."""

    term_number = models.BigIntegerField(primary_key=True)
    kind = models.CharField(max_length=6, choices=[("checks", "checks"), ("alerts", "alerts")])
    host = models.CharField(max_length=253)
    slot = models.IntegerField()
    pid = models.IntegerField()
    pid_started = models.BigIntegerField()  # clock ticks since the boot; with host and pid it names one process
    deadline = models.DateTimeField()
    offered = models.BooleanField(default=False)  # a successor may take the slot

    class Meta:
        constraints = (
            models.UniqueConstraint(fields=("kind", "host", "slot"), condition=models.Q(offered=False), name="one_lease_per_slot"),
        )

    def __str__(self) -> str:
        return f"{self.kind} {self.slot} on {self.host} until {self.deadline:%H:%M:%S}"


class ReportKey(models.Model):
    """The `Idempotency-Key` of a report that was counted, with a digest of its body; forgotten after ten minutes.

    Written in the transaction that counts, and logged like it: after a crash of the server the counts are there, so a retry must
    find its key.
    """

    node = models.ForeignKey(Node, on_delete=models.CASCADE, db_constraint=False, db_index=False)  # written under its pool's lock
    key = models.BinaryField(max_length=32)  # digest of token and key
    body = models.BinaryField(max_length=32)
    at = models.DateTimeField(db_index=True)

    class Meta:
        constraints = (models.UniqueConstraint(fields=("node", "key"), name="one_report_per_key"),)

    def __str__(self) -> str:
        return f"a report for node {self.node_id}, {self.at:%H:%M:%S}"


class Runner(models.Model):
    """One slot of one worker, or one web process: who works in it now and what it has done, summed over its terms."""

    host = models.CharField(max_length=253)
    slot = models.IntegerField()
    kind = models.CharField(max_length=6, choices=[("checks", "checks"), ("alerts", "alerts"), ("web", "web")])
    pid = models.IntegerField()
    started_at = models.DateTimeField()
    seen_at = models.DateTimeField()
    checks = models.BigIntegerField(default=0)
    late = models.BigIntegerField(default=0)  # checks that started over 250 ms late
    stale_results = models.BigIntegerField(default=0)  # results with an old token, dropped
    stalls = models.BigIntegerField(default=0)  # times the loop stood still over 500 ms
    lateness_p50 = models.FloatField(default=0.0)  # seconds, over the last reporting period
    lateness_p99 = models.FloatField(default=0.0)
    loop_lag = models.FloatField(default=0.0, db_default=0.0)  # seconds, the worst of the last reporting period
    lateness_histogram = ArrayField(models.BigIntegerField(), default=list)  # counts over all terms, see nodes.rollups.histogram
    latency_buckets = ArrayField(models.BigIntegerField(), default=list)  # cumulative histogram counts
    latency_sum = models.FloatField(default=0.0)
    verdicts = models.JSONField(default=dict)  # verdict -> count
    clock_ahead = models.FloatField(default=0.0, db_default=0.0)  # seconds of the host's clock before the database's
    missed_at = models.DateTimeField(null=True)  # when this web process last may have lost a heartbeat
    evidence = models.JSONField(null=True)  # what this runner sees of the fleet, see nodes.ledger.checkers

    class Meta:
        constraints = (models.UniqueConstraint(fields=("host", "kind", "slot"), name="one_runner_per_slot"),)

    def __str__(self) -> str:
        return f"{self.kind} runner {self.slot} on {self.host}"
