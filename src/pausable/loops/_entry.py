"""The drivers' public face, which imports a driver, and its event loop, only when it is used."""

from __future__ import annotations

import sys
from collections.abc import Callable, Coroutine, Generator, Iterable
from functools import wraps
from types import FunctionType
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from pausable._callable import CO_COROUTINE, check_synchronous
from pausable._fibre import NATIVE
from pausable._job import launch
from pausable._threads import thread_pool
from pausable.errors import JobStateError
from pausable.loops._here import drive_here, is_trio, takeover_here

if TYPE_CHECKING:
    from asyncio import Task

    from pausable.loops._map import Map

__all__ = ["map", "portal", "run", "run_blocking", "task_factory", "to_async"]

T = TypeVar("T")
P = ParamSpec("P")


def run(fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Coroutine[Any, Any, T]:
    """Call fn(*args, **kwargs) as a job of this task: `await pausable.run(fn, ...)`.

    In asyncio (uvloop too) and trio. While the job is paused, the loop goes on with other tasks.
    The job runs in the task's own context, and what it waits for with `wait_for` is awaited in the
    task. Where the thread's pool has a limit, waits for a free job, first come, first served.

    If the task is cancelled, the job is (`JobCancelled` at its pause; in trio `trio.Cancelled`);
    when its cleanup code has run, the cancellation goes on.

    Pauses: the task, while the job is paused.
    Threads: the loop's.
    Returns: what the call returns.

    Raises:
        TypeError: `fn` cannot be called.
        Exception: whatever the call raises.
    """
    if type(fn) is not FunctionType or fn.__code__.co_flags & CO_COROUTINE:
        check_synchronous(fn)
    return _run(fn, args, kwargs)


async def _run(fn: Callable[..., T], args: tuple[Any, ...], kwargs: dict[str, Any] | None) -> T:
    drive = drive_here()
    pool = thread_pool()
    if pool.max_size is None:
        job = launch(pool, None, drive, fn, args, kwargs or None)
    else:
        job = await drive.launch_when_free(pool, fn, args, kwargs or {})
    fibre = job._fibre
    if fibre is not None:
        await drive.until_done(job, fibre)
    elif drive.ctx is not None:
        drive.close()
    if job._exc is None:
        return job._value  # type: ignore[return-value]
    try:
        return drive.outcome(job)
    finally:
        del job  # no cycle through this frame


if NATIVE and not TYPE_CHECKING:
    from pausable._native import bind_run, instead_of

    _run_anywhere = _run

    async def _run(fn, args, kwargs):  # noqa: ANN001, ANN202  # as above
        driven = drive_job(fn, args, kwargs)
        if driven is None:
            return await _run_anywhere(fn, args, kwargs)
        await driven
        return driven.result()

    drive_job = bind_run(
        {
            "check_synchronous": check_synchronous,
            "coroutine": _run,
            "is_trio": is_trio,
            "modules": sys.modules,
        }
    )
    run = instead_of(run)

_run.__qualname__ = "pausable.run"  # what tasks and warnings show


def to_async(fn: Callable[P, T], /) -> Callable[P, Coroutine[Any, Any, T]]:
    """Make a coroutine function of a synchronous one: each call is a job, as by `run`.

    Use it as a decorator, `@pausable.to_async`, or wrap a function of somebody else's. Parameters,
    types, name and docstring stay. (`pausable.pausable` is the same.)

    Raises:
        TypeError: `fn` cannot be called, or is a coroutine function already.
    """
    check_synchronous(fn)

    @wraps(fn)
    async def call(*args: P.args, **kwargs: P.kwargs) -> T:
        return await _run(fn, args, kwargs)

    return call


class portal:  # noqa: N801  # reads as a statement: async with portal():
    """Let synchronous code pause in this task: `async with pausable.portal():`.

    In the block, code that the task's coroutine calls, and that calls `wait_for`, pauses the task,
    as if it awaited; no `run` is needed at each call. Inside another portal it does nothing.

    Each step of the task costs more than without, also where nothing pauses; other tasks, those
    that it creates too, are not in it. A cancellation is the coroutine's own
    business: it is raised once, at the `await` or the `wait_for`, and is not sticky.

    Pauses: the task, wherever code below it waits.
    Threads: the loop's.

    Raises:
        RuntimeError: no event loop is running.
        JobStateError: it is open already, or was entered by another task.
    """

    def __init__(self) -> None:
        self._takeover: Any = None

    async def __aenter__(self) -> None:
        if self._takeover is not None:
            raise JobStateError("this portal is open already; make one for each block")
        from pausable.loops._portal import in_portal

        if not in_portal():
            self._takeover = takeover_here()
            await self._takeover.enter()

    async def __aexit__(self, *_exc: object) -> None:
        takeover = self._takeover
        if takeover is not None:
            if not takeover.is_here():
                raise JobStateError(
                    "a portal can only be left by the task that has entered it: use `async with"
                    " pausable.portal():` in one coroutine"
                )
            self._takeover = None
            await takeover.leave()


def task_factory(
    loop: Any, coroutine: Coroutine[Any, Any, T] | Generator[Any, None, T], **options: Any
) -> Task[T]:
    """Make asyncio tasks that are in a `portal` from their first step to their last.

    Switch it on once: `asyncio.get_running_loop().set_task_factory(pausable.task_factory)`.
    """
    from pausable.loops import _asyncio_portal

    return _asyncio_portal.task_factory(loop, coroutine, **options)


def run_blocking(fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
    """Call fn(*args, **kwargs) as a job, and block this thread until it has ended.

    For scripts: what waits by descriptors, callbacks or polling is served as in an event loop, but
    nothing else goes on meanwhile. Ctrl-C unwinds the job.

    Pauses: never; it blocks the thread.
    Threads: any.
    Returns: what the call returns.

    Raises:
        TypeError: `fn` cannot be called.
        NoJobsAvailable: jobs of others fill the thread's pool.
        Exception: whatever the call raises.
    """
    from pausable.loops._blocking import ScriptLoop

    check_synchronous(fn)
    driver = ScriptLoop(thread_pool())
    try:
        job = driver.start(fn, args, kwargs)
        while not job.done():
            driver.step()
    finally:
        driver.close()
    return job.result()


def map(
    fn: Callable[..., T],
    /,
    *iterables: Iterable[Any],
    jobs: int = 64,
    as_completed: bool = False,
) -> Map[T]:
    """Call `fn` as the built-in `map` does, with up to `jobs` jobs in flight on this thread.

    Results come in the order of the arguments, or as calls end. Work goes on only while `next()`
    waits for one, and arguments are taken as jobs are started. What a call raises is raised in its
    place and ends the iteration; that, Ctrl-C, `close()` and the end of a `with` block unwind every
    job under way. A loop over the results that is left by `break` does not: use `with
    pausable.map(...) as results`.

    Pauses: never; it blocks the thread.
    Threads: the one that takes the first result.

    Args:
        jobs: the most jobs under way at once, 1 or more.
        as_completed: give each result as soon as its call has ended.

    Raises:
        TypeError, ValueError: bad arguments.
        NoJobsAvailable: jobs of others fill the thread's pool.
    """
    from pausable.loops._map import Map

    if not iterables:
        raise TypeError("map needs at least one iterable of arguments")
    return Map(fn, zip(*iterables, strict=False), jobs, as_completed=as_completed)
