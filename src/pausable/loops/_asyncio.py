"""Jobs in asyncio tasks.

Rules:

* The task that awaits `run` resumes the job, always, and the job runs in that task's context: so
  `asyncio.current_task()`, timeouts, cancel scopes and context variables in the job are the task's.
* What the job waits for with `wait_for` is awaited right here, in the task, as if the job's call
  were a coroutine. So a cancellation of the task reaches it as it would reach one.
* A cancellation is raised in the job as `TaskCancelled`, which is asyncio's exception and ours, so
  that scopes inside the job know it. It is sticky as long as the task is being cancelled: a scope
  that was left by it takes it back (`Task.uncancel`).
* Cleanup code is served: while the job unwinds, the task's further cancellations wait.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable
from types import CoroutineType
from typing import TYPE_CHECKING, Any, Final, TypeVar
from weakref import ref

from pausable import _running_loop
from pausable._driver import NO_SLOTS, discard
from pausable._fibre import NATIVE, current
from pausable._job import Job, JobFibre
from pausable.errors import JobCancelled
from pausable.loops._asyncio_cancel import (
    COUNTED,
    INTERRUPTION,
    CancelledError,
    TaskRequest,
    cancelling,
    current_task,
    of_scope,
    scopes_deadline,
    uncancel,
)
from pausable.loops._asyncio_fields import DriveFields
from pausable.loops._asyncio_hub import AsyncioHub, Turn, current_hub
from pausable.loops._drive import Drive, context_of_task
from pausable.loops._hub import TURNS

__all__ = ["AsyncioDrive", "new_drive"]

T = TypeVar("T")

FUTURES: Final = frozenset({asyncio.Future, asyncio.Task})


_running_loop.notice()


class AsyncioDrive(DriveFields, Drive):
    """Resumes one job in an asyncio task."""

    __slots__ = NO_SLOTS

    hub: AsyncioHub
    #: The task's cancellation, while the job is being unwound for it.
    cancellation: CancelledError | None

    # -- for the job -----------------------------------------------------------------------------

    def interrupt(self, job: Job[Any]) -> None:
        try:
            self.hub.loop.call_soon_threadsafe(self._interrupt, job)
        except RuntimeError:  # the loop is closed
            pass

    def _interrupt(self, job: Job[Any]) -> None:
        if not self.knows(job):
            self._end_wait()

    def _end_wait(self) -> None:
        if self._shield is not None:
            self._shield.cancel()
            return
        task = self._task()
        if self._awaiting and task is not None and not task.done():
            self._interrupted = True
            task.cancel(INTERRUPTION)
        else:
            self.go_on()

    def can_await(self, awaitable: Any) -> bool:
        kind = type(awaitable)
        if kind is CoroutineType:
            return True
        if kind in FUTURES or asyncio.isfuture(awaitable):
            # Not for one that is complete: that needs no pause.
            return awaitable.get_loop() is self.hub.loop and not awaitable.done()
        # Other futures are often awaitable too, but for a loop of their own (dask's).
        return hasattr(awaitable, "__await__") and not hasattr(awaitable, "add_done_callback")

    async def bounded(self, awaitable: Any, timeout_s: float) -> Any:
        try:
            return await asyncio.wait_for(awaitable, timeout_s)
        except asyncio.TimeoutError as exc:  # 3.10: not yet the built-in one
            raise TimeoutError(f"{awaitable!r} was not complete after {timeout_s} s") from exc

    def still_cancelled(self, args: tuple[Any, ...], *, delivered: bool) -> bool:
        """Tell whether a cancellation with `args` is to be raised in the job (again)."""
        if COUNTED:
            task = self._task()
            return task is not None and cancelling(task) > self._cancelling
        # Nobody can tell whether it is wanted still. anyio insists by itself.
        return not delivered or not of_scope(CancelledError(*args))

    # -- driving ---------------------------------------------------------------------------------

    async def drive_on(  # noqa: PLR0912  # a call less each, for what every await goes through
        self, job: Job[Any], fibre: JobFibre
    ) -> None:
        """Resume a paused job until it has ended, from its first pause or a later one."""
        hub = self.hub
        if not self.counted:
            self.counted = True
            hub.driven += 1
            task = current_task(hub.loop)
            if task is not None:
                self._task = ref(task)
                if COUNTED and (count := cancelling(task)):
                    # A cancellation that was not raised yet will be raised in here.
                    self._cancelling = count - bool(getattr(task, "_must_cancel", False))
            del task
        try:
            while True:
                awaited = self.awaited
                if awaited is None:
                    scoped = fibre.cancel is not None and self._in_scope(fibre)
                    try:
                        await self.until_woken(fibre.wait_ctx)
                    except CancelledError as exc:
                        self._cancel(job, fibre, exc, scoped=scoped)
                elif fibre.cancel is not None and self.is_unwinding(fibre):
                    await self._answer_shielded(awaited, scoped=self._in_scope(fibre))
                else:
                    self.awaited = None
                    self._awaiting = True
                    try:
                        self.value = await (
                            awaited if hub.driven <= TURNS else self._in_turn(awaited, job, fibre)
                        )
                    except GeneratorExit:
                        raise
                    except BaseException as exc:
                        self._fail(job, fibre, exc)
                    self._awaiting = False
                    self.answered = True
                if job._fibre is None or job.resume():
                    if self._late is not None:
                        self._late.raise_if_missed()
                    return
                if fibre.cancel is not None:
                    self._bound(job, fibre)
        finally:
            self.counted = False
            hub.driven -= 1
            if (
                job._fibre is not None
                or self.ctx is not None
                or self.cancellation is not None
                or self._interrupted
                or self._deadline is not None
            ):
                self.leave(job, fibre)

    if TYPE_CHECKING or not NATIVE:
        until_done = drive_on

    def leave(self, job: Job[Any], fibre: JobFibre) -> None:
        """Do what is due when the job has ended, or will not be driven any more."""
        if self._interrupted:
            self._forget_interruption()
        if self.cancellation is not None:
            self._forget_what_is_over(job)
        if job._fibre is not None or self.ctx is not None or self._deadline is not None:
            self.end(job, fibre)

    def _forget_what_is_over(self, job: Job[Any]) -> None:
        """Do not end the task by the cancellation of a scope in the job, which was left."""
        exc = self.cancellation
        if exc is None:
            return
        if COUNTED:
            over = not self.still_cancelled((), delivered=True)
        else:
            over = of_scope(exc) and type(job._exc) is JobCancelled
        if over:
            self.cancellation = None

    def close(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
        super().close()

    def _fail(self, job: Job[Any], fibre: JobFibre, exc: BaseException) -> None:
        """Have what was awaited raise in the job, or the task's cancellation."""
        self.exc = exc
        if not isinstance(exc, CancelledError):
            self._forget_interruption()
        else:
            # Before 3.11 nobody can tell them apart.
            mine = not COUNTED or self.still_cancelled(exc.args, delivered=False)
            if self._interrupted or mine:
                self._cancel(job, fibre, exc)

    def _cancel(
        self, job: Job[Any], fibre: JobFibre, exc: CancelledError, *, scoped: bool = False
    ) -> None:
        """Have the task's cancellation raised in the job."""
        if scoped and of_scope(exc) and fibre.cancel is not None:
            fibre.cancel.nested = exc
            return
        if self._interrupted:  # it was ours
            self._forget_interruption()
            if COUNTED:
                too = self.still_cancelled(exc.args, delivered=False)
            else:
                too = INTERRUPTION not in exc.args
            if not too:
                return
            if INTERRUPTION in exc.args:  # the other one's message is lost
                if scopes_deadline() == -math.inf:
                    return  # a scope goes on cancelling, with its own
                exc = CancelledError()
        self.cancellation = self.cancellation or exc
        if fibre.cancel is None and job._fibre is fibre:
            fibre.request_cancel(TaskRequest(self, exc, job), job)

    def _forget_interruption(self) -> None:
        if self._interrupted:
            self._interrupted = False
            if COUNTED and (task := self._task()) is not None:
                uncancel(task)

    def withdraw(self) -> None:
        """Take note that a scope in the job was left, and its cancellation with it."""
        self.cancellation = None
        if self._deadline is not None:  # the next one has its own time
            self._deadline.cancel()
            self._deadline = None

    def _in_scope(self, fibre: JobFibre) -> bool:
        """Tell whether cleanup code waits in a cancel scope of its own (anyio's)."""
        if fibre.cancel is None or not self.is_unwinding(fibre):
            return False
        return scopes_deadline() > -math.inf

    def _bound(self, job: Job[Any], fibre: JobFibre) -> None:
        """See to it that a job which was cancelled does not go on for ever."""
        self._forget_interruption()
        job._check_swallowed()
        if self._deadline is None:
            self._deadline = self.hub.loop.call_later(
                fibre.pool.cleanup_timeout_s, self._expire, fibre
            )

    def _expire(self, fibre: JobFibre) -> None:
        self.cut_short(fibre)
        self._end_wait()

    # -- waiting ---------------------------------------------------------------------------------

    def release(self) -> None:
        waiter = self._waiter()
        if waiter is not None and not waiter.done():
            waiter.set_result(None)

    async def until_called(self) -> None:
        if not self.called:
            waiter = self.hub.loop.create_future()
            self.set_waiter(waiter)
            await waiter
        self.called = False

    async def until_woken(self, ctx: Any) -> None:
        look_s = self.next_look_s(ctx)
        if self.called:
            self.called = False
            await asyncio.sleep(0)  # let others run once
        elif look_s is None:
            await self.until_called()
        elif look_s > 0:
            timer = self.hub.loop.call_later(look_s, self.wake_here)
            try:
                await self.until_called()
            finally:
                timer.cancel()
        elif self.hub.crowded:
            self.wake_here()
            await self.until_called()
        else:
            await asyncio.sleep(0)

    def _in_turn(self, awaited: Awaitable[T], job: Job[Any], fibre: JobFibre) -> Awaitable[T]:
        """Return what to await instead of `awaited`, together with very many others."""
        if asyncio.isfuture(awaited):
            return Turn(self, awaited)
        return self._in_turn_after(awaited, job, fibre)

    async def _in_turn_after(self, awaited: Awaitable[T], job: Job[Any], fibre: JobFibre) -> T:
        value = await awaited
        self.wake_here()
        try:
            await self.until_called()
        except CancelledError as exc:  # not here, or the value would be lost
            self._cancel_later(job, fibre, exc)
        return value

    def set_waiter(self, waiter: asyncio.Future[Any]) -> None:
        """Have the next turn call waiter.set_result(None)."""
        self._waiter = ref(waiter)

    def _cancel_later(self, job: Job[Any], fibre: JobFibre, exc: CancelledError) -> None:
        """Have the task's cancellation raised in the job at its next pause."""
        self._cancel(job, fibre, exc)
        request = fibre.cancel
        if job._fibre is fibre and isinstance(request, TaskRequest) and not request.deliveries:
            request.spare = True
            self._late = request

    async def _answer_shielded(self, awaited: Any, *, scoped: bool) -> None:
        """Await for cleanup code: further cancellations of the task do not concern it.

        In a task of its own, for the time limits of what is awaited cancel the task they are in.

        Args:
            awaited: what it awaits.
            scoped: a cancel scope's does, for the scope is the cleanup code's own.
        """
        self.awaited = None
        nested: CancelledError | None = None
        shield = self._shield = self._own_task(awaited)
        shield.add_done_callback(self.wake_here)
        try:
            while not shield.done():
                try:
                    await self.until_called()
                except CancelledError as exc:
                    if scoped and of_scope(exc):
                        nested = exc
                        shield.cancel()
                    else:
                        self.cancellation = self.cancellation or exc
        finally:
            self._shield = None
            shield.remove_done_callback(self.wake_here)
        try:
            self.value = shield.result()
        except BaseException as exc:
            self.exc = nested or exc if isinstance(exc, CancelledError) else exc
        self.answered = True

    def _own_task(self, awaited: Any) -> asyncio.Future[Any]:
        if COUNTED and asyncio.iscoroutine(awaited):  # since 3.11, in the task's context
            options: Any = {"context": self.context}
            task: asyncio.Future[Any] = self.hub.loop.create_task(awaited, **options)
        else:
            task = asyncio.ensure_future(awaited)
        return task


def new_drive() -> AsyncioDrive:
    """Return a driver for the running task.

    Raises:
        RuntimeError: no loop is running.
    """
    context = current().gr_context
    return AsyncioDrive(current_hub(), context_of_task() if context is None else context)


if NATIVE and not TYPE_CHECKING:
    from pausable._native import bind_asyncio

    new_drive = bind_asyncio(
        {
            "cancelling": asyncio.Task.cancelling,
            "coroutine_type": CoroutineType,
            "current_tasks": asyncio.tasks._current_tasks,
            "discard": discard,
            "done": asyncio.Future.done,
            "drive_type": AsyncioDrive,
            "future_type": asyncio.Future,
            "get_loop": asyncio.Future.get_loop,
            "get_running_loop": asyncio.get_running_loop,
            "new_drive": new_drive,
            "nobody": lambda: None,
            "task_type": asyncio.Task,
            "turns": TURNS,
        }
    )
