"""Which functions do nothing when they are called: what they return runs only once it is iterated or awaited."""

from __future__ import annotations

from inspect import CO_ASYNC_GENERATOR, CO_COROUTINE, CO_GENERATOR
from types import AsyncGeneratorType, CoroutineType, GeneratorType
from typing import Any

DEFERRED_TYPES = frozenset({GeneratorType, AsyncGeneratorType, CoroutineType})

_FLAGS = CO_GENERATOR | CO_ASYNC_GENERATOR | CO_COROUTINE


def is_deferred(fn: Any) -> bool:
    """Whether `fn` is a generator function, a coroutine function or an async generator function, or a method that is one."""
    code = getattr(fn, "__code__", None)
    return code is not None and bool(code.co_flags & _FLAGS)
