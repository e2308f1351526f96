"""The stack allocator's hooks (3.2): who makes the memory of the jobs' stacks.

On the native backend each job has a C stack of its own, and these functions can make its memory.
On greenlet there are no stacks to give out (a paused call's part of the thread's one stack is
copied to the heap): custom functions are refused and there are none to show, as OpenSSL does
where the system makes the stacks.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pausable._backend import NATIVE, backend
from pausable.openssl._ref import Ref, expect, store

__all__ = ["ASYNC_get_mem_functions", "ASYNC_set_mem_functions"]

if NATIVE:
    from pausable._native import give_stack, set_allocator, take_stack

AllocFunction = Callable[[Ref], Any]
FreeFunction = Callable[[Any], object]


def _own_alloc(num: Ref) -> int:
    """Return the address of memory for a stack of `num.value` bytes, from pausable's slabs."""
    address, num.value = take_stack(num.value)
    return address


def _own_free(addr: int) -> None:
    """Give back what `_own_alloc` returned."""
    give_stack(addr)


_alloc: AllocFunction = _own_alloc
_free: FreeFunction = _own_free


def _allocate(size_bytes: int) -> tuple[Any, Any]:
    num = Ref(size_bytes)
    memory = _alloc(num)
    return memory, num.value


def ASYNC_set_mem_functions(alloc_fn: AllocFunction | None, free_fn: FreeFunction | None) -> int:
    """Have the memory of the jobs' stacks made and freed by functions of one's own.

    For the whole process, and for jobs of `pausable.start` too; only until the first job's stack
    is made. On greenlet always refused.

    Where an allocator fails (it returns None or raises), or its memory will not do, no job is
    started: ASYNC_NO_JOBS with *malloc failure* on the error queue, and a `MemoryError` from
    `pausable.start`. Jobs under way go on.

    Args:
        alloc_fn: gets `num`, with the size in bytes that is needed in `num.value`; returns an
            address (an int), or a writable buffer, `mmap.mmap` for example, which is held
            while it is in use; or None (NULL). It may put a larger size into `num.value`; of a
            buffer, its own length counts. The memory has to be private and anonymous. If it
            begins at a page, its lowest 16 KiB become a guard; else an overflow writes below it.
            None (NULL) leaves what there is.
        free_fn: gets what `alloc_fn` returned when the stack goes: at `shrink()`, when its pool
            is closed or its thread ends; in any thread, while no job is on it. What it raises
            goes to `sys.unraisablehook`. Stacks that are there when the process ends are not
            freed. None (NULL) leaves what there is.

    Returns: 1; 0, without an error, if there was a stack already, or on greenlet.
    See: ASYNC_set_mem_functions(3)
    """
    global _alloc, _free
    for name, function in (("alloc_fn", alloc_fn), ("free_fn", free_fn)):
        if function is not None and not callable(function):
            raise TypeError(f"{name} has to be callable or None (NULL), not {function!r}")
    if backend().name != "native" or not set_allocator(None, None):
        return 0
    set_allocator(_allocate if alloc_fn is not None else None, free_fn)
    _alloc = alloc_fn if alloc_fn is not None else _alloc
    _free = free_fn if free_fn is not None else _free
    return 1


def ASYNC_get_mem_functions(alloc_fn: Ref | None, free_fn: Ref | None) -> None:
    """Set the Refs to the functions that make and free the memory of stacks.

    Those of pausable itself may be called by others that are set in their place. On greenlet both
    are None (NULL): there are no such functions.

    See: ASYNC_get_mem_functions(3)
    """
    native = backend().name == "native"
    for name, ref, function in (("alloc_fn", alloc_fn, _alloc), ("free_fn", free_fn, _free)):
        expect(name, ref, Ref)
        store(ref, function if native else None)
