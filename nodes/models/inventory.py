"""Pools, nodes and the policies they follow, as an admin edits them.

Live state is kept elsewhere (`state.py`), so saving a form here can never reset it.
"""

from __future__ import annotations

from django.contrib.postgres.fields import ArrayField
from django.core.validators import MaxValueValidator, MinValueValidator, RegexValidator
from django.db import models
from django.urls import reverse

from nodes.engine import enums, types
from nodes.engine.breaker_policy import opens_after
from nodes.models.names import only_seen, seen

_AT_LEAST_ONE = MinValueValidator(1)
_NOT_NEGATIVE = MinValueValidator(0)
_TENTH = MinValueValidator(0.1)


class Strategy(models.TextChoices):
    WEIGHTED = enums.Strategy.WEIGHTED, "Weighted: every eligible node serves by its weight"
    ACTIVE_PASSIVE = enums.Strategy.ACTIVE_PASSIVE, "Active/passive: one tier serves, the next stands by"


class Failback(models.TextChoices):
    AUTOMATIC = enums.Failback.AUTOMATIC, "Automatic, after the failback delay"
    MANUAL = enums.Failback.MANUAL, "Manual: notify once that it is due, then wait"


class PageOn(models.TextChoices):
    EVERY_FAILURE = enums.PageOn.EVERY_FAILURE, "Every failure that takes a share, at once"
    IMPACT = enums.PageOn.IMPACT, "Impact: 30 s later, unless another node is known to serve"


class BreakerPolicy(models.Model):
    """When a node's circuit breaker opens and how it heals; durations in seconds."""

    name = models.CharField(max_length=80, unique=True, validators=[seen])
    failure_threshold = models.PositiveIntegerField(
        default=5,
        null=True,
        blank=True,
        validators=[_AT_LEAST_ONE],
        help_text="Consecutive failures that open the breaker. Empty: only the rates open it.",
    )
    success_threshold = models.PositiveIntegerField(
        default=2, validators=[_AT_LEAST_ONE], help_text="Successful trials that close it again."
    )
    timeout = models.FloatField(default=30.0, validators=[_NOT_NEGATIVE], help_text="Seconds it stays open before a trial.")
    max_requests = models.PositiveIntegerField(
        default=1,
        validators=[_AT_LEAST_ONE],
        help_text="Trials in flight at a time: the most calls that a load balancer may have open to a node on trial.",
    )
    timeout_multiplier = models.FloatField(
        default=1.0, validators=[MinValueValidator(1.0)], help_text="Each reopening waits this many times longer."
    )
    max_timeout = models.FloatField(
        null=True, blank=True, help_text="Longest wait in seconds. Empty: 300, or the timeout if that is longer."
    )
    jitter = models.FloatField(
        default=0.0,
        validators=[_NOT_NEGATIVE, MaxValueValidator(1.0)],
        help_text="Random addition to the wait, up to this part of it (0 to 1), so that breakers do not all try at once.",
    )
    trial_timeout = models.FloatField(
        default=60.0,
        validators=[_TENTH],
        help_text="Seconds after which an unreported trial counts as failed. Checks and reported calls never wait for it.",
    )
    failure_rate = models.FloatField(
        null=True,
        blank=True,
        help_text="Part of the calls in the window (above 0, up to 1) that opens it when it failed. Empty: off.",
    )
    slow_call_rate = models.FloatField(
        null=True,
        blank=True,
        help_text="Part of the calls in the window (above 0, up to 1) that opens it when it was slow. Empty: off.",
    )
    slow_call_duration = models.FloatField(
        null=True, blank=True, validators=[_NOT_NEGATIVE], help_text="Seconds; a call that took longer was slow."
    )
    window_calls = models.PositiveIntegerField(
        null=True,
        blank=True,
        validators=[_AT_LEAST_ONE, MaxValueValidator(1000)],
        help_text="The rates look at so many last calls…",
    )
    window_seconds = models.FloatField(
        null=True, blank=True, validators=[_TENTH], help_text="…or at the calls of so many last seconds. Give one of the two."
    )
    minimum_calls = models.PositiveIntegerField(
        default=10, validators=[_AT_LEAST_ONE], help_text="Calls that must be in the window before a rate counts."
    )

    class Meta:
        verbose_name_plural = "breaker policies"
        ordering = ("name",)
        constraints = only_seen("breaker_policy", "name")

    def __str__(self) -> str:
        return self.name

    def value(self) -> types.BreakerPolicy:
        """The policy as the engine takes it."""
        return types.BreakerPolicy(**{name: getattr(self, name) for name in types.BreakerPolicy.__dataclass_fields__})

    @property
    def opens_after(self) -> str:
        """What opens the breaker, in words."""
        return opens_after(self.value())


class FailoverPolicy(models.Model):
    """How often nodes are checked, when they count as failed, and which guards block automation; durations in seconds."""

    name = models.CharField(max_length=80, unique=True, validators=[seen])
    interval = models.FloatField(default=10.0, validators=[_TENTH], help_text="Seconds from the start of one check to the next.")
    fast_interval = models.FloatField(
        null=True, blank=True, validators=[_TENTH], help_text="While failures are counted. Empty: the interval, 2 s at the most."
    )
    down_interval = models.FloatField(null=True, blank=True, validators=[_TENTH], help_text="While failed. Empty: the interval.")
    check_timeout = models.FloatField(
        null=True, blank=True, validators=[_TENTH], help_text="Must be below the interval. Empty: half of it, 5 s at the most."
    )
    failure_threshold = models.PositiveIntegerField(
        default=3, validators=[_AT_LEAST_ONE], help_text="Failing checks in a row that mark a node failed."
    )
    recovery_threshold = models.PositiveIntegerField(
        default=2, validators=[_AT_LEAST_ONE], help_text="Good checks in a row that bring it back."
    )
    degraded_latency = models.FloatField(
        null=True,
        blank=True,
        validators=[MinValueValidator(0.001)],
        help_text="A slower answer, in seconds, is a warning. Empty: off.",
    )
    panic_threshold = models.FloatField(
        default=0.0,
        validators=[_NOT_NEGATIVE, MaxValueValidator(1.0)],
        help_text="Shares stay where they are if fewer than this part (0 to 1) of the nodes would be left. 0: off.",
    )
    max_failed_percent = models.PositiveIntegerField(
        default=100,
        validators=[MaxValueValidator(100)],
        help_text="Automation takes out no more than this percentage of the nodes; one is always allowed.",
    )
    cooldown = models.FloatField(
        default=0.0,
        validators=[_NOT_NEGATIVE],
        help_text="Seconds after an automatic failover before the next; an acknowledgement lifts it.",
    )
    failback = models.CharField(max_length=10, choices=Failback, default=Failback.AUTOMATIC)
    failback_delay = models.FloatField(
        default=60.0,
        validators=[_NOT_NEGATIVE],
        help_text="Seconds a better tier must be eligible without a break before traffic returns.",
    )
    auto_rebalance = models.BooleanField(default=True, help_text="Bring shares back to the weights from time to time.")
    rebalance_interval = models.FloatField(default=300.0, validators=[MinValueValidator(1.0)])
    slow_start = models.FloatField(
        default=0.0,
        validators=[_NOT_NEGATIVE],
        help_text="Seconds over which a node that became eligible gets its share back, in ten steps. 0: at once.",
    )
    flapping_within = models.FloatField(
        default=600.0,
        db_default=600.0,
        validators=[_NOT_NEGATIVE],
        help_text="Seconds: a node that fails so soon after its recovery flaps, until it was quiet for as long. 0: off.",
    )
    heal_unreported_after = models.FloatField(
        default=3600.0,
        db_default=3600.0,
        null=True,
        blank=True,
        validators=[_NOT_NEGATIVE],
        help_text="Seconds a half-open breaker waits for calls; then checks count as its trials. Empty: it waits on.",
    )
    page_on = models.CharField(
        max_length=13,
        choices=PageOn,
        default=PageOn.EVERY_FAILURE,
        db_default=PageOn.EVERY_FAILURE,
        help_text="When a failure is critical: at its beginning, or once its traffic is not known to be served.",
    )

    class Meta:
        verbose_name_plural = "failover policies"
        ordering = ("name",)
        constraints = only_seen("failover_policy", "name")

    def __str__(self) -> str:
        return self.name

    def in_force(self, node: Node | None = None) -> types.HealthPolicy:
        """How a node is checked, as the engine takes it: what the node overrides, else this policy."""
        chosen = {name: getattr(node, name, None) for name in types.HealthPolicy.__dataclass_fields__}
        return types.HealthPolicy(**{name: getattr(self, name) if value is None else value for name, value in chosen.items()})


class Pool(models.Model):
    """Nodes that serve the same traffic."""

    name = models.CharField(max_length=80, unique=True, validators=[seen])
    slug = models.SlugField(max_length=80, unique=True, help_text="The name in addresses and in the shares API.")
    strategy = models.CharField(max_length=20, choices=Strategy, default=Strategy.WEIGHTED)
    breaker_policy = models.ForeignKey(BreakerPolicy, on_delete=models.PROTECT, related_name="pools")
    failover_policy = models.ForeignKey(FailoverPolicy, on_delete=models.PROTECT, related_name="pools")
    runbook = models.URLField(blank=True, help_text="Where the person on call reads what to do; sent with every alert.")
    removed_at = models.DateTimeField(null=True, blank=True, editable=False)

    class Meta:
        ordering = ("name",)
        constraints = only_seen("pool", "name")

    def __str__(self) -> str:
        return self.name

    def get_absolute_url(self) -> str:
        return reverse("nodes:pool", args=[self.slug])


class Node(models.Model):
    """One address to check.  The last seven fields override the pool's failover policy when they are filled."""

    pool = models.ForeignKey(Pool, on_delete=models.PROTECT, related_name="nodes")
    name = models.CharField(max_length=80, validators=[seen])
    address = models.CharField(max_length=253, validators=[seen], help_text="Host name or IP address, without a scheme.")
    port = models.PositiveIntegerField(default=443, validators=[_AT_LEAST_ONE, MaxValueValidator(65_535)])
    weight = models.PositiveIntegerField(
        default=100, validators=[MaxValueValidator(10_000)], help_text="Relative to the other nodes; 0 never receives traffic."
    )
    priority = models.PositiveIntegerField(
        default=1, validators=[_AT_LEAST_ONE], help_text="Tier of an active/passive pool; 1 serves first."
    )
    capacity = models.FloatField(
        null=True,
        blank=True,
        validators=[MinValueValidator(0.001)],
        help_text="What it can carry, in the unit of the load reported for it; 80 % warns. Empty: load is only shown.",
    )
    zone = models.CharField(max_length=80, blank=True, validators=[seen])
    tags = ArrayField(
        models.CharField(max_length=40, validators=[RegexValidator(r"^[\w.:-]+\Z", "A tag is letters, digits and . : _ -"), seen]),
        blank=True,
        default=list,
        help_text="Comma-separated; alert rules can select by tag.",
    )
    interval = models.FloatField(null=True, blank=True, validators=[_TENTH])
    fast_interval = models.FloatField(null=True, blank=True, validators=[_TENTH])
    down_interval = models.FloatField(null=True, blank=True, validators=[_TENTH])
    check_timeout = models.FloatField(null=True, blank=True, validators=[_TENTH])
    failure_threshold = models.PositiveIntegerField(null=True, blank=True, validators=[_AT_LEAST_ONE])
    recovery_threshold = models.PositiveIntegerField(null=True, blank=True, validators=[_AT_LEAST_ONE])
    degraded_latency = models.FloatField(null=True, blank=True, validators=[MinValueValidator(0.001)])
    created_at = models.DateTimeField(auto_now_add=True)
    removed_at = models.DateTimeField(null=True, blank=True, editable=False)

    class Meta:
        ordering = ("pool__name", "priority", "name")
        permissions = (("operate", "Can act on nodes, pools and incidents"),)
        constraints = (
            models.UniqueConstraint(fields=("pool", "name"), condition=models.Q(removed_at=None), name="node_name_unique_in_pool"),
            *only_seen("node", "name", "zone"),
        )

    def __str__(self) -> str:
        return self.name

    def get_absolute_url(self) -> str:
        return reverse("nodes:node", args=[self.pk])
