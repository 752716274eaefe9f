"""Rows that were removed: not listed unless a filter asks for them, then read and never edited."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db import models
from django.http import HttpRequest

from nodes.admin.beside import Beside

_PARAMETER = "removed"


class RemovedFilter(admin.SimpleListFilter):
    """Present or removed; present is what a list shows by itself."""

    title = "whether it is there"
    parameter_name = _PARAMETER

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("yes", "removed")]

    def choices(self, changelist: Any) -> Any:
        present, removed = super().choices(changelist)
        return [{**present, "display": "there"}, removed]

    def queryset(self, request: HttpRequest, queryset: models.QuerySet[Any]) -> models.QuerySet[Any]:
        return queryset.exclude(removed_at=None) if self.value() == "yes" else queryset.filter(removed_at=None)


class HidesRemoved(Beside):
    """A ModelAdmin of rows with `removed_at`; what goes to `get_queryset` besides the pages of removed rows is present."""

    def get_queryset(self, request: HttpRequest) -> models.QuerySet[Any]:
        found: models.QuerySet[Any] = super().get_queryset(request)
        return found if _asks_for_removed(request) else found.filter(removed_at=None)

    def get_actions(self, request: HttpRequest) -> dict[str, Any]:
        actions: dict[str, Any] = super().get_actions(request)
        actions.pop("delete_selected", None)  # one at a time: each removal has consequences of its own
        return {} if _PARAMETER in request.GET else actions

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return getattr(obj, "removed_at", None) is None and super().has_change_permission(request, obj)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return getattr(obj, "removed_at", None) is None and super().has_delete_permission(request, obj)


def _asks_for_removed(request: HttpRequest) -> bool:
    """Whether it is the list with the filter, or the page of one row."""
    name = request.resolver_match.url_name if request.resolver_match else None
    return _PARAMETER in request.GET or str(name).endswith(("_change", "_history"))
