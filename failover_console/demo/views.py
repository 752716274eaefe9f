"""Removes the demo by one click."""

from __future__ import annotations

from django.contrib import messages
from django.contrib.auth.decorators import login_required, permission_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.views.decorators.http import require_POST

from failover_console import demo


@login_required
@permission_required("nodes.delete_node", raise_exception=True)
@require_POST
def remove(request: HttpRequest) -> HttpResponse:
    """Remove pools, nodes and destinations of the demo; the servers see it and end."""
    demo.remove(request.user.get_username())
    messages.success(request, "The demo fleet is removed. Its history stays; its servers end within seconds.")
    return redirect("nodes:dashboard")
