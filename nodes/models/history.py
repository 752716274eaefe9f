"""Events, incidents, failures, failovers and check results: append-only, written by the ledger in the transaction of the change."""

from __future__ import annotations

from django.contrib.postgres.fields import ArrayField
from django.contrib.postgres.indexes import GinIndex
from django.contrib.postgres.search import SearchVector
from django.db import models
from django.urls import reverse

from nodes.engine import enums
from nodes.models.inventory import Node, Pool

EventType = models.TextChoices("EventType", [(t.name, (t.value, t.value.replace("_", " "))) for t in enums.EventType])  # type: ignore[call-overload]  # django-stubs wants a literal; the engine's list is the one list
Severity = models.TextChoices("Severity", [(s.name, (s.value, s.value)) for s in enums.Severity])  # type: ignore[call-overload]  # as above
ChangeKind = models.TextChoices("ChangeKind", [(k.name, (k.value, k.value)) for k in enums.ChangeKind])  # type: ignore[call-overload]  # as above


class Incident(models.Model):
    """A pool's failures taken together, from the first failure (dated back to the first bad check) until its last failure ends.

    The failures of a flapping node are an incident of that node, until it has been quiet for as long as its policy says.
    """

    pool = models.ForeignKey(Pool, on_delete=models.PROTECT, related_name="incidents", db_index=False)
    node = models.ForeignKey(Node, on_delete=models.PROTECT, null=True, related_name="incidents", db_index=False)  # it flaps
    opened_at = models.DateTimeField()  # first bad check
    detected_at = models.DateTimeField()  # first failure marked
    closed_at = models.DateTimeField(null=True)
    severity = models.CharField(max_length=8, choices=Severity.choices)
    summary = models.CharField(max_length=300)
    acknowledged_at = models.DateTimeField(null=True)
    acknowledged_by = models.CharField(max_length=150, blank=True, default="")
    acknowledgement = models.CharField(max_length=500, blank=True, default="")

    class Meta:
        ordering = ("-opened_at",)
        indexes = (models.Index(fields=("pool", "-opened_at"), name="incident_pool_opened"),)
        constraints = (
            models.UniqueConstraint(
                fields=("pool",), condition=models.Q(closed_at=None, node=None), name="one_open_incident_per_pool"
            ),
            models.UniqueConstraint(
                fields=("node",), condition=models.Q(closed_at=None, node__isnull=False), name="one_open_incident_per_flapping_node"
            ),
        )

    def __str__(self) -> str:
        return f"incident {self.pk}: {self.summary}"

    def get_absolute_url(self) -> str:
        return reverse("nodes:incident", args=[self.pk])


class Failure(models.Model):
    """One node's failure, from marked (or opened) until eligible again."""

    node = models.ForeignKey(Node, on_delete=models.PROTECT, related_name="failures", db_index=False)
    incident = models.ForeignKey(Incident, on_delete=models.PROTECT, related_name="failures")
    cause = models.CharField(max_length=10)  # health or breaker
    message = models.CharField(max_length=200, default="")
    had_share = models.BooleanField(default=False)
    first_bad_at = models.DateTimeField()
    marked_at = models.DateTimeField()
    moved_at = models.DateTimeField(null=True)
    recovered_at = models.DateTimeField(null=True)
    evidence = models.JSONField(null=True)  # what the last failing check saw, see nodes.probes.evidence
    evidence_at = models.DateTimeField(null=True)

    class Meta:
        indexes = (
            models.Index(fields=("node", "-marked_at"), name="failure_node_marked"),
            models.Index(fields=("recovered_at",), name="failure_recovered"),
        )

    def __str__(self) -> str:
        return f"failure of {self.node_id} at {self.marked_at}"


_TOOK_OVER = models.Q(kind=enums.ChangeKind.FAILOVER.value, status="completed")
_SWITCHED = models.Q(epoch__isnull=False) & ~models.Q(kind=enums.ChangeKind.REBALANCE.value)


class Failover(models.Model):
    """A change of shares, or the refusal of one, with its decision record."""

    class Status(models.TextChoices):
        STARTED = "started", "share moved, receivers being verified"
        RAMPING = "ramping", "share coming back in steps"
        COMPLETED = "completed", "completed"
        FAILED = "failed", "receivers failed their checks"
        REFUSED = "refused", "refused by a guard"

    kind = models.CharField(max_length=10, choices=ChangeKind.choices)
    status = models.CharField(max_length=9, choices=Status)
    pool = models.ForeignKey(Pool, on_delete=models.PROTECT, related_name="failovers", db_index=False)
    node = models.ForeignKey(Node, on_delete=models.PROTECT, null=True, related_name="failovers")
    incident = models.ForeignKey(Incident, on_delete=models.PROTECT, null=True, related_name="failovers")
    epoch = models.BigIntegerField(null=True)  # null: refused
    at = models.DateTimeField()
    completed_at = models.DateTimeField(null=True)
    actor = models.CharField(max_length=150)
    reason = models.CharField(max_length=500)
    refused_by = models.CharField(max_length=20, blank=True, default="")
    lifts_at = models.DateTimeField(null=True)
    shares_before = models.JSONField()  # {node id: basis points}
    shares_after = models.JSONField()
    trials = models.IntegerField(default=0, db_default=0)  # that this recovery gave a share for
    last_trial_at = models.DateTimeField(null=True)
    record = models.JSONField()  # {"considered": [...], "guards": [...], "steps": [...]}, see nodes.ledger

    class Meta:
        ordering = ("-at", "-pk")
        indexes = (
            models.Index(fields=("pool", "-at"), name="failover_pool_at"),
            models.Index(fields=("pool", "-at"), condition=_SWITCHED, name="failover_switch"),
            # For figures over all of them, which read no row.
            models.Index(fields=("status", "kind", "refused_by"), name="failover_counts"),
            models.Index(fields=("at", "completed_at"), condition=_TOOK_OVER, name="failover_took"),
        )
        constraints = (models.UniqueConstraint(fields=("pool", "epoch"), name="one_change_per_epoch"),)

    def __str__(self) -> str:
        return f"{self.kind} of pool {self.pool_id}: {self.status}"

    def get_absolute_url(self) -> str:
        return reverse("nodes:failover", args=[self.pk])


class SharePoint(models.Model):
    """The shares of a pool from one instant on, until its next row: one for each transaction that changed them."""

    pool = models.ForeignKey(Pool, on_delete=models.PROTECT, related_name="share_points", db_index=False)
    at = models.DateTimeField()
    epoch = models.BigIntegerField()
    shares = models.JSONField()  # {node id: basis points}, without the nodes that hold nothing
    failover = models.ForeignKey(Failover, on_delete=models.PROTECT, null=True, related_name="+", db_index=False)

    class Meta:
        indexes = (models.Index(fields=("pool", "at", "id"), name="sharepoint_pool_at"),)

    def __str__(self) -> str:
        return f"shares of pool {self.pool_id} from {self.at} on"


WORDS = SearchVector("message", config="simple")  # of an event's message, as its index has them


class Event(models.Model):
    """One line of history.

    The column `xid` (xid8 of the writing transaction, made by the migration) lets readers page by visibility:
    never read events by "id greater than the last seen", a lower id may commit later.
    """

    at = models.DateTimeField()
    type = models.CharField(max_length=24, choices=EventType.choices)
    severity = models.CharField(max_length=8, choices=Severity.choices)
    pool = models.ForeignKey(Pool, on_delete=models.PROTECT, null=True, related_name="events", db_index=False)
    node = models.ForeignKey(Node, on_delete=models.PROTECT, null=True, related_name="events", db_index=False)
    incident = models.ForeignKey(Incident, on_delete=models.PROTECT, null=True, related_name="events", db_index=False)
    failover = models.ForeignKey(Failover, on_delete=models.PROTECT, null=True, related_name="events")
    actor = models.CharField(max_length=150)
    message = models.CharField(max_length=500)
    detail = models.JSONField(default=dict)

    class Meta:
        ordering = ("-at", "-pk")
        indexes = (
            models.Index(fields=("-at", "-id"), name="event_at"),
            models.Index(fields=("pool", "-at"), name="event_pool_at"),
            models.Index(fields=("node", "-at"), name="event_node_at"),
            models.Index(fields=("incident",), name="event_incident"),
            models.Index(fields=("-at", "-id"), condition=~models.Q(severity=enums.Severity.INFO.value), name="event_grave"),
            models.Index(fields=("-at", "-id"), condition=~models.Q(actor="engine"), name="event_by_person"),
            models.Index(fields=("type", "-at"), name="event_type_at"),
            GinIndex(WORDS, name="event_words"),
            models.Index(
                fields=("node", "at"), condition=models.Q(type=enums.EventType.ADMIN_STATE_CHANGED.value), name="event_admin_state"
            ),
        )

    def __str__(self) -> str:
        return self.message


class Outbox(models.Model):
    """Numbers of events that the alerts have not looked at yet; written with the event, deleted with the notifications."""

    event = models.OneToOneField(Event, on_delete=models.CASCADE, primary_key=True)
    tries = models.IntegerField(default=0, db_default=0)  # that failed
    given_up_at = models.DateTimeField(null=True)  # given up, and told; kept for whoever mends the cause

    class Meta:
        verbose_name_plural = "outbox"

    def __str__(self) -> str:
        return f"event {self.event_id}"


class CheckResult(models.Model):
    """One check; a day-partitioned table without a key of its own (made by the migration, read by node and time)."""

    pk = models.CompositePrimaryKey("node_id", "at")
    node_id = models.BigIntegerField()
    at = models.DateTimeField()  # start of the check
    verdict = models.CharField(max_length=1)  # p w f u
    latency = models.FloatField(null=True)  # seconds
    message = models.CharField(max_length=200, null=True)  # noqa: DJ001 - null takes no room, and nearly all are plain passes

    class Meta:
        managed = False
        db_table = "nodes_checkresult"

    def __str__(self) -> str:
        return f"{self.node_id} {self.at} {self.verdict}"


class Rollup(models.Model):
    """Check results of one node over one span, closed and written once.  Latencies as a mergeable log histogram."""

    pk = models.CompositePrimaryKey("node_id", "start")
    node_id = models.BigIntegerField()
    start = models.DateTimeField()
    passes = models.IntegerField()
    warns = models.IntegerField()
    fails = models.IntegerField()
    unknowns = models.IntegerField()
    latency_sum = models.FloatField()
    latency_max = models.FloatField(null=True)
    histogram = ArrayField(models.IntegerField())  # 64 buckets, see nodes.rollups

    class Meta:
        abstract = True


class MinuteRollup(Rollup):
    def __str__(self) -> str:
        return f"{self.node_id} minute {self.start}"


class HourRollup(Rollup):
    def __str__(self) -> str:
        return f"{self.node_id} hour {self.start}"


class DayRollup(Rollup):
    def __str__(self) -> str:
        return f"{self.node_id} day {self.start}"


class RollupProgress(models.Model):
    """Up to which instant each span has been rolled up."""

    span = models.CharField(max_length=6, primary_key=True)
    done_until = models.DateTimeField()

    def __str__(self) -> str:
        return f"{self.span} until {self.done_until}"
