"""Bearer tokens for programs: shown once, revoked and never deleted."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone

from nodes import operations
from nodes.admin.edits import RecordsEdits
from nodes.forms.effects import AnyForm
from nodes.forms.tokens import ApiTokenForm
from nodes.models import ApiToken


@admin.action(description="Revoke: refused from now on", permissions=["change"])
def revoke(modeladmin: Any, request: HttpRequest, queryset: QuerySet[ApiToken]) -> None:
    actor, now = request.user.get_username(), timezone.now()
    revoked = 0
    for token in queryset.filter(revoked_at=None):
        if ApiToken.objects.filter(pk=token.pk, revoked_at=None).update(revoked_at=now):
            operations.configuration_saved(token, actor=actor, before={"revoked": "no"}, after={"revoked": "yes"})
            revoked += 1
    messages.success(request, f"Tokens revoked: {revoked}.")


@admin.register(ApiToken)
class ApiTokenAdmin(RecordsEdits):
    form = ApiTokenForm
    fields = ("name", "scopes", "expires_at")
    list_display = ("name", "scope_list", "key", "created_by", "created_at", "expires_at", "last_used_at", "revoked_at")
    list_select_related = ("created_by",)
    list_filter = (("revoked_at", admin.EmptyFieldListFilter),)
    search_fields = ("name", "key")
    actions = (revoke,)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def save_model(self, request: HttpRequest, obj: Any, form: AnyForm, change: bool) -> None:
        if change:
            super().save_model(request, obj, form, change)
            return
        whole = obj.issue()
        obj.created_by = request.user
        obj.save()
        messages.warning(request, f"The token is shown only now: {whole}")

    @admin.display(description="scopes")
    def scope_list(self, token: ApiToken) -> str:
        return ", ".join(token.scopes)
