"""How a node is checked, as an admin edits it; secrets are encrypted at rest."""

from __future__ import annotations

import secrets
from hashlib import sha256

from django.core.validators import MaxValueValidator, MinValueValidator, RegexValidator
from django.db import models

from nodes.models.encrypted import EncryptedTextField
from nodes.models.inventory import Node
from nodes.models.names import seen


class CheckKind(models.TextChoices):
    HTTP = "http", "HTTP request"
    TCP = "tcp", "TCP connection"
    TLS = "tls", "TLS handshake and certificate"
    PUSH = "push", "Push: the node sends heartbeats"
    COMPOSITE = "composite", "Composite: counts the node's other checks"


class Quorum(models.TextChoices):
    ALL = "all", "all must pass"
    ANY = "any", "any one is enough"
    MAJORITY = "majority", "more than half must pass"


class JsonOperator(models.TextChoices):
    EQ = "eq", "="
    NE = "ne", "≠"
    LT = "lt", "<"
    LE = "le", "≤"
    GT = "gt", ">"
    GE = "ge", "≥"


class Check(models.Model):
    """How a node is checked.

    A node has one check; or one `composite` and, beside it, the children that it counts.
    """

    node = models.ForeignKey(Node, on_delete=models.CASCADE, related_name="checks")
    kind = models.CharField(max_length=10, choices=CheckKind, default=CheckKind.HTTP)
    port = models.PositiveIntegerField(
        null=True, blank=True, validators=[MinValueValidator(1), MaxValueValidator(65_535)], help_text="Empty: the node's port."
    )
    use_tls = models.BooleanField("https", default=False)
    method = models.CharField(max_length=10, default="GET", choices=[(m, m) for m in ("GET", "HEAD", "POST", "OPTIONS")])
    path = models.CharField(
        max_length=500, default="/", validators=[RegexValidator(r"^/[!-~]*\Z", "A path begins with / and has no spaces.")]
    )
    headers = EncryptedTextField(blank=True, default="", help_text="One “Name: value” a line. Encrypted at rest; not shown again.")
    body = models.TextField(blank=True, max_length=10_000)
    expected_status = models.CharField(max_length=100, default="200-299", validators=[seen], help_text="For example 200-299,301.")
    warn_status = models.CharField(
        max_length=100,
        default="429",
        db_default="429",
        blank=True,
        validators=[seen],
        help_text="A warning instead of a failure, for example 429,500-503. Empty: none.",
    )
    body_contains = models.CharField(max_length=200, blank=True, help_text="Text that the answer's first 64 KiB must hold.")
    body_excludes = models.CharField(max_length=200, blank=True, db_default="", help_text="Text that they must not hold.")
    body_matches = models.CharField(
        "body matches", max_length=200, blank=True, db_default="", help_text="A regular expression that they must match."
    )
    json_path = models.CharField(
        "JSON path",
        max_length=200,
        blank=True,
        db_default="",
        validators=[seen],
        help_text="To one value, for example $.checks[0].status.",
    )
    json_operator = models.CharField("JSON operator", max_length=2, choices=JsonOperator, default=JsonOperator.EQ, db_default="eq")
    json_value = models.CharField(
        "JSON value",
        max_length=200,
        blank=True,
        db_default="",
        help_text="What the value there is compared with: ok, 3.5, true, null.",
    )
    strict = models.BooleanField(
        default=False,
        db_default=False,
        help_text="The answer must be HTTP to the letter, and end. Else what clients take is one.",
    )
    follow_redirects = models.BooleanField(default=False)
    verify_tls = models.BooleanField("verify TLS", default=True)
    server_name = models.CharField(
        max_length=253, blank=True, validators=[seen], help_text="Name for TLS and Host. Empty: the address."
    )
    authorities = models.TextField(
        "certificate authorities",
        blank=True,
        default="",
        db_default="",
        max_length=50_000,
        help_text="Certificates in PEM that are trusted too, of a private authority. CHECK_CA_FILE is for all checks.",
    )
    client_certificate = models.TextField(
        blank=True, default="", db_default="", max_length=50_000, help_text="In PEM, with those between it and its authority."
    )
    client_key = EncryptedTextField(blank=True, default="", db_default="", help_text="In PEM. Encrypted at rest; not shown again.")
    certificate_days = models.PositiveIntegerField(default=14, help_text="Warn when the certificate has fewer days left.")
    grace = models.FloatField(
        default=5.0, validators=[MinValueValidator(0)], help_text="Push: seconds without a heartbeat allowed beyond the interval."
    )
    push_digest = models.CharField(max_length=64, blank=True, editable=False)
    quorum = models.CharField(max_length=10, choices=Quorum, default=Quorum.ALL)

    class Meta:
        ordering = ("pk",)
        constraints = (
            models.UniqueConstraint(fields=("node",), condition=models.Q(kind="composite"), name="one_composite_per_node"),
        )

    def __str__(self) -> str:
        return f"{self.get_kind_display()} of {self.node}"

    def new_push_secret(self) -> str:
        """Make and store (hashed) a new secret for this push check; it is shown once and cannot be read again."""
        secret = secrets.token_urlsafe(24)
        self.push_digest = push_digest(secret)
        return secret


def push_digest(secret: str) -> str:
    """What is stored of a push secret: SHA-256, enough for 192 random bits."""
    return sha256(secret.encode()).hexdigest()
