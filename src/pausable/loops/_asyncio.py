"""Jobs in asyncio tasks.

The task that awaits `run` resumes the job, always, and the job runs in that task's context: so
`asyncio.current_task()`, timeouts and context variables in the job are the task's.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextvars import copy_context
from typing import Any, TypeVar

from pausable._fibre import current_context
from pausable._job import Job
from pausable._threads import thread_pool
from pausable._wait_context import WaitContext
from pausable.errors import JobCancelled, NoJobsAvailable
from pausable.loops._promise import Patience

__all__ = ["run"]

T = TypeVar("T")


class _Wakeup:
    """Ends the task's wait, whoever calls it and whenever.

    Threads: `__call__` any; nothing happens after the loop was closed.
    """

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._called = False
        self._waiter: asyncio.Future[None] | None = None

    def __call__(self) -> None:
        # Also in the loop's own thread: a signal handler runs there while the loop sleeps.
        try:
            self._loop.call_soon_threadsafe(self._fire)
        except RuntimeError:  # the loop is closed: nobody waits any more
            pass

    def _fire(self) -> None:
        self._called = True
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    async def wait(self, delay_s: float | None) -> None:
        """Wait until called, or for `delay_s`; if it was called before, let others run once."""
        if self._called or delay_s == 0.0:
            self._called = False
            await asyncio.sleep(0)
            return
        self._waiter = self._loop.create_future()
        timer = None if delay_s is None else self._loop.call_later(delay_s, self._fire)
        try:
            await self._waiter
        finally:
            self._waiter = None
            self._called = False
            if timer is not None:
                timer.cancel()


class _Readers:
    """Keeps the loop watching exactly the descriptors of a wait context."""

    def __init__(self, ctx: WaitContext, ready: Callable[[], None]) -> None:
        self._ctx = ctx
        self._ready = ready
        self._loop = asyncio.get_running_loop()
        self._watched: set[int] = set()
        self.incomplete = False  # the loop cannot wait for one of the descriptors

    def update(self) -> None:
        added, deleted = self._ctx.changed_fds()
        if not added and not deleted:
            return
        wanted = {fd for fd in self._ctx.fds() if fd >= 0}
        # What was added may be a new file under an old number: the loop has to forget that first.
        fresh = wanted.intersection(added)
        for fd in self._watched - (wanted - fresh):
            self._loop.remove_reader(fd)
        self.incomplete = False
        for fd in wanted - (self._watched - fresh):
            try:
                self._loop.add_reader(fd, self._ready)
            except (OSError, ValueError, NotImplementedError):  # closed, a plain file, Windows
                self.incomplete = True
                wanted = wanted - {fd}
        self._watched = wanted

    def close(self) -> None:
        for fd in self._watched:
            self._loop.remove_reader(fd)
        self._watched = set()


async def run(fn: Callable[..., T], args: tuple[Any, ...], kwargs: dict[str, Any]) -> T:
    """Run a job in this task until it has ended."""
    wakeup = _Wakeup()
    with WaitContext() as ctx:
        ctx.set_callback(wakeup)
        job = await _start(ctx, fn, args, kwargs)
        if not job.done():
            await _drive(job, ctx, wakeup)
    return job.result()


async def _start(
    ctx: WaitContext, fn: Callable[..., T], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Job[T]:
    """Start the job when the thread's pool has room, first come, first served."""
    pool = thread_pool()
    turn: int | None = None
    while True:
        if pool.max_size is not None:
            room = _Wakeup()
            turn = pool.when_free(room, turn)
            try:
                await room.wait(None)
            except BaseException:  # cancelled
                pool.stop_waiting(turn)
                raise
        shared = current_context()
        if shared is None:  # no task: the thread has no context of its own yet
            copy_context()
            shared = current_context()
        try:
            return pool.launch_in(ctx, shared, fn, args, kwargs)
        except NoJobsAvailable:
            continue


async def _drive(job: Job[Any], ctx: WaitContext, wakeup: _Wakeup) -> None:
    """Resume the job until it has ended. If the task is cancelled, so is the job."""
    readers = _Readers(ctx, wakeup._fire)
    cancelled: asyncio.CancelledError | None = None
    patience = Patience()
    try:
        while not job.done():
            try:
                readers.update()
                await wakeup.wait(patience.delay_s(ctx, all_watched=not readers.incomplete))
            except asyncio.CancelledError as exc:
                cancelled = cancelled or exc
                job.cancel()
                continue
            job.resume()
    finally:
        readers.close()
        if not job.done():
            job.close()
    if cancelled is not None and isinstance(job.exception(), JobCancelled):
        raise cancelled
