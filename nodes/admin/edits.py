"""Edits as events: what a form changed, field by field, recorded in the transaction that saved it.

The admins of nodes and of alerts derive from `RecordsEdits`.  Input: a saved form and its formsets.  Output: one event
`config_changed` with the fields before and after, by the labels of the form, secrets as “changed”.  What says who may come in
derives from `RecordsAccess` and is told as `account_changed`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from django.contrib import messages
from django.contrib.admin import ModelAdmin
from django.db import models
from django.db.models import QuerySet
from django.db.utils import IntegrityError
from django.forms import ModelChoiceField
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.utils.text import capfirst

from nodes import access_changes, operations
from nodes.access_changes import address_of
from nodes.forms.checks import AnyFormSet
from nodes.forms.effects import AnyForm
from nodes.operations import Edit

if TYPE_CHECKING:  # the stubs know the model of an admin, Django's class takes no parameter
    AnyAdmin = ModelAdmin[Any]
else:
    AnyAdmin = ModelAdmin

Change = tuple[str, str | None, str | None]  # label, before, after; None: there is nothing to show


class RecordsEdits(AnyAdmin):
    """Saves the changed fields by name, records what was changed, shows the form's warnings."""

    secret_fields: Mapping[str, str] = {}  # form field -> its name in the event

    def changeform_view(
        self, request: HttpRequest, object_id: str | None = None, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Who loses a race for a name is asked again: the form then sees what was stored first, and says so."""
        for _ in range(2):
            try:
                answer: HttpResponse = super().changeform_view(request, object_id, form_url, extra_context)
            except IntegrityError:
                continue
            return answer
        messages.error(
            request, "Somebody else stored something at the same moment that this cannot stand beside; look, and save again."
        )
        return HttpResponseRedirect(request.get_full_path())

    def before_edit(self) -> None:
        operations.before_edit()

    def record_edit(self, request: HttpRequest, instance: models.Model, changes: list[Change], edit: Edit) -> None:
        """Tell one edit, in its transaction."""
        before, after = _before_and_after(changes, edit)
        actor, address = request.user.get_username(), address_of(request)
        operations.configuration_saved(instance, actor=actor, address=address, edit=edit, before=before, after=after)

    def save_model(self, request: HttpRequest, obj: models.Model, form: AnyForm, change: bool) -> None:
        self.before_edit()
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
            self.record_edit(request, form.instance, changes, Edit.EDITED if change else Edit.ADDED)
        for each in (form, *formsets):
            for warning in getattr(each, "warnings", ()):
                messages.warning(request, warning)

    def delete_model(self, request: HttpRequest, obj: models.Model) -> None:
        """Recorded first: afterwards the row has no number any more."""
        self.before_edit()
        self.record_edit(request, obj, [], Edit.DELETED)
        super().delete_model(request, obj)

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        """One by one: each deletion is an event of its own."""
        for each in queryset:
            self.delete_model(request, each)


class RecordsAccess(RecordsEdits):
    """The same for users and tokens: nothing that the engine looks at, so no lock of the fleet."""

    told_fields: tuple[str, ...] = ()  # labels whose values stand in the sentence, for everybody to read

    def before_edit(self) -> None:
        pass

    def record_edit(self, request: HttpRequest, instance: models.Model, changes: list[Change], edit: Edit) -> None:
        before, after = _before_and_after(changes, edit)
        told = ", ".join(dict.fromkeys(self._told(label, was, now) for label, was, now in changes))
        actor, what = request.user.get_username(), f"{instance._meta.verbose_name} {instance}"
        said = f"{actor} {edit} {what}{f': {told}' if told else ''}"
        access_changes.account_changed(said, actor=actor, address=address_of(request), before=before, after=after)

    def _told(self, label: str, was: str | None, now: str | None) -> str:
        return f"{label} {was or 'none'} → {now or 'none'}" if label in self.told_fields else label


def _before_and_after(changes: list[Change], edit: Edit) -> tuple[dict[str, str], dict[str, str]]:
    before = {} if edit == Edit.ADDED else {label: before for label, before, _ in changes if before is not None}
    return before, {label: after for label, _, after in changes if after is not None}


def _columns(instance: models.Model) -> set[str]:
    return {field.name for field in instance._meta.concrete_fields}


def _of_form(form: AnyForm, secrets: Mapping[str, str], prefix: str = "") -> Iterator[Change]:
    for name in form.changed_data:
        if name in secrets:
            yield prefix + secrets[name], None, "changed"
        elif name in form.cleaned_data:
            label = prefix + capfirst(str(form[name].label))
            stored = getattr(form.instance, name) if name in _columns(form.instance) else form.cleaned_data[name]
            yield label, _text(form, name, form[name].initial), _text(form, name, stored)


def _of_formset(formset: AnyFormSet, secrets: Mapping[str, str]) -> Iterator[Change]:
    for form in formset.forms:
        prefix = f"{form.instance.kind} check: "
        if form in formset.deleted_forms:
            yield prefix + "Kind", str(form.instance.kind), "removed"
        elif form.instance.pk is None and form.has_changed():
            yield prefix + "Kind", None, str(form.instance.kind)
            yield from (change for change in _of_form(form, secrets, prefix) if change[0] != prefix + "Kind")
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
