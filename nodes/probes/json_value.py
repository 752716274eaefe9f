"""Compares one value of a JSON answer: where it is by a path of RFC 9535, what it must be as a person types it."""

from __future__ import annotations

import json
import operator
from collections.abc import Callable
from decimal import Decimal, InvalidOperation
from functools import lru_cache
from typing import Any

import jsonpath_rfc9535

LONGEST_SHOWN = 60  # characters of a value in a sentence
OPERATORS: dict[str, tuple[str, Callable[[Any, Any], bool]]] = {
    "eq": ("=", operator.eq),
    "ne": ("≠", operator.ne),
    "lt": ("<", operator.lt),
    "le": ("≤", operator.le),
    "gt": (">", operator.gt),
    "ge": ("≥", operator.ge),
}
_ORDERED = frozenset({"lt", "le", "gt", "ge"})
_UNREADABLE = (ArithmeticError, ValueError, RecursionError)  # of numbers that are too large, of what is none, of what is nested
_WORDS = {"true": True, "false": False, "null": None}


@lru_cache(maxsize=1024)
def path(text: str) -> jsonpath_rfc9535.JSONPathQuery:
    """The compiled path; raises `ValueError` with a sentence unless it leads to one value."""
    try:
        found = jsonpath_rfc9535.compile(text)
    except (jsonpath_rfc9535.JSONPathError, RecursionError) as error:
        raise ValueError(
            f"This is no JSON path: {str(error).partition(', line')[0]}. Write for example $.checks[0].status."
        ) from None
    if not found.singular_query():
        raise ValueError("This path leads to many values: name each step, for example $.checks[0].status.")
    return found


def compared(text: str, where: str, how: str, wanted: str) -> tuple[bool, str]:
    """Whether the value holds, and what it is, in words."""
    try:
        document = _read(text)
    except _UNREADABLE:
        return False, "no JSON"
    found = path(where).find_one(document)
    if found is None:
        return how == "ne", "nothing there"
    return _holds(found.value, how, wanted), shown(found.value)


def shown(value: Any) -> str:
    """As JSON, bounded; a text without its quotes."""
    if isinstance(value, str):
        said = value
    elif isinstance(value, Decimal):
        said = str(value)
    elif isinstance(value, dict | list):
        said = f"{'an object' if isinstance(value, dict) else 'a list'} of {len(value)}"
    else:
        said = json.dumps(value)
    return said if len(said) <= LONGEST_SHOWN else f"{said[:LONGEST_SHOWN]}…"


def _holds(value: Any, how: str, wanted: str) -> bool:
    """Numbers are compared as numbers, everything else as text; only numbers and texts have an order."""
    _, compares = OPERATORS[how]
    if isinstance(value, bool) or value is None:
        same = wanted.strip().lower() in _WORDS and _WORDS[wanted.strip().lower()] is value
        return how not in _ORDERED and compares(same, True)
    if isinstance(value, dict | list):
        return how not in _ORDERED and compares(_same_document(value, wanted), True)
    if isinstance(value, str):
        return compares(value, wanted)
    try:
        return compares(Decimal(value), Decimal(wanted.strip()))
    except InvalidOperation:
        return how == "ne"


def _same_document(value: Any, wanted: str) -> bool:
    try:
        return bool(value == _read(wanted))
    except _UNREADABLE:
        return False


def _read(text: str) -> Any:
    return json.loads(text, parse_float=Decimal, parse_constant=_refuse)


def _refuse(word: str) -> None:
    """NaN and Infinity are Python's, not JSON's."""
    raise ValueError(word)
