"""An action as a person does it: look at the dialog, then press its button."""

from __future__ import annotations

import re
from typing import Any

from django.http import HttpResponse
from django.test import Client

FRAGMENT = {"HX-Request": "true"}

_OFFERED = re.compile(r'name="offered" value="([^"]*)"')


def offered(client: Client, address: str, **fields: str) -> str:
    """The version of what the dialog shows; empty when it shows why it cannot be."""
    html = client.get(address, fields, headers=FRAGMENT).content.decode()
    found = _OFFERED.search(html)
    return found.group(1) if found else ""


def press(client: Client, address: str, *, script: bool = True, **fields: str) -> Any:
    """Open the dialog, then send it; the answer."""
    asked = {name: value for name, value in fields.items() if name in ("action", "host")}
    form = {**fields, "offered": offered(client, address, **asked)}
    answer: HttpResponse = client.post(address, form, headers=FRAGMENT if script else {}, follow=not script)
    return answer
