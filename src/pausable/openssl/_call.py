"""What a job function is given, and what is made of what it returns."""

from __future__ import annotations

import operator
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from pausable._job import current_fibre
from pausable.openssl._err import MALLOC_FAILURE, ErrorQueue
from pausable.openssl._handles import ASYNC_JOB, ThreadState

__all__ = ["NO_COPY", "Body", "Dialect", "JobFunction", "copy_arguments", "size_t"]

SIZE_MAX: Final = 2**64 - 1

#: What `copy_arguments` returns after an error.
NO_COPY: Final = object()

JobFunction = Callable[[Any], int]


@dataclass(frozen=True)
class Dialect:
    """What differs between the generations of the API."""

    #: A job function is given NULL for arguments of size 0; before, that was an error.
    size_zero_is_null: bool
    #: A nested start from a job that was resumed before is ASYNC_ERR without an error.
    nested_start_is_defined: bool
    #: Jobs keep their own default library context.
    has_lib_ctx: bool
    #: Each job object has a descriptor of its own.
    has_wake_fd: bool
    #: The name of the function that makes a pool.
    init_name: str


def copy_arguments(dialect: Dialect, errors: ErrorQueue, args: Any, size: int) -> Any:
    """Return what the job function is given, or `NO_COPY` after an error."""
    size = size_t("size", size)
    if not isinstance(args, (bytes, bytearray, memoryview)):
        return args
    if size == 0:
        if dialect.size_zero_is_null:
            return None
        errors.put(MALLOC_FAILURE, "ASYNC_start_job", "size is 0; pass args NULL")
        return NO_COPY
    data = memoryview(args).cast("B")
    if size > len(data):
        errors.refuse("ASYNC_start_job", f"size {size} is more than args has: {len(data)} bytes")
        return NO_COPY
    return bytearray(data[:size])


class Body:
    """What runs on the fibre: it carries the thread's block counter into the job and out of it."""

    __slots__ = ("_args", "_func", "_job", "_state")

    def __init__(self, state: ThreadState, job: ASYNC_JOB, func: JobFunction, args: Any) -> None:
        self._state = state
        self._job = job
        self._func = func
        self._args = args

    def __call__(self) -> int:
        fibre = current_fibre()
        assert fibre is not None
        fibre.face = self._job
        fibre.block(self._state.blocked)
        try:
            value = self._func(self._args)
        finally:
            self._state.blocked = fibre.blocks
        try:
            return operator.index(value)
        except TypeError:
            name = getattr(self._func, "__name__", self._func)
            raise TypeError(
                f"{name}() returned {value!r}; a job function has to return an int, as in C"
            ) from None


def size_t(what: str, size: object) -> int:
    """Read a size_t."""
    if not isinstance(size, int):
        raise TypeError(f"{what} has to be an int (size_t), not {size!r}")
    return int(size) & SIZE_MAX
