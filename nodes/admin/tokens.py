"""Bearer tokens for programs: shown once, rotated with an overlap, revoked and never deleted."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from django.contrib import admin, messages
from django.contrib.admin import helpers
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.db.models import Q, QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.text import capfirst

from nodes.access_changes import account_changed, address_of
from nodes.admin.beside import Beside
from nodes.admin.display import badge, show_once
from nodes.admin.edits import RecordsAccess
from nodes.forms.effects import AnyForm
from nodes.forms.tokens import OVERLAPS, ApiTokenForm, RotationForm
from nodes.models import ApiToken


class _Act(NamedTuple):
    """An action on tokens that cannot be undone: what the page that asks says, what it does, and how it is told."""

    name: str  # of the action, as the list posts it
    verb: str
    one: str
    many: str
    effect: str
    change: Callable[[ApiToken], bool]  # False where there is nothing to do
    open: Q  # the tokens where there is something to do
    idle: str  # what is said of the others
    did: str
    done: str


def _did(modeladmin: Any, request: HttpRequest, what: str, token: ApiToken) -> None:
    """Tell it to the history of the console and to that of the token."""
    actor = request.user.get_username()
    account_changed(f"{actor} {what} API token {token}", actor=actor, address=address_of(request))
    modeladmin.log_change(request, token, f"{capfirst(what.removesuffix(' of'))}.")


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


_REVOKE = _Act(
    name="revoke",
    verb="Revoke",
    one="token",
    many="tokens",
    effect="Whoever uses them is refused at once (401), and stays so: a token that is revoked never works again.",
    change=_revoke,
    open=Q(revoked_at=None),
    idle="Revoked already",
    did="revoked",
    done="Revoked",
)
_END = _Act(
    name="end_overlap",
    verb="End",
    one="former secret",
    many="former secrets",
    effect="The secret before the rotation is refused at once (401), and stays so. The present one works on.",
    change=_end_overlap,
    open=Q(previous_key__isnull=False),
    idle="No former secret to end",
    did="ended the former secret of",
    done="Former secret ended",
)


@admin.action(description="Revoke…: refused from then on", permissions=["change"])
def revoke(modeladmin: Any, request: HttpRequest, queryset: QuerySet[ApiToken]) -> HttpResponse | None:
    return _ask(modeladmin, request, queryset, _REVOKE)


@admin.action(description="End the overlap…: the secret before the rotation is refused from then on", permissions=["change"])
def end_overlap(modeladmin: Any, request: HttpRequest, queryset: QuerySet[ApiToken]) -> HttpResponse | None:
    return _ask(modeladmin, request, queryset, _END)


def _ask(modeladmin: Any, request: HttpRequest, chosen: QuerySet[ApiToken], act: _Act) -> HttpResponse | None:
    """The page that says what it does; posted with `apply`, the action itself.  Nothing is asked where there is nothing to do."""
    touched = list(chosen.filter(act.open))
    if "apply" in request.POST or not touched:
        _apply(modeladmin, request, chosen, act)
        return None
    button = f"{act.verb} {len(touched)} {act.one if len(touched) == 1 else act.many}"
    context = {
        **modeladmin.admin_site.each_context(request), "opts": modeladmin.opts, "title": f"{button}?", "effect": act.effect,
        "button": button, "tokens": touched, "idle": act.idle, "untouched": _names(chosen.exclude(act.open)),
        "action": act.name, "checkbox_name": helpers.ACTION_CHECKBOX_NAME,
    }  # fmt: skip  # few lines
    return TemplateResponse(request, "admin/nodes/token_action.html", context)


def _apply(modeladmin: Any, request: HttpRequest, chosen: QuerySet[ApiToken], act: _Act) -> None:
    """Change the chosen tokens one by one, each in a transaction with its event; say which, and where there was nothing to do."""
    done, idle = list[ApiToken](), list[ApiToken]()
    for pk in chosen.values_list("pk", flat=True):
        with transaction.atomic():
            token = ApiToken.objects.select_for_update().get(pk=pk)
            if act.change(token):
                _did(modeladmin, request, act.did, token)
                done.append(token)
            else:
                idle.append(token)
    if done:
        messages.success(request, f"{act.done}: {_names(done)}.")
    if idle:
        messages.warning(request, f"{act.idle}: {_names(idle)}.")


def _names(tokens: Iterable[ApiToken]) -> str:
    return ", ".join(str(token) for token in tokens)


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
        "ends",
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
        show_once(request, "The token is shown only now:", whole, "Give it to the program, or keep it where secrets are kept.")

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
            _did(self, request, f"rotated (the former secret ends {ends})", token)
        show_once(request, "The new secret is shown only now:", whole, f"The former one ends {ends}.")
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

    @admin.display(description="expires at", ordering="expires_at")
    def ends(self, token: ApiToken) -> Any:
        return token.expires_at or "never"

    @admin.display(description="pools")
    def bound_to(self, token: ApiToken) -> str:
        return "every pool" if token.every_pool else ", ".join(pool.name for pool in token.pools.all())

    @admin.display(description="former secret until", ordering="previous_until")
    def former(self, token: ApiToken) -> Any:
        return token.previous_until if token.overlaps(timezone.now()) else None
