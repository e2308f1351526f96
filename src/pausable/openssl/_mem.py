"""The stack allocator's hooks (3.2), where there are no stacks to give out.

A paused call's part of the thread's one stack is copied to the heap; no fibre has a stack of its
own whose memory somebody could provide. OpenSSL answers likewise on platforms where the system
makes the stacks: it refuses custom functions and has none to show.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pausable.openssl._ref import Ref, expect, store

__all__ = ["ASYNC_get_mem_functions", "ASYNC_set_mem_functions"]


def ASYNC_set_mem_functions(
    alloc_fn: Callable[[Ref], Any] | None, free_fn: Callable[[Any], None] | None
) -> int:
    """Refuse custom stack allocators.

    Returns: 0, without an error, as OpenSSL where it does not make the stacks itself.
    See: ASYNC_set_mem_functions(3)
    """
    for name, function in (("alloc_fn", alloc_fn), ("free_fn", free_fn)):
        if function is not None and not callable(function):
            raise TypeError(f"{name} has to be callable or None (NULL), not {function!r}")
    return 0


def ASYNC_get_mem_functions(alloc_fn: Ref | None, free_fn: Ref | None) -> None:
    """Set both Refs to None (NULL): there are no such functions.

    See: ASYNC_get_mem_functions(3)
    """
    for name, ref in (("alloc_fn", alloc_fn), ("free_fn", free_fn)):
        expect(name, ref, Ref)
        store(ref, None)
