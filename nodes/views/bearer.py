"""Authentication of the API: a session, or a bearer token with the scope, refused as RFC 6750 says."""

from __future__ import annotations

from django.http import HttpRequest, JsonResponse
from django.utils import timezone

from nodes.models import ApiToken, Scope


def refusal(request: HttpRequest, scope: Scope, *, session: bool = True) -> JsonResponse | None:
    """None for those who may; else 401 (no valid token) or 403 (a token without `scope`), with the reason as JSON.

    A token decides alone, also beside a session; what changes something takes no `session`.
    """
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    if session and not scheme and request.user.is_authenticated:
        return None
    if scheme.lower() != "bearer":
        return _refused(401, f"a bearer token with the scope {scope} is needed", "")
    known = ApiToken.known(token.strip(), timezone.now())
    if known is None:
        return _refused(401, "this bearer token is unknown, revoked or expired", ' error="invalid_token"')
    if scope not in known.scopes:
        return _refused(403, f"this bearer token lacks the scope {scope}", f' error="insufficient_scope", scope="{scope}"')
    return None


def _refused(status: int, sentence: str, error: str) -> JsonResponse:
    return JsonResponse({"error": sentence}, status=status, headers={"WWW-Authenticate": f"Bearer{error}"})
