"""Pools of fibres.

Rules:

* A fibre that becomes idle is used first (last in, first out): its memory is warm.
* `idle` is read and appended to by `_job` without asking. Whatever has to be noticed at the next
  start (a lost job), at every start (jobs are watched) or at the next end (somebody waits for a
  free fibre) is arranged by putting another list in its place, so that the common path tests
  nothing.
* A pool belongs to the thread that made it, as its fibres do.
"""

from __future__ import annotations

import bisect
import itertools
import sys
import weakref
from collections.abc import Callable
from types import FrameType
from typing import TYPE_CHECKING, Any, Final, NamedTuple, ParamSpec, SupportsIndex, TypeVar

from pausable import _job, _report, _running_loop
from pausable._fibre import NATIVE, Pool, stack_memory
from pausable._job import Job, JobFibre, launch
from pausable._lost import new_handle, unwind, unwind_a_step
from pausable._state import State
from pausable._thread_local import get_ident, when_thread_ends
from pausable._wait_context import WaitContext
from pausable._watch import wanted
from pausable.errors import (
    JobsOutstanding,
    JobStateError,
    NoJobsAvailable,
    WaitContextClosed,
    WrongThread,
)

if TYPE_CHECKING:
    from traceback import StackSummary

if NATIVE:
    from pausable._native import new_fibre

__all__ = ["JobPool", "PoolStats", "all_pools", "unwind_thread", "watch_all_pools"]

T = TypeVar("T")
P = ParamSpec("P")

#: A fibre made deeper in the stack than this part of the recursion limit is used for one job
#: only: it counts its depth from there for all its life, whoever uses it.
DEEP: Final = 1 / 4

#: Of a stack: less does not do for the interpreter's own C code.
MIN_STACK_BYTES: Final = 384 << 10
MAX_STACK_BYTES: Final = 1 << 30

#: How long cleanup code of a cancelled job may pause unless told otherwise.
CLEANUP_TIMEOUT_S: Final = 30.0

#: Of a fibre that has a job.
_BUSY: Final = (State.PAUSED, State.RUNNING)

#: Not a WeakSet: that cannot be copied while other threads make pools.
_pools: dict[weakref.ref[JobPool], None] = {}


def all_pools() -> list[JobPool]:
    """Return every pool of every thread."""
    return [pool for pool in (known() for known in list(_pools)) if pool is not None]


def watch_all_pools() -> None:
    """Have every pool look at what is `wanted` of jobs at its next start. Any thread."""
    wanted.update()
    if wanted.on:  # a pool that watches in vain finds that out by itself
        for pool in all_pools():
            pool.park()


def _forget(known: weakref.ref[JobPool]) -> None:
    _pools.pop(known, None)


class PoolStats(NamedTuple):
    """Figures of a pool at one moment."""

    #: Fibres that exist: idle + paused + running.
    size: int
    idle: int
    paused: int
    running: int
    #: The most fibres there may be; None: no limit.
    max_size: int | None
    #: Address space of their stacks. On greenlet 0: they have none of their own.
    mapped_bytes: int
    #: Memory of their stacks, without page tables. On greenlet: copies of the stacks of paused
    #: calls, as far as they are theirs alone.
    resident_bytes: int


class JobPool(Pool):
    """A bounded stock of reusable call stacks for jobs.

    Close it, or use `with`: a pool that is only forgotten keeps its memory until its thread ends,
    and its jobs that are paused are unwound then.

    Args:
        max_size: the most jobs that may be under way at once, 1 or more; None: no limit.
        init_size: fibres to make at once, 0 to `max_size`.
        stack_size_bytes: of each job's C stack, 384 KiB to 1 GiB; None: 1 MiB, and 2 MiB on
            Python 3.11. It is address space: memory is what a job touches of it. Less than that
            bounds recursion in C. Of no effect on greenlet (`pausable.backend`), where jobs use
            their thread's stack.

    Raises:
        TypeError, ValueError: a size is no int, or out of range.
    Threads: the one that made it.
    See: ASYNC_init_thread(3)
    Differs: 0 is no limit there, and a limit of 0 with a positive `init_size` is refused there.
    """

    def __init__(
        self,
        max_size: int | None = None,
        init_size: int = 0,
        *,
        stack_size_bytes: int | None = None,
    ) -> None:
        if max_size is not None:
            _check_size("max_size", max_size, 1)
        _check_size("init_size", init_size, 0)
        if max_size is not None and init_size > max_size:
            raise ValueError(
                f"init_size={init_size} is more than max_size={max_size}; lower the one or raise"
                " the other"
            )
        if stack_size_bytes is not None:
            _check_size("stack_size_bytes", stack_size_bytes, MIN_STACK_BYTES)
            if stack_size_bytes > MAX_STACK_BYTES:
                raise ValueError(
                    f"stack_size_bytes has to be {MAX_STACK_BYTES} or less, not {stack_size_bytes}"
                )
        self._stack_size_bytes = stack_size_bytes
        #: The most jobs that may be under way at once; None: no limit.
        self.max_size: Final = max_size
        _report.prepare()
        #: Seconds that the cleanup code of a cancelled job may pause before it is cut short.
        self.cleanup_timeout_s: float = CLEANUP_TIMEOUT_S
        #: The thread that the pool belongs to, as of `threading.get_ident()`.
        self.thread: Final = get_ident()
        self.idle: list[JobFibre] = []
        self._fibres: list[JobFibre] = []
        self._set_aside: list[list[JobFibre]] = []
        #: With their handles, if they have one still.
        self._lost: list[tuple[JobFibre, Job[Any] | None]] = []
        self._waiting: list[tuple[int, Callable[[], object]]] = []  # by turn
        self._turns = itertools.count()
        self._closed = False
        #: Whether its thread has ended.
        self.abandoned = False
        _pools[weakref.ref(self, _forget)] = None
        when_thread_ends(unwind_thread)
        if wanted.on:  # asked after the pool can be found by others: see watch_all_pools
            self.park()
        self.reserve(init_size)

    # -- starting ------------------------------------------------------------------------------

    def start(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Job[T]:
        """Start a job from this pool; otherwise as `pausable.start`.

        Raises:
            NoJobsAvailable: the pool has `max_size` jobs under way.
            WrongThread: the pool was made in another thread.
            TypeError: `fn` cannot be called.
        See: ASYNC_start_job(3)
        """
        self._check_thread()
        return launch(self, None, None, fn, args, kwargs or None)

    def start_in(
        self, wait_ctx: WaitContext, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs
    ) -> Job[T]:
        """Start a job that waits in `wait_ctx`, so that descriptors and callback last longer.

        Raises:
            JobStateError: another job waits in `wait_ctx`, or it was closed.
        See: ASYNC_start_job(3)
        Differs: OpenSSL forbids two jobs in one context but does not check.
        """
        self._check_thread()
        _check_free(wait_ctx)
        return launch(self, wait_ctx, None, fn, args, kwargs or None)

    def grow(self) -> JobFibre:
        """Return a fibre although `idle` is empty (for `launch`)."""
        self._reap()
        try:
            fibre = list.pop(self._idle_again())
        except IndexError:
            fibre = self._make_one_more()
        self._park_if_lost()
        return fibre

    def _make_one_more(self) -> JobFibre:
        if self.max_size is not None and len(self._fibres) >= self.max_size:
            self._drop_strays()
        if self.max_size is not None and len(self._fibres) >= self.max_size:
            raise NoJobsAvailable(
                f"all {self.max_size} jobs of the pool are under way (max_size={self.max_size});"
                " try again when one has ended, or make the pool larger"
            )
        if self._closed:
            raise JobStateError("the pool was closed; make a new JobPool")
        return self._new_fibre()

    def _drop_strays(self) -> None:
        """Forget fibres that are neither idle nor busy.

        Ctrl-C can hit a start when it has taken a fibre and has not noted it yet. They are not used
        again: if it was no Ctrl-C but a signal handler that starts a job, that start goes on.
        """
        idle = set(self._idle_again())
        self._fibres = [each for each in self._fibres if each.state in _BUSY or each in idle]

    def make_beside(self, kind: type[JobFibre]) -> JobFibre:
        """Return a fibre of another kind than the idle ones, for one job."""
        self._reap()
        idle = self._idle_again()
        if idle and self.max_size is not None and len(self._fibres) >= self.max_size:
            self.drop(list.pop(idle))
        if self.max_size is None or len(self._fibres) < self.max_size:
            fibre = self._new_fibre(kind)
        else:
            fibre = self._make_one_more()  # which says why not
        fibre.notable = fibre.transient = True
        self._park_if_lost()
        return fibre

    def _new_fibre(self, kind: type[JobFibre] | None = None) -> JobFibre:
        kind = kind or _job.kind
        if NATIVE and kind is JobFibre:  # each call counts from where it is started
            made: JobFibre = new_fibre(self)
            return made
        _running_loop.notice()
        depth = _depth()
        too_deep = depth > sys.getrecursionlimit() * DEEP
        fibre = kind(self, depth=depth, transient=too_deep)
        fibre.warm_up()
        self._fibres.append(fibre)
        return fibre

    def _check_thread(self) -> None:
        if get_ident() != self.thread:
            raise WrongThread(
                f"the pool was made in {_report.thread_name(self.thread)} and can only be used"
                f" there, not in {_report.thread_name(get_ident())}; make a JobPool in each thread"
            )

    # -- its stock -----------------------------------------------------------------------------

    def reserve(self, count: int) -> None:
        """Have at least `count` fibres idle, as far as `max_size` allows."""
        self._check_thread()
        self._reap()
        idle = self._idle_again()
        most = sys.maxsize if self.max_size is None else self.max_size
        while len(idle) < count and len(self._fibres) < most:
            idle.append(self._new_fibre())
        self._park_if_lost()

    def shrink(self, keep: int = 0) -> int:
        """Give back the memory of idle fibres, all but `keep` of them; return how many went.

        Differs: OpenSSL gives it back only with the whole pool.
        """
        _check_size("keep", keep, 0)
        self._check_thread()
        self._reap()
        idle = self._idle_again()
        dropped = [list.pop(idle) for _ in range(len(idle) - keep)]
        gone = set(dropped)
        self._fibres = [fibre for fibre in self._fibres if fibre not in gone]
        for fibre in dropped:
            fibre.retire()
        self._park_if_lost()
        return len(dropped)

    def drop(self, fibre: JobFibre) -> None:
        """Forget a fibre that is not to be used again."""
        self._fibres.remove(fibre)
        fibre.retire()
        self._announce()

    def stats(self) -> PoolStats:
        """Return figures. It asks the system about each native stack: 1 to 2 µs for each.

        Threads: any.
        """
        fibres = list(self._fibres)
        states = [fibre.state for fibre in fibres]
        paused = states.count(State.PAUSED)
        running = states.count(State.RUNNING)
        mapped_bytes, resident_bytes = stack_memory(fibres)
        return PoolStats(
            size=len(states),
            idle=len(states) - paused - running,
            paused=paused,
            running=running,
            max_size=self.max_size,
            mapped_bytes=mapped_bytes,
            resident_bytes=resident_bytes,
        )

    def under_way(self) -> int:
        """Return how many jobs are paused or running. Any thread."""
        return sum(fibre.state in _BUSY for fibre in list(self._fibres))

    def jobs(self) -> list[Job[Any]]:
        """Return the jobs that are under way. Any thread."""
        handles = [fibre.handle() for fibre in list(self._fibres) if fibre.state in _BUSY]
        return [job for job in handles if job is not None]

    # -- waiting for a free one ------------------------------------------------------------------

    def when_free(self, callback: Callable[[], object], turn: int | None = None) -> int:
        """Call `callback` once when a job may be started; first come, first served.

        Called at the end of a job, or at once if there is room now; by any thread when a job was
        lost. Somebody else's start may come in between: then wait again, with the same `turn`.

        Returns: whose turn it is, for that.
        """
        self._reap()
        if turn is None:
            turn = next(self._turns)
        if self._has_room() and (not self._waiting or turn < self._waiting[0][0]):
            callback()
            return turn
        bisect.insort(self._waiting, (turn, callback))
        if not isinstance(self.idle, _Announcing):
            self.idle = _Announcing(self, self.idle)
        return turn

    def stop_waiting(self, turn: int) -> None:
        """Take back `when_free`. If the callback was called, it is the next one's turn now."""
        before = len(self._waiting)
        self._waiting = [waiting for waiting in self._waiting if waiting[0] != turn]
        if len(self._waiting) == before and self._has_room():
            self._announce()

    def _has_room(self) -> bool:
        if self.idle or self._set_aside or self._lost:
            return True
        return self.max_size is None or len(self._fibres) < self.max_size

    def _announce(self) -> None:
        if self._waiting:
            self._waiting.pop(0)[1]()
        elif type(self.idle) is _Announcing:
            self.idle = list(self.idle)

    # -- lost jobs -------------------------------------------------------------------------------

    def adopt_lost(
        self, fibre: JobFibre, why: Callable[[StackSummary, StackSummary | None], None]
    ) -> None:
        """Take over a paused job that nobody will go on with, and tell `why` (of `_report`).

        It is unwound at the next start, not here: here is in the middle of other code.

        Threads: any, also while garbage is collected.
        """
        if fibre.state is not State.PAUSED:
            return
        fibre.driver = None
        self._lost.append((fibre, fibre.handle()))
        self._park_if_lost()
        if self._waiting:
            self._waiting.pop(0)[1]()
        why(fibre.stack(), fibre.created())

    def _park_if_lost(self) -> None:
        """Have the next start come by `grow`, if there are lost jobs."""
        missed = wanted.on and type(self.idle) not in {_Watched, _Parked}  # while idle was replaced
        if self._lost or missed:
            self.park()

    def park(self) -> None:
        """Have the next start come by `grow`. Any thread."""
        self._set_aside.append(self.idle)
        self.idle = _Parked(self)

    def _idle_again(self) -> list[JobFibre]:
        """Return the list of idle fibres, in its place again.

        Use what is returned, not `idle`: that may be set aside again at any time, by any thread, or
        by a collection of garbage that finds a lost job.
        """
        while True:
            idle = self.idle
            in_vain = type(idle) is _Watched and not wanted.on
            if not self._set_aside and type(idle) is not _Parked and not in_vain:
                return idle
            aside = list(self._set_aside)
            parts = [fibre for part in [*aside, self.idle] for fibre in part]
            # Each once, and only if it is idle: two threads may have set the same list aside.
            all_idle = [fibre for fibre in dict.fromkeys(parts) if fibre.state is State.ENDED]
            self.idle = self._as_needed([each for each in all_idle if type(each) is _job.kind])
            del self._set_aside[: len(aside)]  # what was added meanwhile is next
            for fibre in all_idle:
                if type(fibre) is not _job.kind:  # greenlet has come, and jobs run on that now
                    self._fibres.remove(fibre)
                    fibre.retire()

    def _reap(self) -> None:
        """Use `idle` again and unwind lost jobs, which may have it set aside again."""
        self._idle_again()
        for _ in range(len(self._lost)):
            if not self._lost:  # the cleanup of one has started a job, which saw to the others
                break
            fibre, job = self._lost.pop(0)
            if job is None and fibre.state is State.PAUSED:
                job = new_handle(fibre)
            if job is None or not job.paused:
                continue
            if not fibre.can_be_entered() or not unwind_a_step(job):
                self._lost.append((fibre, job))  # not here, or cleaning up: at the next start

    def _as_needed(self, idle: list[JobFibre]) -> list[JobFibre]:
        if wanted.on:
            return _Watched(self, idle)
        return _Announcing(self, idle) if self._waiting else idle

    # -- end -------------------------------------------------------------------------------------

    def close(self, *, cancel: bool = False) -> None:
        """Give back all memory; the pool cannot be used any more. Closing twice does nothing.

        Args:
            cancel: unwind jobs that are paused still (each as `Job.close`).

        Raises:
            JobsOutstanding: jobs are under way and `cancel` is false, or they did not end.
        See: ASYNC_cleanup_thread(3)
        Differs: OpenSSL leaks jobs that are under way.
        """
        self._check_thread()
        self._reap()
        if cancel:
            tried: set[Job[Any]] = set()
            # Again and again: the cleanup code of one job may pause or drop another.
            while jobs := [job for job in self._paused() if job not in tried]:
                tried.update(jobs)
                for job in jobs:
                    unwind(job)
        self._lost.clear()
        self._refuse_outstanding()
        self._closed = True
        self.shrink()
        while self._waiting:  # they will be refused
            self._waiting.pop(0)[1]()

    def _paused(self) -> list[Job[Any]]:
        """Return handles of all jobs that are paused, also of those that have lost theirs."""
        paused = [fibre for fibre in self._fibres if fibre.state is State.PAUSED]
        return [fibre.handle() or new_handle(fibre) for fibre in paused]

    def _refuse_outstanding(self) -> None:
        lost = self._paused()  # held: so that those whose handle is gone are among them
        jobs = self.jobs()
        del lost
        if jobs:
            names = ", ".join(repr(job) for job in jobs[:10])
            more = f" and {len(jobs) - 10} more" if len(jobs) > 10 else ""
            raise JobsOutstanding(
                f"{len(jobs)} jobs are under way: {names}{more}; finish or close() them first, or"
                " pass cancel=True",
                tuple(jobs),
            )

    def __enter__(self) -> JobPool:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close(cancel=exc[0] is not None)

    def __repr__(self) -> str:
        states = [fibre.state for fibre in list(self._fibres)]
        paused = states.count(State.PAUSED)
        idle = len(states) - paused - states.count(State.RUNNING)
        return f"<JobPool paused={paused} idle={idle} max_size={self.max_size}>"

    def after_fork(self) -> list[JobFibre]:
        """In the child of a fork: let go of everything; return the fibres, to be kept for ever.

        Paused jobs are dead here, and must not be unwound: that happens in the parent.
        """
        inherited = self._fibres
        self._fibres = []
        for fibre in inherited:
            if fibre.wait_ctx is not None:
                fibre.wait_ctx.after_fork()
            if fibre.state is State.PAUSED:
                fibre.state = State.FORKED
            elif fibre.state is State.RUNNING:
                fibre.block(1 << 30)  # it runs on here as a plain call
                self._fibres.append(fibre)
        self.idle = self._as_needed([])
        self._set_aside.clear()
        self._lost.clear()
        self._waiting.clear()
        return inherited


class _Announcing(list[JobFibre]):
    """Stands in for `JobPool.idle` while somebody waits for a free fibre."""

    def __init__(self, pool: JobPool, idle: list[JobFibre]) -> None:
        super().__init__(idle)
        self._pool = pool

    def append(self, fibre: JobFibre) -> None:
        super().append(fibre)
        self._pool._announce()


class _Watched(_Announcing):
    """Stands in for `JobPool.idle` while jobs are watched: every start has to come by `grow`."""

    def pop(self, _index: SupportsIndex = -1) -> JobFibre:
        raise IndexError("taken by JobPool.grow only")


class _Parked(list[JobFibre]):
    """Stands in for `JobPool.idle` while a lost job waits for the next start: it stays empty."""

    def __init__(self, pool: JobPool) -> None:
        super().__init__()
        self._pool = pool

    def append(self, fibre: JobFibre) -> None:
        self._pool._set_aside.append([fibre])
        self._pool._announce()


def unwind_thread(thread: int) -> None:
    """Unwind every paused job of the calling thread, of all its pools; the thread is ending."""
    for pool in all_pools():
        if pool.thread == thread and not pool.abandoned:
            pool.abandoned = True  # a later thread may have the same number
            try:
                pool.close(cancel=True)
            except JobsOutstanding:
                pass  # each has been reported


def _check_free(wait_ctx: WaitContext) -> None:
    """Refuse a context that no job can be started in."""
    if not isinstance(wait_ctx, WaitContext):
        raise TypeError(f"wait_ctx has to be a WaitContext, not {wait_ctx!r}")
    if wait_ctx.closed:
        raise WaitContextClosed(f"{wait_ctx!r} was closed; start the job in a new one")
    if wait_ctx._jobs:
        raise JobStateError(
            f"{wait_ctx!r} is in use by another job; a context serves one job at a time: wait"
            " until that one has ended, or use a context for each"
        )


def _check_size(what: str, size: object, least: int) -> None:
    if not isinstance(size, int) or isinstance(size, bool):
        raise TypeError(f"{what} has to be an int{' or None' if least else ''}, not {size!r}")
    if size < least:
        hint = "; None means no limit" if least else ""
        raise ValueError(f"{what} has to be {least} or more, not {size}{hint}")


def _depth() -> int:
    """Count the calls below this one, those below the jobs that it is in among them."""
    depth = 0
    frame: FrameType | None = sys._getframe()
    while frame is not None:
        depth += 1
        frame = frame.f_back
    fibre = _job.enclosing_fibre()
    return depth if fibre is None else depth + int(fibre.depth)


if NATIVE and not TYPE_CHECKING:
    from pausable._native import bind_hooks, take_over

    take_over(JobPool)
    bind_hooks({"notice": _running_loop.notice, "refuse_context": _check_free})
