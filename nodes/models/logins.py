"""What failed log-ins leave behind: how long the next try has to wait, and how many there were."""

from __future__ import annotations

from django.db import models


class LoginDelay(models.Model):
    """One bucket: an account, a device of an account, an address, or codes of an account; its key is a digest of that."""

    key = models.CharField(max_length=64, primary_key=True)
    failures = models.IntegerField()  # tries that have not succeeded; one is counted before its hash
    failed_at = models.DateTimeField()
    free_at = models.DateTimeField(db_index=True)  # no try before

    def __str__(self) -> str:
        return f"{self.failures} failures, free at {self.free_at}"


class LoginFailure(models.Model):
    """Failed log-ins of one account from one address in one minute; `told`: how many of them events count."""

    account = models.CharField(max_length=150, blank=True)  # empty: a name that nobody has
    address = models.CharField(max_length=45)
    minute = models.DateTimeField()
    count = models.IntegerField()
    told = models.IntegerField(default=0)

    class Meta:
        constraints = (models.UniqueConstraint(fields=("minute", "account", "address"), name="one_row_of_failures_a_minute"),)

    def __str__(self) -> str:
        return f"{self.count} failures of {self.account} from {self.address}"
