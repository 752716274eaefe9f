"""API tokens of programs: scoped, stored hashed, shown once."""

from __future__ import annotations

import re
import secrets
from datetime import datetime, timedelta
from hashlib import sha256
from hmac import compare_digest

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.db import models

_TOKEN = re.compile(r"fc_(?P<key>[0-9a-f]{16})_(?P<secret>[A-Za-z0-9_-]+)")


class Scope(models.TextChoices):
    SHARES = "shares", "read the shares of pools"
    OUTCOMES = "outcomes", "report how calls to a node ended"
    METRICS = "metrics", "read metrics"


def _digest(secret: str) -> str:
    return sha256(secret.encode()).hexdigest()


class ApiToken(models.Model):
    """`fc_<key>_<secret>`: the key finds the row, the digest of the secret proves it (256 random bits need no slow hash)."""

    name = models.CharField(max_length=80, help_text="Who uses it, for example the name of the load balancer.")
    scopes = ArrayField(models.CharField(max_length=10, choices=Scope))
    key = models.CharField(max_length=16, unique=True, editable=False)
    digest = models.CharField(max_length=64, editable=False)
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, editable=False)
    created_at = models.DateTimeField(auto_now_add=True)
    expires_at = models.DateTimeField(null=True, blank=True, help_text="Empty: never.")
    last_used_at = models.DateTimeField(null=True, editable=False)
    revoked_at = models.DateTimeField(null=True, blank=True, editable=False)

    class Meta:
        ordering = ("name",)
        verbose_name = "API token"

    def __str__(self) -> str:
        return self.name

    def issue(self) -> str:
        """Fill key and digest; returns the whole token, which cannot be read again."""
        self.key, secret = secrets.token_hex(8), secrets.token_urlsafe(32)
        self.digest = _digest(secret)
        return f"fc_{self.key}_{secret}"

    def proves(self, secret: str) -> bool:
        return compare_digest(self.digest, _digest(secret))

    @staticmethod
    def known(text: str, now: datetime) -> ApiToken | None:
        """The token that `text` is, if it is valid now, whatever its scopes; its use is noted once a minute."""
        parts = _TOKEN.fullmatch(text)
        token = ApiToken.objects.filter(key=parts["key"], revoked_at=None).first() if parts else None
        if parts is None or token is None or not token.proves(parts["secret"]):
            return None
        if token.expires_at is not None and token.expires_at <= now:
            return None
        if token.last_used_at is None or now - token.last_used_at > timedelta(minutes=1):
            ApiToken.objects.filter(pk=token.pk).update(last_used_at=now)
        return token
