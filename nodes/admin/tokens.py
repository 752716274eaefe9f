"""Bearer tokens for programs: shown once, rotated with an overlap, revoked and never deleted."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import URLPattern, path, reverse
from django.utils import timezone

from nodes.access_changes import account_changed, address_of
from nodes.admin.beside import Beside
from nodes.admin.display import badge
from nodes.admin.edits import RecordsAccess
from nodes.forms.effects import AnyForm
from nodes.forms.tokens import OVERLAPS, ApiTokenForm, RotationForm
from nodes.models import ApiToken


def _did(request: HttpRequest, what: str, token: ApiToken) -> None:
    actor = request.user.get_username()
    account_changed(f"{actor} {what} API token {token}", actor=actor, address=address_of(request))


def _each(request: HttpRequest, chosen: QuerySet[ApiToken], change: Callable[[ApiToken], bool], what: str) -> int:
    """Change the chosen tokens one by one, each in a transaction with its event; how many there were to change."""
    changed = 0
    for pk in chosen.values_list("pk", flat=True):
        with transaction.atomic():
            token = ApiToken.objects.select_for_update().get(pk=pk)
            if change(token):
                _did(request, what, token)
                changed += 1
    return changed


def _revoke(token: ApiToken) -> bool:
    if token.revoked_at is not None:
        return False
    token.revoked_at = timezone.now()
    token.save(update_fields=["revoked_at"])
    return True


def _end_overlap(token: ApiToken) -> bool:
    if token.previous_key is None:
        return False
    token.forget_previous()
    return True


@admin.action(description="Revoke: refused from now on", permissions=["change"])
def revoke(modeladmin: Any, request: HttpRequest, queryset: QuerySet[ApiToken]) -> None:
    messages.success(request, f"Tokens revoked: {_each(request, queryset, _revoke, 'revoked')}.")


@admin.action(description="End the overlap: the secret before the rotation is refused from now on", permissions=["change"])
def end_overlap(modeladmin: Any, request: HttpRequest, queryset: QuerySet[ApiToken]) -> None:
    ended = _each(request, queryset, _end_overlap, "ended the former secret of")
    messages.success(request, f"Former secrets ended: {ended}.")


@admin.register(ApiToken)
class ApiTokenAdmin(Beside, RecordsAccess):
    form = ApiTokenForm
    fields = ("name", "scopes", "every_pool", "pools", "expires_at", "never_expires")
    told_fields = ("Scopes", "Every pool", "Pools", "Expires at", "Never expires")
    what_for = "For programs: load balancers that read shares, callers that report outcomes, Prometheus. One token for each."
    list_display = (
        "name",
        "state",
        "scope_list",
        "bound_to",
        "expires_at",
        "last_used_at",
        "last_used_from",
        "former",
        "created_by",
    )
    list_select_related = ("created_by",)
    list_filter = (("revoked_at", admin.EmptyFieldListFilter),)
    search_fields = ("name", "key", "previous_key")
    actions = (revoke, end_overlap)

    def get_queryset(self, request: HttpRequest) -> QuerySet[ApiToken]:
        tokens: QuerySet[ApiToken] = super().get_queryset(request)
        return tokens.prefetch_related("pools")

    def get_urls(self) -> list[URLPattern]:
        rotate = path("<path:object_id>/rotate/", self.admin_site.admin_view(self.rotate), name="nodes_apitoken_rotate")
        return [rotate, *super().get_urls()]

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def save_model(self, request: HttpRequest, obj: Any, form: AnyForm, change: bool) -> None:
        if change:
            columns = {field.name for field in obj._meta.concrete_fields}
            obj.save(update_fields=sorted(columns & {*form.changed_data, "expires_at"}))  # "never" may have emptied the instant
            return
        whole = obj.issue()
        obj.created_by = request.user
        obj.save()
        messages.warning(request, f"The token is shown only now: {whole}")

    def panels(self, obj: Any) -> list[tuple[str, dict[str, Any]]]:
        now = timezone.now()
        return [("admin/nodes/token_secrets.html", {"token": obj, "works": obj.works(now), "overlaps": obj.overlaps(now)})]

    def rotate(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Ask when the present secret ends; then make a new one, show it once, tell it."""
        token = self.get_object(request, object_id)
        if token is None:
            raise Http404
        if not self.has_change_permission(request, token):
            raise PermissionDenied
        form = RotationForm(request.POST if request.method == "POST" else None)
        if request.method == "POST" and form.is_valid():
            return self._rotated(request, token.pk, form)
        context = {
            **self.admin_site.each_context(request), "opts": self.opts, "object": token, "title": f"Rotate {token}",
            "form": form, "works": token.works(timezone.now()), "overlaps": token.overlaps(timezone.now()),
        }  # fmt: skip  # few lines
        return render(request, "admin/nodes/rotate_token.html", context)

    def _rotated(self, request: HttpRequest, pk: int, form: RotationForm) -> HttpResponse:
        now = timezone.now()
        with transaction.atomic():
            token = ApiToken.objects.select_for_update().get(pk=pk)
            if not token.works(now):
                messages.error(request, f"{token} is revoked or over: make a new token.")
                return HttpResponseRedirect(reverse("admin:nodes_apitoken_change", args=[pk]))
            whole = token.rotate(now, form.lasts())
            ends = OVERLAPS[form.cleaned_data["overlap"]]
            _did(request, f"rotated (the former secret ends {ends})", token)
        messages.warning(request, f"The new secret is shown only now: {whole} The former one ends {ends}.")
        return HttpResponseRedirect(reverse("admin:nodes_apitoken_change", args=[pk]))

    @admin.display
    def state(self, token: ApiToken) -> Any:
        now = timezone.now()
        if token.revoked_at is not None:
            return badge("revoked", "bad")
        if not token.works(now):
            return badge("expired", "bad")
        return badge("ends soon", "warn") if token.ends_soon(now) else badge("works", "ok")

    @admin.display(description="scopes")
    def scope_list(self, token: ApiToken) -> str:
        return ", ".join(token.scopes)

    @admin.display(description="pools")
    def bound_to(self, token: ApiToken) -> str:
        return "every pool" if token.every_pool else ", ".join(pool.name for pool in token.pools.all())

    @admin.display(description="former secret until", ordering="previous_until")
    def former(self, token: ApiToken) -> Any:
        return token.previous_until if token.overlaps(timezone.now()) else None
