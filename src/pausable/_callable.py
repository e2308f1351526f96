"""What can be a job: anything that can be called and does its work in the call."""

from __future__ import annotations

from functools import partial
from typing import Any, Final

__all__ = ["CO_COROUTINE", "check_synchronous", "is_coroutine_function"]

#: A code object's mark of `async def`, as of inspect, which takes long to import.
CO_COROUTINE: Final = 0x80


def is_coroutine_function(fn: Any) -> bool:
    """Tell whether a callable was written with `async def`, and so only makes a coroutine."""
    while isinstance(fn, partial):
        fn = fn.func
    code = getattr(fn, "__code__", None) or getattr(type(fn).__call__, "__code__", None)
    return code is not None and bool(code.co_flags & CO_COROUTINE)


def check_synchronous(fn: Any) -> None:
    """Refuse what cannot be called, or would only make a coroutine.

    Raises:
        TypeError: so it is.
    """
    if not callable(fn):
        raise TypeError(f"fn has to be callable, not {fn!r}; pass the function and its arguments")
    if is_coroutine_function(fn):
        raise TypeError(
            f"{fn!r} is a coroutine function, and jobs are for synchronous ones: await it, or in a"
            " job wait_for(coroutine)"
        )
