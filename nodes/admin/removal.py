"""Deleting a node or a pool takes it out of service and keeps its history."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

from django.contrib import messages
from django.contrib.admin.utils import unquote
from django.core.exceptions import PermissionDenied
from django.db import models
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse

from nodes.admin.edits import RecordsEdits
from nodes.admin.removed import HidesRemoved
from nodes.engine.enums import Guard
from nodes.forms.inventory import ReasonForm
from nodes.operations import Refused

EVEN_WITHOUT_CANDIDATE = frozenset({Guard.NO_CANDIDATE})


def overrides(form: ReasonForm) -> frozenset[Guard]:
    """The guards that the person overrides by the tick in a valid form."""
    return EVEN_WITHOUT_CANDIDATE if form.cleaned_data.get("override") else frozenset()


class RemovesSoftly(HidesRemoved, RecordsEdits):
    """A ModelAdmin whose delete page asks for a reason and calls `remove`."""

    @abstractmethod
    def remove(self, obj: models.Model, *, actor: str, form: ReasonForm) -> None:
        """Take `obj` out of service; raises `Refused` when a guard blocks that."""

    def delete_view(self, request: HttpRequest, object_id: str, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        obj = self.get_object(request, unquote(object_id))
        if obj is None:
            raise Http404
        if not self.has_delete_permission(request, obj):
            raise PermissionDenied
        form = ReasonForm(request.POST or None)
        if request.method == "POST" and form.is_valid() and self._removed(request, obj, form):
            return HttpResponseRedirect(reverse(f"admin:{self.opts.app_label}_{self.opts.model_name}_changelist"))
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "object": obj,
            "form": form,
            "title": f"Remove {obj}",
        }
        return TemplateResponse(request, "admin/nodes/remove.html", {**context, **(extra_context or {})})

    def _removed(self, request: HttpRequest, obj: models.Model, form: ReasonForm) -> bool:
        try:
            self.remove(obj, actor=request.user.get_username(), form=form)
        except Refused as refusal:
            messages.error(request, str(refusal))
            return False
        messages.success(request, f"{obj} was removed; its history is kept.")
        return True
