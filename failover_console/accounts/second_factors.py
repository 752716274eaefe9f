"""What django-allauth asks the console for about second factors: how secrets are kept, and how things are named."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from allauth.mfa.adapter import DefaultMFAAdapter
from allauth.mfa.models import Authenticator
from django.conf import settings
from django.contrib.auth.models import User

from failover_console.accounts.requirement import is_required
from nodes.models.encrypted import decrypt, encrypt

NAME = "Failover console"
PROVING = (Authenticator.Type.TOTP, Authenticator.Type.WEBAUTHN)  # recovery codes alone are no second factor


class SecondFactorAdapter(DefaultMFAAdapter):  # type: ignore[misc]  # allauth ships no types
    """Secrets of authenticator apps and the seeds of recovery codes are encrypted by the console's key ring."""

    error_messages = {
        **DefaultMFAAdapter.error_messages,
        "incorrect_code": "This passkey was not accepted.",
        "cannot_delete_authenticator": "Your role needs a second factor: add another one before you remove this.",
    }

    def encrypt(self, text: str) -> str:
        return encrypt(text)

    def decrypt(self, encrypted_text: str) -> str:
        return decrypt(encrypted_text)

    def get_totp_label(self, user: User) -> str:
        return user.get_username()

    def get_totp_issuer(self) -> str:
        return f"{NAME} {urlsplit(settings.PUBLIC_URL).hostname}"

    def can_delete_authenticator(self, authenticator: Authenticator) -> bool:
        """The last second factor stays where one is required."""
        others = Authenticator.objects.filter(user_id=authenticator.user_id, type__in=PROVING).exclude(pk=authenticator.pk)
        return not is_required(authenticator.user) or others.exists()

    def generate_authenticator_name(self, user: User, type: Authenticator.Type) -> str:  # noqa: A002 - allauth's name
        return f"Passkey {Authenticator.objects.filter(user_id=user.pk, type=type).count() + 1}"

    def get_public_key_credential_rp_entity(self) -> dict[str, str]:
        """By the public name, never by what a Host header says."""
        return {"id": urlsplit(settings.PUBLIC_URL).hostname or "", "name": NAME}

    def get_public_key_credential_user_entity(self, user: User) -> dict[str, Any]:
        return {
            **super().get_public_key_credential_user_entity(user),
            "display_name": user.get_username(),
            "name": user.get_username(),
        }
