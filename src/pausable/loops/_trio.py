"""Jobs in trio tasks.

Rules:

* The task that awaits `run` resumes the job, always, in its own context: so trio's current task,
  cancel scopes and context variables in the job are the task's.
* What the job waits for with `wait_for` is awaited right here, in the task.
* A cancellation is raised in the job as trio's own exception, the very object: a cancel scope
  that was entered in the job has to know it. It is raised again as long as the task is cancelled.
* Cleanup code is served: while the job unwinds, its waits are shielded, for a bounded time.
"""

from __future__ import annotations

import math
import os
import stat
from typing import Any

import trio

from pausable import _watch
from pausable._cancel import CancelRequest
from pausable._fibre import NATIVE, Fibre
from pausable._frames import hide
from pausable._job import Job, JobFibre
from pausable._mixed import when_mixed
from pausable.errors import JobCancelled
from pausable.loops._drive import Drive, context_of_task
from pausable.loops._hub import Hub

__all__ = ["TrioDrive", "current_hub", "new_drive"]


class _Request(CancelRequest):
    """A cancellation that reached the task."""

    def __init__(self, drive: TrioDrive, exc: trio.Cancelled, job: Job[Any]) -> None:
        super().__init__("", job)
        self._drive = drive
        self._exc = exc
        self._origin = _origin_of_cancellation()

    def exception(self) -> BaseException:
        return self._exc

    def due(self) -> bool:
        if _is_cancelled() and _origin_of_cancellation() is self._origin:
            return True
        self._drive.expires = math.inf  # the next one has its own time
        return False

    def let_go(self) -> None:
        self._exc.__traceback__ = None


def _is_cancelled() -> bool:
    """Tell whether the running task is in a scope that was cancelled."""
    return trio.current_effective_deadline() == -math.inf


def _origin_of_cancellation() -> object:
    """Return what stands for the outermost scope around the running task that was cancelled.

    Nothing public tells a cancellation that was swallowed from that of the next scope. Where trio
    does not have this either, they count as one.
    """
    status = getattr(trio.lowlevel.current_task(), "_cancel_status", None)
    origin = None
    while getattr(status, "effectively_cancelled", False):
        origin = status
        status = getattr(status, "_parent", None)
    return origin


class TrioHub(Hub):
    """The drivers of one trio run."""

    def __init__(self) -> None:
        super().__init__()
        self.token = trio.lowlevel.current_trio_token()
        self._scopes: dict[int, trio.CancelScope] = {}

    def _schedule_from_anywhere(self) -> None:
        try:
            self.token.run_sync_soon(self.turn)
        except trio.RunFinishedError:  # nobody waits any more
            pass

    def _schedule(self) -> None:
        self._schedule_from_anywhere()

    def _register(self, fd: int) -> bool:
        try:
            mode = os.fstat(fd).st_mode
        except OSError:  # closed
            return False
        if stat.S_ISREG(mode) or stat.S_ISDIR(mode):  # always readable, and nothing to wait for
            return False
        scope = self._scopes[fd] = trio.CancelScope()
        trio.lowlevel.spawn_system_task(
            self._watch_until_cancelled, fd, scope, name=f"pausable watches descriptor {fd}"
        )
        return True

    async def _watch_until_cancelled(self, fd: int, scope: trio.CancelScope) -> None:
        with scope:
            try:
                while True:
                    await trio.lowlevel.wait_readable(fd)
                    self.readable(fd)
            except (OSError, trio.BusyResourceError, trio.ClosedResourceError):
                self.cannot_watch(fd)

    def _unregister(self, fd: int) -> None:
        scope = self._scopes.pop(fd, None)
        if scope is not None:  # else it could not be registered anew
            scope.cancel()


_hub: trio.lowlevel.RunVar[TrioHub] = trio.lowlevel.RunVar("pausable's hub")


# Ctrl-C is to be raised in a job as in other code of a task. trio looks for what forbids that in
# the frames below, and those of a job end here.
def _run(fn: Any, args: Any, kwargs: Any) -> Any:
    return fn(*args, **kwargs) if kwargs else fn(*args)


if NATIVE:
    for outermost in (_run, _watch.run):
        trio.lowlevel.disable_ki_protection(outermost)
    hide(_run.__code__)
    when_mixed(lambda kind: trio.lowlevel.disable_ki_protection(kind.run))
else:
    trio.lowlevel.disable_ki_protection(Fibre.run)


class TrioDrive(Drive):
    """Resumes one job in a trio task."""

    hub: TrioHub

    outermost = staticmethod(_run) if NATIVE else None

    #: When the cleanup code of a cancelled job has had its time.
    expires = math.inf

    _scope: trio.CancelScope | None = None
    _waiting: trio.lowlevel.Task | None = None

    # -- for the job -----------------------------------------------------------------------------

    def interrupt(self, job: Job[Any]) -> None:
        try:
            self.hub.token.run_sync_soon(self._interrupt, job)
        except trio.RunFinishedError:
            pass

    def _interrupt(self, job: Job[Any]) -> None:
        if self._scope is not None and not self.knows(job):
            self._scope.cancel()

    def can_await(self, awaitable: Any) -> bool:
        # Futures are often awaitable too, but for a loop of their own kind.
        return hasattr(awaitable, "__await__") and not hasattr(awaitable, "add_done_callback")

    async def bounded(self, awaitable: Any, timeout_s: float) -> Any:
        with trio.move_on_after(timeout_s):
            return await awaitable
        raise TimeoutError(f"{awaitable!r} was not complete after {timeout_s} s")

    # -- driving ---------------------------------------------------------------------------------

    async def until_done(self, job: Job[Any], fibre: JobFibre) -> None:
        self.hub.driven += 1
        try:
            while True:
                awaited, self.awaited = self.awaited, None
                try:
                    await self._wait(fibre, awaited)
                except GeneratorExit:
                    raise
                except BaseException as exc:
                    if isinstance(exc, trio.Cancelled):
                        self._cancel(job, fibre, exc, at_pause=awaited is None)
                    elif awaited is None:
                        raise
                    if awaited is not None:
                        self.exc = exc
                self.answered = True
                if job._fibre is None or job.resume():
                    return
                if fibre.cancel is not None:
                    self._bound(job, fibre)
        finally:
            self.hub.driven -= 1
            self.end(job, fibre)

    def _cancel(
        self, job: Job[Any], fibre: JobFibre, exc: trio.Cancelled, *, at_pause: bool
    ) -> None:
        """Have a cancellation raised in the job."""
        if job._fibre is not fibre:
            return
        if fibre.cancel is None:
            fibre.request_cancel(_Request(self, exc, job), job)
        elif at_pause:
            fibre.cancel.nested = exc

    def _bound(self, job: Job[Any], fibre: JobFibre) -> None:
        """See to it that a job which was cancelled does not go on for ever."""
        job._check_swallowed()
        if self.expires == math.inf:
            self.expires = trio.current_time() + fibre.pool.cleanup_timeout_s

    async def _wait(self, fibre: JobFibre, awaited: Any) -> None:
        """Wait for what the job waits for; give up when the job is cancelled by hand."""
        unwinding = fibre.cancel is not None and self.is_unwinding(fibre)
        # Cleanup code that shields itself may have a time limit of its own.
        self._scope = trio.CancelScope(shield=unwinding and _is_cancelled())
        if unwinding:
            self._scope.deadline = self.expires
        try:
            with self._scope as scope:
                if awaited is None:
                    await self.until_woken(fibre.wait_ctx)
                else:
                    self.value = await awaited
                    if self.hub.crowded:
                        self.wake_here()
                        with trio.CancelScope(shield=True):  # or the value would be lost
                            await self.until_called()
            if scope.cancelled_caught:
                if awaited is not None:
                    self.exc = JobCancelled("what the job waited for was cancelled with it")
                if unwinding:
                    self.cut_short(fibre)
        finally:
            self._scope = None

    # -- waiting ---------------------------------------------------------------------------------

    def release(self) -> None:
        if self._waiting is not None:
            task, self._waiting = self._waiting, None
            trio.lowlevel.reschedule(task)

    def _abort(self, _raise_cancel: object) -> trio.lowlevel.Abort:
        self._waiting = None
        return trio.lowlevel.Abort.SUCCEEDED

    async def until_called(self) -> None:
        if not self.called:
            self._waiting = trio.lowlevel.current_task()
            await trio.lowlevel.wait_task_rescheduled(self._abort)
        self.called = False

    async def until_woken(self, ctx: Any) -> None:
        look_s = self.next_look_s(ctx)
        if self.called:
            self.called = False
            await trio.lowlevel.checkpoint()  # let others run once
        elif look_s is None:
            await self.until_called()
        elif look_s > 0:
            with trio.move_on_after(look_s) as looks:
                await self.until_called()
            if looks.cancelled_caught and self.hub.crowded:
                self.wake_here()
                await self.until_called()
        elif self.hub.crowded:
            self.wake_here()
            await self.until_called()
        else:
            await trio.lowlevel.checkpoint()


def current_hub() -> TrioHub:
    """Return the hub of this trio run."""
    try:
        return _hub.get()
    except LookupError:
        hub = TrioHub()
        _hub.set(hub)
        return hub


def new_drive() -> TrioDrive:
    """Return a driver for the running task."""
    return TrioDrive(current_hub(), context_of_task())
