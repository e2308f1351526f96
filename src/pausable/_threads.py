"""Each thread's default pool, and what happens to jobs when a thread or the process ends or forks.

Rules:

* A thread that ends unwinds its paused jobs itself (`_pool.unwind_thread`).
* At exit the main thread's jobs are unwound, those of other threads reported: only their own
  threads could enter their stacks.
"""

from __future__ import annotations

import atexit
import os
from collections.abc import Callable
from typing import TYPE_CHECKING, ParamSpec, TypeVar

from pausable import _report
from pausable._fibre import NATIVE
from pausable._job import Job, JobFibre, launch
from pausable._pool import JobPool, all_pools, unwind_thread
from pausable._thread_local import get_ident, interpreters_local

__all__ = [
    "cleanup_thread",
    "init_thread",
    "is_capable",
    "start",
    "thread_pool",
]

T = TypeVar("T")
P = ParamSpec("P")


_local = interpreters_local()


def start(fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Job[T]:
    """Call fn(*args, **kwargs) as a job: it runs until its first pause or its end.

    What the call returns or raises is read from the job. Context variables that it sets are its
    own while it is paused, and its starter's when it has ended. A job may start and drive jobs.

    Threads: any; the job belongs to the thread that starts it.

    Raises:
        NoJobsAvailable: the thread's pool has a limit (`init_thread`) and is at it.
        TypeError: `fn` cannot be called.
        KeyboardInterrupt, SystemExit: the call ended with it.
    See: ASYNC_start_job(3)
    Differs: arguments are passed as they are, not copied.
    """
    try:
        pool = _local.pool
    except AttributeError:
        pool = thread_pool()
    return launch(pool, None, None, fn, args, kwargs or None)


def thread_pool() -> JobPool:
    """Return the default pool of this thread; it is made, without a limit, on first use."""
    try:
        pool: JobPool = _local.pool
    except AttributeError:
        pool = init_thread()
    return pool


def init_thread(max_size: int | None = None, init_size: int = 0) -> JobPool:
    """Give this thread a default pool with a limit, or with fibres made in advance.

    Args: as of `JobPool`.

    Raises:
        JobsOutstanding: jobs of the thread's present default pool are under way.
    See: ASYNC_init_thread(3)
    Differs: OpenSSL replaces the pool even then, and leaks the old one.
    """
    new = JobPool(max_size, init_size)
    old = getattr(_local, "pool", None)
    if old is not None:
        old.close()
    _local.pool = new
    _note_pool(new)
    return new


def cleanup_thread(*, cancel: bool = False) -> None:
    """Give back the memory of this thread's default pool and forget its limit.

    Args:
        cancel: unwind jobs that are paused still.

    Raises:
        JobsOutstanding: jobs are under way and `cancel` is false.
    See: ASYNC_cleanup_thread(3)
    Differs: OpenSSL leaks jobs that are under way.
    """
    pool = getattr(_local, "pool", None)
    if pool is not None:
        pool.close(cancel=cancel)
        del _local.pool
        _note_pool(None)


def _note_pool(_pool: JobPool | None) -> None:
    """Tell the native core, which keeps it at hand."""


if NATIVE and not TYPE_CHECKING:
    from pausable._native import bind_hooks, instead_of
    from pausable._native import set_thread_pool as _note_pool

    start = instead_of(start)
    bind_hooks({"thread_pool": thread_pool})


def is_capable() -> bool:
    """Tell whether jobs can pause on this platform; true wherever greenlet could be imported.

    See: ASYNC_is_capable(3)
    """
    return True


# -- ends ------------------------------------------------------------------------------------------


def _at_exit() -> None:
    here = get_ident()
    unwind_thread(here)
    for pool in all_pools():
        for job in pool.jobs():
            if pool.thread != here and job.paused:
                _report.not_unwound(
                    repr(job),
                    f"the process ends, and only {_report.thread_name(pool.thread)} could run it",
                    job._stack_text(),
                )


#: Fibres of the parent process. To let go of them would run their finally blocks in the child.
_inherited: list[list[JobFibre]] = []


def _after_fork_in_child() -> None:
    _inherited.extend(pool.after_fork() for pool in all_pools())


atexit.register(_at_exit)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)
