"""The Content-Type of a request, read before Django reads it: that is before any middleware, and some are its end."""

from __future__ import annotations

import codecs
from collections.abc import Mapping
from typing import Any

from django.utils.http import parse_header_parameters


def is_readable(scope: Mapping[str, Any]) -> bool:
    """Whether it can be taken apart, and names no charset that is none of text."""
    given = next((value for name, value in scope["headers"] if name == b"content-type"), b"")
    if b";" not in given:
        return True
    try:
        _, parameters = parse_header_parameters(given.decode("latin-1"))
    except (LookupError, ValueError):  # of an extended parameter: an unknown charset, what is none of its bytes, too long a line
        return False
    return _is_text(parameters["charset"]) if "charset" in parameters else True


def _is_text(charset: str) -> bool:
    try:
        codecs.lookup(charset)
    except LookupError:
        return True  # Django takes it for none
    except ValueError:  # with a NUL
        return False
    try:
        "".encode(charset)
    except (LookupError, ValueError):  # a codec of something else
        return False
    return True
