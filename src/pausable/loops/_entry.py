"""`run` and `map`: the drivers' public face, which imports an event loop only when it is used."""

from __future__ import annotations

import sys
from collections.abc import Callable, Coroutine, Iterable
from types import FunctionType
from typing import Any, Final, TypeVar

from pausable._job import launch
from pausable._threads import thread_pool
from pausable.errors import JobCancelled
from pausable.loops._here import drive_here
from pausable.loops._map import Map

if sys.version_info >= (3, 11):
    from typing import ParamSpec
else:
    from typing_extensions import ParamSpec

__all__ = ["map", "run"]

#: A code object's mark of `async def`, as of inspect, which takes long to import.
CO_COROUTINE: Final = 0x80

T = TypeVar("T")
P = ParamSpec("P")


def run(fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Coroutine[Any, Any, T]:
    """Call fn(*args, **kwargs) as a job of this asyncio task: `await pausable.run(fn, ...)`.

    While the job is paused, the loop goes on with other tasks. The job runs in the task's own
    context. Where the thread's pool has a limit, waits for a free job, first come, first served.
    If the task is cancelled, the job is (`JobCancelled` at its pause); when its cleanup code has
    run, the cancellation goes on.

    Pauses: the task, while the job is paused.
    Threads: the loop's.
    Returns: what the call returns.

    Raises:
        TypeError: `fn` cannot be called.
        Exception: whatever the call raises.
    """
    if type(fn) is not FunctionType and not callable(fn):
        raise TypeError(f"fn has to be callable, not {fn!r}")
    code = getattr(fn, "__code__", None)
    if code is not None and code.co_flags & CO_COROUTINE:
        raise TypeError(
            f"{fn!r} is a coroutine function, and jobs are for synchronous ones: await it, or in a"
            " job wait_for(coroutine)"
        )
    return _run(fn, args, kwargs)


async def _run(fn: Callable[..., T], args: tuple[Any, ...], kwargs: dict[str, Any]) -> T:
    drive = drive_here()
    pool = thread_pool()
    if pool.max_size is None:
        job = launch(pool, None, drive, fn, args, kwargs or None)
    else:
        job = await drive.launch_when_free(pool, fn, args, kwargs)
    fibre = job._fibre
    if fibre is not None:
        await drive.until_done(job, fibre)
        if drive.cancellation is not None and isinstance(job._exc, JobCancelled):
            raise drive.cancellation
    elif drive.ctx is not None:
        drive.close()
    if job._exc is None:
        return job._value  # type: ignore[return-value]
    return job.result()


def map(fn: Callable[..., T], /, *iterables: Iterable[Any], jobs: int = 64) -> Map[T]:
    """Call `fn` as the built-in `map` does, with up to `jobs` jobs in flight on this thread.

    Results come in the order of the arguments. Work goes on only while `next()` waits for one, and
    arguments are taken as jobs are started. What a call raises is raised in its place and ends the
    iteration; that, Ctrl-C, `close()` and the end of a `with` block unwind every job under way. A
    loop over the results that is left by `break` does not: use `with pausable.map(...) as results`.

    Pauses: never; it blocks the thread.
    Threads: the one that takes the first result.

    Args:
        jobs: the most jobs under way at once, 1 or more.

    Raises:
        TypeError, ValueError: bad arguments.
        NoJobsAvailable: jobs of others fill the thread's pool.
    """
    if not iterables:
        raise TypeError("map needs at least one iterable of arguments")
    return Map(fn, zip(*iterables, strict=False), jobs)
