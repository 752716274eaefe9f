"""Where alerts go (Destination, Rule), what was sent about what (Alert) and each message (Notification, Attempt)."""

from __future__ import annotations

import uuid
from urllib.parse import urlsplit

from django.contrib.postgres.fields import ArrayField
from django.core.validators import MaxValueValidator
from django.db import models
from django.urls import reverse

from alerts import rules
from nodes.models import Event, EventType, Incident, Pool, Severity
from nodes.models.encrypted import EncryptedTextField, EncryptedTextUnreadableError
from nodes.models.names import only_seen, seen

PAGERDUTY_URL = "https://events.pagerduty.com"
LONGEST_WAIT = 24 * 3600  # s
SHOWN_LENGTH = 4  # characters of a secret that may be seen


class Kind(models.TextChoices):
    SLACK = rules.Kind.SLACK.value, "Slack incoming webhook"
    PAGERDUTY = rules.Kind.PAGERDUTY.value, "PagerDuty Events API v2"
    WEBHOOK = rules.Kind.WEBHOOK.value, "Signed webhook"


class Action(models.TextChoices):
    TRIGGER = rules.Action.TRIGGER.value, "trigger"
    ACKNOWLEDGE = rules.Action.ACKNOWLEDGE.value, "acknowledge"
    RESOLVE = rules.Action.RESOLVE.value, "resolve"
    INFO = rules.Action.INFO.value, "message"
    TEST = rules.Action.TEST.value, "test"


class AlertSeverity(models.TextChoices):
    """The severities that alerts have; the rest is history only."""

    WARNING = Severity.WARNING.value, "warning"
    CRITICAL = Severity.CRITICAL.value, "critical"


class Installation(models.Model):
    """The one row (id 1) that sets this console's keys apart from those of any other at the same destination."""

    name = models.CharField(max_length=32)

    def __str__(self) -> str:
        return self.name

    @staticmethod
    def prefix() -> str:
        """What every dedup key of this console begins with."""
        row, _ = Installation.objects.get_or_create(pk=1, defaults={"name": uuid.uuid4().hex[:12]})
        return f"failover-console/{row.name}/"


class _WithoutSecrets(models.Manager["Destination"]):
    """Loads the encrypted columns only when they are asked for: a lost key of the ring must not take lists and forms along."""

    def get_queryset(self) -> models.QuerySet[Destination]:
        return super().get_queryset().defer("address", "key")


class Destination(models.Model):
    """A Slack channel, a PagerDuty service or a signed webhook.  Removal is soft: what was sent keeps its address's name."""

    name = models.CharField(max_length=80, validators=[seen])
    kind = models.CharField(max_length=10, choices=Kind)
    address = EncryptedTextField(blank=True, default="", help_text="Slack, webhook: the URL. Encrypted at rest; not shown again.")
    key = EncryptedTextField(
        blank=True,
        default="",
        help_text="PagerDuty: the routing key; webhook: the signing secret. Encrypted at rest; not shown again.",
    )
    base_url = models.CharField(
        "PagerDuty address",
        max_length=200,
        default=PAGERDUTY_URL,
        validators=[seen],
        help_text="Another host for EU accounts or a private relay.",
    )
    enabled = models.BooleanField(default=True)
    disabled_reason = models.CharField(max_length=300, blank=True, default="", editable=False)
    next_send_at = models.DateTimeField(null=True, editable=False)  # its rate, what its Retry-After asked, or its open circuit
    breaker = models.JSONField(null=True, editable=False)  # a snapshot of nodes.circuit; null: closed and new
    last_success_at = models.DateTimeField(null=True, editable=False)
    last_failure_at = models.DateTimeField(null=True, editable=False)
    last_failure = models.CharField(max_length=300, blank=True, default="", editable=False)
    failing_since = models.DateTimeField(null=True, editable=False)  # told that it accepts nothing, see services.destination_watch
    failing_why = models.CharField(max_length=300, default="", db_default="", editable=False)
    quiet_told = models.BooleanField(default=False, db_default=False, editable=False)  # told that it has accepted nothing for days
    # host -> connection errors in a row, and when the last one was (s): see services.precedence
    unreachable_from = models.JSONField(default=dict, db_default=models.Value({}, models.JSONField()), editable=False)
    created_at = models.DateTimeField(auto_now_add=True)
    edited_at = models.DateTimeField(null=True, editable=False)  # its address, key or switch
    leaving_at = models.DateTimeField(null=True, editable=False)  # it gets resolves alone, and is removed then
    leaving_by = models.CharField(max_length=150, default="", db_default="", editable=False)
    removed_at = models.DateTimeField(null=True, editable=False)

    objects = _WithoutSecrets()

    class Meta:
        ordering = ("name",)
        constraints = (
            models.UniqueConstraint(fields=("name",), condition=models.Q(removed_at=None), name="destination_name_unique"),
            *only_seen("destination", "name"),
        )

    def __str__(self) -> str:
        return self.name


def mask(secret: str) -> str:
    """What may be shown of a secret: its last four characters, and of an address its host."""
    if not secret:
        return ""
    host = urlsplit(secret).hostname if secret.startswith(("http://", "https://")) else ""
    return f"{host} …{secret[-SHOWN_LENGTH:]}".strip() if len(secret) > 4 * SHOWN_LENGTH else "set"


def masked_secret(destination: Destination, field: str) -> str:
    """`mask` of one encrypted field of a destination, or the sentence that it cannot be read."""
    try:
        found = Destination.objects.filter(pk=destination.pk).values_list(field, flat=True).first()
    except EncryptedTextUnreadableError as error:
        return str(error)
    return mask(found or "")


def origin(address: str) -> tuple[str, str, int | None]:
    """The server that an address leads to: scheme, host and port."""
    parts = urlsplit(address)
    return parts.scheme, parts.hostname or "", parts.port or {"http": 80, "https": 443}.get(parts.scheme)


def origin_of_address(destination: Destination) -> tuple[str, str, int | None] | None:
    """`origin` of the stored address; None when it cannot be read."""
    try:
        found = Destination.objects.filter(pk=destination.pk).values_list("address", flat=True).first()
    except EncryptedTextUnreadableError:
        return None
    return origin(found or "")


class Rule(models.Model):
    """Which events go to which destinations; every rule that matches applies, each destination is notified once."""

    name = models.CharField(max_length=80, unique=True, validators=[seen])
    enabled = models.BooleanField(default=True)
    order = models.PositiveIntegerField(default=100, help_text="Where it stands in the list.")
    severities = ArrayField(models.CharField(max_length=8, choices=AlertSeverity.choices))
    event_types = ArrayField(
        models.CharField(max_length=24, choices=EventType.choices), blank=True, default=list, help_text="None chosen: any type."
    )
    pool = models.ForeignKey(Pool, on_delete=models.CASCADE, null=True, blank=True, related_name="+", help_text="Empty: any pool.")
    tag = models.CharField(
        max_length=40, blank=True, default="", validators=[seen], help_text="Only nodes with this tag. Empty: any."
    )
    destination_kind = models.CharField(
        max_length=10,
        choices=Kind,
        blank=True,
        default="",
        help_text="Every enabled destination of this kind, when none is chosen below.",
    )
    destinations = models.ManyToManyField(Destination, blank=True, related_name="rules")
    wait = models.PositiveIntegerField(
        default=0,
        db_default=0,
        validators=[MaxValueValidator(LONGEST_WAIT)],
        help_text="Seconds from the beginning of a trouble to its first message; one that ends sooner sends nothing.",
    )

    class Meta:
        ordering = ("order", "name")
        constraints = only_seen("rule", "name", "tag")

    def __str__(self) -> str:
        return self.name

    @property
    def notifies(self) -> str:
        """Its destinations in words."""
        chosen = list(self.destinations.all())
        if not chosen:
            return f"every enabled destination of the kind {self.get_destination_kind_display()}"
        on = sorted(each.name for each in chosen if each.enabled and each.removed_at is None and each.leaving_at is None)
        return ", ".join(on) or "nobody: what it names is off or gone"


class Alert(models.Model):
    """What one destination was told by one key, so that each trigger gets its resolve; the rows mirror `alerts.keys.Key`."""

    destination = models.ForeignKey(Destination, on_delete=models.PROTECT, related_name="alerts")
    incident = models.ForeignKey(Incident, on_delete=models.PROTECT, null=True, related_name="alerts")
    subject = models.CharField(max_length=100)  # the trouble that opened it
    dedup_key = models.CharField(max_length=255)
    number = models.PositiveIntegerField(default=1, db_default=1)  # among the keys of its incident
    severity = models.CharField(max_length=8, choices=AlertSeverity.choices)
    # the troubles on it, each with the instant of its end (s) or null
    troubles = models.JSONField(default=dict, db_default=models.Value({}, models.JSONField()))
    nodes = ArrayField(models.BigIntegerField(), default=list)  # those whose loss of a share it was told of
    triggers = models.PositiveIntegerField(default=0)
    acknowledgements = models.PositiveIntegerField(default=0, db_default=0)
    resolves = models.PositiveIntegerField(default=0, db_default=0)
    acknowledged = models.BooleanField(default=False)
    not_before = models.DateTimeField(null=True)  # its first message waits until then
    opened_with = EncryptedTextField(blank=True, default="")  # the key that opened it: PagerDuty drops what comes by another
    opened_at = models.DateTimeField()
    resolved_at = models.DateTimeField(null=True)  # when its resolve was written

    class Meta:
        db_table = "alerts_page"  # as it was first called: a table in use is not renamed under what still reads it
        indexes = (
            models.Index(fields=("subject",), name="alert_subject"),
            models.Index(fields=("destination",), condition=models.Q(resolved_at=None), name="alert_open"),
        )
        constraints = (models.UniqueConstraint(fields=("destination", "dedup_key"), name="one_alert_per_key"),)

    def __str__(self) -> str:
        return f"{self.subject} at {self.destination_id}"


class DeadMansSwitch(models.Model):
    """The one row (id 1) of the dead man's switch: whether it is called just now, and how the last calls ended."""

    last_success_at = models.DateTimeField(null=True)
    last_error_at = models.DateTimeField(null=True)
    last_error = models.CharField(max_length=300, default="")
    failed_host = models.CharField(max_length=253, default="")  # whose call was the last one and failed
    calling_until = models.DateTimeField(null=True)

    class Meta:
        default_permissions = ()

    def __str__(self) -> str:
        return f"last called {self.last_success_at}"


class Notification(models.Model):
    """One message to one destination; sent again under the same `message_id` and `dedup_key` until it is answered."""

    class Status(models.TextChoices):
        PENDING = "pending", "waiting"
        LEASED = "leased", "being sent"
        DELIVERED = "delivered", "delivered"
        SUPERSEDED = "superseded", "superseded, never sent"
        DEAD = "dead", "given up"

    message_id = models.UUIDField(default=uuid.uuid4, unique=True)
    destination = models.ForeignKey(Destination, on_delete=models.PROTECT, related_name="notifications")
    alert = models.ForeignKey(Alert, on_delete=models.PROTECT, null=True, related_name="notifications", db_column="page_id")
    incident = models.ForeignKey(Incident, on_delete=models.PROTECT, null=True, related_name="notifications")
    event = models.ForeignKey(Event, on_delete=models.PROTECT, null=True, related_name="notifications")
    action = models.CharField(max_length=11, choices=Action)
    sequence = models.PositiveIntegerField(default=1)
    dedup_key = models.CharField(max_length=255)
    severity = models.CharField(max_length=8, choices=Severity.choices)
    payload = models.JSONField()  # see alerts.delivery.types; holds no secret
    requested_by = models.CharField(max_length=150, blank=True, default="")  # a test, or one sent again
    status = models.CharField(max_length=10, choices=Status, default=Status.PENDING)
    due_at = models.DateTimeField()
    attempts = models.PositiveIntegerField(default=0)
    repeats = models.PositiveIntegerField(default=0)  # sends after one that may have arrived
    may_have_arrived = models.BooleanField(default=False)
    lease_until = models.DateTimeField(null=True)
    lease_owner = models.UUIDField(null=True)
    created_at = models.DateTimeField()
    delivered_at = models.DateTimeField(null=True)
    outcome = models.CharField(max_length=300, blank=True, default="")  # the last one, in words

    class Meta:
        ordering = ("-created_at", "-pk")
        indexes = (
            models.Index(
                fields=("destination", "dedup_key"),
                condition=models.Q(status__in=("pending", "leased")),
                name="notification_unfinished",
            ),
            models.Index(fields=("-created_at",), name="notification_created"),
        )
        constraints = (
            models.UniqueConstraint(fields=("destination", "dedup_key", "action", "sequence"), name="one_notification_per_intent"),
        )

    def __str__(self) -> str:
        return f"{self.action} {self.dedup_key} to {self.destination_id}: {self.status}"

    def get_absolute_url(self) -> str:
        return reverse("alerts:notification", args=[self.pk])

    @property
    def tone(self) -> str:
        """The class of its state on a page."""
        return {"delivered": "ok", "superseded": "idle", "dead": "bad"}.get(self.status, "turn")


class Attempt(models.Model):
    """One attempt to send a notification."""

    class Outcome(models.TextChoices):
        ACCEPTED = "accepted", "accepted"
        RETRY = "retry", "to be repeated"
        REFUSED = "refused", "refused"
        LOST = "lost", "no record: the sender died, or the answer came too late"

    notification = models.ForeignKey(Notification, on_delete=models.CASCADE, related_name="tries")
    at = models.DateTimeField()
    outcome = models.CharField(max_length=8, choices=Outcome)
    ambiguous = models.BooleanField(default=False)
    status_code = models.PositiveSmallIntegerField(null=True)
    message = models.CharField(max_length=300, blank=True, default="")
    duration = models.FloatField(null=True)  # seconds

    class Meta:
        ordering = ("at", "pk")

    def __str__(self) -> str:
        return f"{self.outcome} at {self.at}"

    @property
    def tone(self) -> str:
        """The class of its outcome on a page."""
        return {"accepted": "ok", "refused": "bad"}.get(self.outcome, "warn")
