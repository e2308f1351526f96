"""What the drivers of all event loops do alike: being woken, and when to look again."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from contextvars import Context, copy_context
from typing import TYPE_CHECKING, Any, TypeVar

from pausable import _report
from pausable._driver import NO_SLOTS, Driver
from pausable._fibre import current
from pausable._job import Job, JobFibre, launch
from pausable._thread_local import get_ident
from pausable.errors import JobCancelled, NoJobsAvailable
from pausable.loops._hub import FdWatch, Hub
from pausable.loops._promise import Patience

if TYPE_CHECKING:
    from pausable._pool import JobPool
    from pausable._wait_context import WaitContext

__all__ = ["Drive", "context_of_task"]

T = TypeVar("T")


class Drive(Driver):
    """Resumes one job in the task that awaits `run`."""

    __slots__ = NO_SLOTS

    #: The wait context that the job made, if it did.
    ctx: WaitContext | None = None
    #: The task's cancellation, while the job is being unwound for it.
    cancellation: BaseException | None = None
    #: Whether the job was woken since it was last resumed.
    called = False

    _queued = False
    _patience: Patience | None = None
    _watch: FdWatch | None = None

    def __init__(self, hub: Hub, context: Context) -> None:
        self.context = context
        self.hub = hub

    async def launch_when_free(
        self,
        pool: JobPool,
        fn: Callable[..., T],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> Job[T]:
        """Start the job when the pool has room, first come, first served."""
        turn: int | None = None
        while True:
            turn = pool.when_free(self.wake, turn)
            try:
                await self.until_called()
            except BaseException:  # cancelled
                pool.stop_waiting(turn)
                raise
            try:
                return launch(pool, None, self, fn, args, kwargs or None)
            except NoJobsAvailable:
                continue

    # -- waking ----------------------------------------------------------------------------------

    def equip(self, ctx: WaitContext) -> None:
        """Be what wakes the job that waits in `ctx`, and what closes it."""
        self.ctx = ctx
        ctx.set_callback(self.wake)

    def wake(self) -> None:
        """Have the job resumed in its turn. Any thread, at any time."""
        if not self._queued:
            self._queued = True
            self.hub.wake(self)

    def wake_here(self, _what: object = None) -> None:
        """Have the job resumed in its turn. In the loop's thread, not in a signal handler."""
        if not self._queued:
            self._queued = True
            self.hub.wake_here(self)

    def go_on(self) -> None:
        """Have the job resumed now: it is its turn."""
        self._queued = False
        self.called = True
        self.release()

    @abstractmethod
    def release(self) -> None:
        """End `until_called`, if the task is in there."""

    @abstractmethod
    async def until_done(self, job: Job[Any], fibre: JobFibre) -> None:
        """Resume a paused job until it has ended."""

    @abstractmethod
    async def until_called(self) -> None:
        """Wait until `called`, and take that back."""

    @abstractmethod
    async def until_woken(self, ctx: WaitContext | None) -> None:
        """Wait until a job that waits in `ctx` may be worth resuming."""

    def next_look_s(self, ctx: WaitContext | None) -> float | None:
        """Watch what the job waits for; return when to look again unless it is woken before."""
        if ctx is not None and (self._watch is not None or ctx.has_fds()):
            if self._watch is None:
                self._watch = FdWatch(self.hub, ctx, self.wake_here)
            self._watch.update()
        if self._patience is None:
            self._patience = Patience()
        return self._patience.delay_s(ctx, all_watched=self._watch is None or self._watch.complete)

    def close(self) -> None:
        """Watch nothing any more, and close the job's wait context."""
        if self._watch is not None:
            self._watch.close()
            self._watch = None
        ctx, self.ctx = self.ctx, None
        if ctx is not None:
            ctx.close()

    def end(self, job: Job[Any], fibre: JobFibre) -> None:
        """Leave nothing behind. A job that has not ended is unwound."""
        try:
            # Nobody goes on with the coroutine, and there is no loop to await anything. If it is
            # garbage, the job may count as lost already, or this may be another thread.
            if job._fibre is not None and fibre.driver is self:
                fibre.driver = None
                if get_ident() == fibre.pool.thread:
                    job.close()
        finally:
            if job._fibre is fibre and fibre.cancel is not None:
                fibre.cancel.let_go()
            self.close()

    def outcome(self, job: Job[T]) -> T:
        """Return the result of a job that has ended, or raise what ended it: the task's own."""
        if self.cancellation is not None and isinstance(job._exc, JobCancelled):
            raise self.cancellation
        try:
            return job.result()
        finally:
            del job  # no cycle through this frame

    @staticmethod
    def is_unwinding(fibre: JobFibre) -> bool:
        """Tell whether the job is paused in cleanup code that is to be served."""
        request = fibre.cancel
        return request is not None and request.unwinding and not request.expired

    @staticmethod
    def knows(job: Job[Any]) -> bool:
        """Tell whether a job that was cancelled got the exception meanwhile, and goes on."""
        fibre = job._fibre
        return fibre is not None and (fibre.cancel is None or fibre.cancel.deliveries > 0)

    @staticmethod
    def cut_short(fibre: JobFibre) -> None:
        """Have the cleanup code of a cancelled job cancelled too: it took too long."""
        if fibre.cancel is not None:
            fibre.cancel.expired = True
            job = fibre.handle()
            _report.cleanup_cut_short(repr(job), job._stack_text() if job is not None else "")


def context_of_task() -> Context:
    """Return the running task's context, the object itself."""
    context: Context | None = current().gr_context
    if context is None:  # the thread has none of its own yet
        copy_context()
        context = current().gr_context
        assert context is not None
    return context
