"""What stands beside a form: live state, history, and the way to the page of the console that shows the same."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.http import HttpRequest, HttpResponse

from nodes.admin.edits import AnyAdmin


class Beside(AnyAdmin):
    """A ModelAdmin whose form has a column beside it, below it on a narrow page."""

    what_for = ""  # one sentence over the list

    def panels(self, obj: Any) -> Sequence[tuple[str, dict[str, Any]]]:
        """Templates with their contexts, in order."""
        return ()

    def on_console(self, obj: Any) -> tuple[str, str]:
        """Address and words of the link to the console; nothing for a row that has no page."""
        return "", ""

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        return super().changelist_view(request, {"what_for": self.what_for, **(extra_context or {})})

    def render_change_form(self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any) -> HttpResponse:
        obj = kwargs.get("obj")
        context["what_for"] = self.what_for
        if obj is not None:
            address, words = self.on_console(obj)
            context |= {"beside": self.panels(obj), "on_console": address, "on_console_words": words}
        answer: HttpResponse = super().render_change_form(request, context, *args, **kwargs)
        return answer
