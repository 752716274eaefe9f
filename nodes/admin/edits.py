"""Edits as events: what a form changed, field by field, recorded in the transaction that saved it.

The admins of nodes and of alerts derive from `RecordsEdits`.  Input: a saved form and its formsets.  Output: one event
`config_changed` with the fields before and after, secrets as “changed”.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from django.contrib import messages
from django.contrib.admin import ModelAdmin
from django.db import models
from django.db.models import QuerySet
from django.forms import ModelChoiceField
from django.http import HttpRequest

from nodes import operations
from nodes.forms.inventory import AnyForm, AnyFormSet

if TYPE_CHECKING:  # the stubs know the model of an admin, Django's class takes no parameter
    AnyAdmin = ModelAdmin[Any]
else:
    AnyAdmin = ModelAdmin

Change = tuple[str, str | None, str | None]  # field, before, after; None: there is nothing to show


class RecordsEdits(AnyAdmin):
    """Saves the changed fields by name, calls `operations.configuration_saved`, shows the form's warnings."""

    secret_fields: Mapping[str, str] = {}  # form field -> its name in the event

    def save_model(self, request: HttpRequest, obj: models.Model, form: AnyForm, change: bool) -> None:
        operations.before_edit()
        if not change:
            obj.save()
        elif changed := [name for name in form.changed_data if name in _columns(obj)]:
            obj.save(update_fields=changed)

    def save_related(self, request: HttpRequest, form: AnyForm, formsets: list[AnyFormSet], change: bool) -> None:
        changes = [
            *_of_form(form, self.secret_fields),
            *(change for formset in formsets for change in _of_formset(formset, self.secret_fields)),
        ]
        super().save_related(request, form, formsets, change)
        if changes or not change:
            _record(request, form.instance, changes)
        for warning in getattr(form, "warnings", ()):
            messages.warning(request, warning)

    def delete_model(self, request: HttpRequest, obj: models.Model) -> None:
        """Recorded first: afterwards the row has no number any more."""
        operations.before_edit()
        _record(request, obj, [("name", str(obj), "deleted")])
        super().delete_model(request, obj)

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        """One by one: each deletion is an event of its own."""
        for each in queryset:
            self.delete_model(request, each)


def _columns(instance: models.Model) -> set[str]:
    return {field.name for field in instance._meta.concrete_fields}


def _record(request: HttpRequest, instance: models.Model, changes: list[Change]) -> None:
    operations.configuration_saved(
        instance,
        actor=request.user.get_username(),
        before={field: before for field, before, _ in changes if before is not None},
        after={field: after for field, _, after in changes if after is not None},
    )


def _of_form(form: AnyForm, secrets: Mapping[str, str], prefix: str = "") -> Iterator[Change]:
    for name in form.changed_data:
        if name in secrets:
            yield prefix + secrets[name], None, "changed"
        elif name in form.cleaned_data:
            before = None if form.instance.pk is None else _text(form, name, form[name].initial)
            yield prefix + name, before, _text(form, name, form.cleaned_data[name])


def _of_formset(formset: AnyFormSet, secrets: Mapping[str, str]) -> Iterator[Change]:
    for form in formset.forms:
        prefix = f"{form.instance.kind} check: "
        if form in formset.deleted_forms:
            yield prefix + "kind", str(form.instance.kind), "removed"
        elif form.instance.pk is None and form.has_changed():
            yield prefix + "kind", None, str(form.instance.kind)
            yield from (change for change in _of_form(form, secrets, prefix) if change[0] != prefix + "kind")
        else:
            yield from _of_form(form, secrets, prefix)


def _text(form: AnyForm, name: str, value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list | tuple | QuerySet):
        return ", ".join(str(part) for part in value)
    field = form.fields[name]
    if isinstance(field, ModelChoiceField) and field.queryset is not None and not isinstance(value, models.Model):
        value = field.queryset.filter(pk=value).first()
    return "" if value is None else str(value)
