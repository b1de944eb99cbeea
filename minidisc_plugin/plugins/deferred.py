"""Work that is put off: what `async def` and `yield` make of a function does nothing when it is called."""

from __future__ import annotations

import inspect
from typing import Any


def puts_off(function: Any) -> str | None:
    """As what a function is written that does nothing when it is called; None of a plain one."""
    if is_async(function):
        return "async def"
    return "a generator (it holds a yield)" if inspect.isgeneratorfunction(function) else None


def is_async(function: Any) -> bool:
    """Whether a function is `async def`, with a yield or without."""
    return inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function)


def put_off(result: Any) -> str | None:
    """What was returned in place of a result, where the work has yet to be done; it is given up then."""
    if inspect.iscoroutine(result):
        result.close()  # else Python warns that nobody awaited it
        return "a coroutine, which nobody awaits; write a plain function"
    if inspect.isgenerator(result):
        result.close()
        return "a generator, which nobody goes through; write a plain function"
    if inspect.isasyncgen(result) or inspect.isawaitable(result):
        return f"{type(result).__name__}, which nobody awaits; write a plain function"
    return None
