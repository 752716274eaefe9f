"""API tokens of programs: scoped, bound to pools or explicitly to none, stored hashed, shown once."""

from __future__ import annotations

import re
import secrets
from datetime import datetime, timedelta
from hashlib import sha256
from hmac import compare_digest
from typing import NamedTuple

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q

from nodes.models.inventory import Pool
from nodes.models.names import only_seen, seen

GOOD_FOR = timedelta(days=365)  # unless another instant is chosen
LONGEST = timedelta(days=730)  # or never, which is chosen as such
SOON = timedelta(days=14)  # before its end a token is shown as ending

_TOKEN = re.compile(r"fc_(?P<key>[0-9a-f]{16})_(?P<secret>[A-Za-z0-9_-]{1,200})")


class Scope(models.TextChoices):
    SHARES = "shares", "read the shares of pools"
    OUTCOMES = "outcomes", "report how calls to a node ended"
    METRICS = "metrics", "read metrics"


class Presented(NamedTuple):
    """What a program showed: the key finds the row, the digest of the secret proves it (256 random bits need no slow hash)."""

    key: str
    digest: str

    def is_of(self, digest: str) -> bool:
        return compare_digest(self.digest, digest)


def presented(text: str) -> Presented | None:
    """`fc_<key>_<secret>` taken apart; None for what is no token."""
    parts = _TOKEN.fullmatch(text)
    return Presented(parts["key"], _digest(parts["secret"])) if parts else None


def _digest(secret: str) -> str:
    return sha256(secret.encode()).hexdigest()


class ApiToken(models.Model):
    """Who may ask what of which pools.  While it is rotated the secret before works beside the new one, until `previous_until`."""

    name = models.CharField(max_length=80, validators=[seen], help_text="Who uses it, for example the name of the load balancer.")
    scopes = ArrayField(models.CharField(max_length=10, choices=Scope))
    every_pool = models.BooleanField(default=True, db_default=True, help_text="Also pools that are added later.")
    pools = models.ManyToManyField(Pool, blank=True, related_name="+", help_text="It is refused for every other pool.")
    key = models.CharField(max_length=16, unique=True, editable=False)
    digest = models.CharField(max_length=64, editable=False)
    previous_key = models.CharField(max_length=16, unique=True, null=True, editable=False)  # noqa: DJ001 - unique where there is one
    previous_digest = models.CharField(max_length=64, default="", db_default="", editable=False)
    previous_until = models.DateTimeField(null=True, editable=False)
    previous_used_at = models.DateTimeField(null=True, editable=False)
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, editable=False)
    created_at = models.DateTimeField(auto_now_add=True)
    rotated_at = models.DateTimeField(null=True, editable=False)
    expires_at = models.DateTimeField(null=True, blank=True)
    last_used_at = models.DateTimeField(null=True, editable=False)
    last_used_from = models.CharField(max_length=45, default="", db_default="", editable=False)
    revoked_at = models.DateTimeField(null=True, blank=True, editable=False)

    class Meta:
        ordering = ("name",)
        verbose_name = "API token"
        constraints = only_seen("token", "name")

    def __str__(self) -> str:
        return self.name

    def issue(self) -> str:
        """Fill key and digest; returns the whole token, which cannot be read again."""
        self.key, secret = secrets.token_hex(8), secrets.token_urlsafe(32)
        self.digest = _digest(secret)
        return f"fc_{self.key}_{secret}"

    def rotate(self, now: datetime, overlap: timedelta) -> str:
        """A new secret beside the present one, which works on for `overlap`; one before that ends at once.  Saves."""
        former = (self.key, self.digest) if overlap else (None, "")
        self.previous_key, self.previous_digest = former
        self.previous_until = now + overlap if overlap else None
        self.previous_used_at = self.last_used_at if overlap else None
        self.rotated_at, self.last_used_at, self.last_used_from = now, None, ""
        whole = self.issue()
        self.save(
            update_fields=[
                "key", "digest", "previous_key", "previous_digest", "previous_until", "previous_used_at", "rotated_at",
                "last_used_at", "last_used_from",
            ]
        )  # fmt: skip  # names beside names
        return whole

    def forget_previous(self) -> None:
        """The secret before the present one works no more.  Saves."""
        self.previous_key, self.previous_digest, self.previous_until, self.previous_used_at = None, "", None, None
        self.save(update_fields=["previous_key", "previous_digest", "previous_until", "previous_used_at"])

    def overlaps(self, now: datetime) -> bool:
        """Whether two secrets work."""
        return self.previous_until is not None and self.previous_until > now and self.works(now)

    def works(self, now: datetime) -> bool:
        return self.revoked_at is None and (self.expires_at is None or self.expires_at > now)

    def ends_soon(self, now: datetime) -> bool:
        return self.works(now) and self.expires_at is not None and self.expires_at - now < SOON

    @staticmethod
    def working(now: datetime) -> Q:
        """Of a query: those that are not refused."""
        return Q(Q(expires_at=None) | Q(expires_at__gt=now), revoked_at=None)
