"""Text that is encrypted at rest: request headers with keys in them, webhook addresses, routing keys.

The key ring is `settings.ENCRYPTION_KEYS` (Fernet keys, the first one encrypts, all of them decrypt), kept outside
the database so that a dump holds no secret.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from django.conf import settings
from django.db import models


class EncryptedTextUnreadableError(Exception):
    """A stored secret cannot be decrypted: put the key that encrypted it back into ENCRYPTION_KEYS, or enter the secret again."""


@lru_cache(maxsize=4)
def _ring(keys: tuple[str, ...]) -> MultiFernet:
    return MultiFernet([Fernet(key) for key in keys])


def encrypt(text: str) -> str:
    """Encrypt `text` with the first key of the ring; empty stays empty."""
    return _ring(tuple(settings.ENCRYPTION_KEYS)).encrypt(text.encode()).decode() if text else ""


def decrypt(stored: str) -> str:
    """Decrypt what `encrypt` made; raises `EncryptedTextUnreadableError` when no key of the ring fits."""
    if not stored:
        return ""
    try:
        return _ring(tuple(settings.ENCRYPTION_KEYS)).decrypt(stored.encode()).decode()
    except InvalidToken:
        raise EncryptedTextUnreadableError(EncryptedTextUnreadableError.__doc__) from None


class EncryptedTextField(models.TextField):  # type: ignore[type-arg]  # generic only for the type checker
    """A text column that holds ciphertext; the attribute holds the plain text."""

    def from_db_value(self, value: str | None, *_: Any) -> str | None:
        return None if value is None else decrypt(value)

    def get_prep_value(self, value: Any) -> Any:
        return None if value is None else encrypt(str(value))
