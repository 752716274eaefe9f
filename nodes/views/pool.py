"""A pool's page, also after it was removed."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.utils import timezone
from django.views.decorators.http import require_safe

from nodes import screens
from nodes.models import Pool
from nodes.views.responses import page, signed_in


@require_safe
@signed_in
def pool(request: HttpRequest, slug: str) -> HttpResponse:
    screen = screens.pool(slug, timezone.now())
    if screen is None:
        gone = get_object_or_404(Pool.objects.exclude(removed_at=None), slug=slug)
        return render(request, "nodes/pool_removed.html", {"pool": gone})
    return page(request, "nodes/pool.html", screen.context)
