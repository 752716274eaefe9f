"""A check in words: what it asks, and what it expects of the answer."""

from __future__ import annotations

from collections.abc import Iterator

from nodes.models import Check


def expected_of(check: Check) -> str:
    """What an HTTP check expects, as the rest of a sentence."""
    return "; ".join(_parts(check))


def _parts(check: Check) -> Iterator[str]:
    yield check.expected_status
    if check.warn_status:
        yield f"warns at {check.warn_status}"
    if check.body_contains:
        yield f"the text “{check.body_contains}”"
    if check.body_excludes:
        yield f"not the text “{check.body_excludes}”"
    if check.body_matches:
        yield f"something that matches “{check.body_matches}”"
    if check.json_path:
        yield f"{check.json_path} {check.get_json_operator_display()} {check.json_value}"
    if check.follow_redirects:
        yield "behind redirects"
    if check.strict:
        yield "HTTP to the letter, to its end"
