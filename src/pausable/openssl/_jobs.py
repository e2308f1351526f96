"""ASYNC_JOB under OpenSSL's names, for each generation of the API: a thin face over `Job`.

Rules:

* A handle (`ASYNC_JOB`) is OpenSSL's pooled job object: it is used for one call after another, last
  in first out, so a stale copy of a handle means whatever runs on it now, as there.
* What OpenSSL defines is kept, odd or not: the pool counts jobs that are lost; a second init
  replaces the pool and strangers are adopted uncounted; the block counter belongs to the thread
  and outlives the job that raised it; the wait context of the first call stays in force.
* What OpenSSL leaves undefined (it has no checks, and corrupts memory) is refused: ASYNC_ERR, an
  error on the queue whose detail says what to do, and nothing lost. `ErrorQueue.refuse` is where.
* Jobs that were started and not finished are held by their thread, so that none is collected
  silently; when the thread ends they are unwound, as every job of pausable.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from pausable._fibre import NATIVE
from pausable._job import Job, JobFibre, current_fibre, launch, pause
from pausable._thread_local import get_ident, interpreters_local
from pausable._wait_context import WaitContext
from pausable._wakefd import WakeFd
from pausable.openssl import _err
from pausable.openssl._call import NO_COPY, Body, Dialect, JobFunction, copy_arguments, size_t
from pausable.openssl._err import ErrorQueue
from pausable.openssl._handles import ASYNC_JOB, Pool, ThreadState
from pausable.openssl._lib_ctx import OSSL_LIB_CTX_set0_default, get_default
from pausable.openssl._ref import Ref, expect, store
from pausable.openssl._wake import woken_by

__all__ = [
    "ASYNC_ERR",
    "ASYNC_FINISH",
    "ASYNC_NO_JOBS",
    "ASYNC_PAUSE",
    "JobFunctions",
]

#: Of `ASYNC_start_job`: something is wrong; the error queue says what.
ASYNC_ERR: Final = 0
#: The same: the pool is full; try again when a job has ended.
ASYNC_NO_JOBS: Final = 1
#: The same: the job has paused; call it again with the same `job`.
ASYNC_PAUSE: Final = 2
#: The same: the job has ended, and its result is in `ret`.
ASYNC_FINISH: Final = 3


class JobFunctions:
    """The job functions of one generation of the API."""

    def __init__(self, dialect: Dialect, errors: ErrorQueue) -> None:
        self._dialect = dialect
        self._errors = errors
        self._local = interpreters_local()

    # -- pools -----------------------------------------------------------------------------------

    def ASYNC_init_thread(self, max_size: int, init_size: int) -> int:
        """Give this thread a pool of jobs. Optional: the first start makes one without a limit.

        Called again, it replaces the pool; jobs that are under way go on, and are taken into the
        new pool, uncounted, when they finish.

        Args:
            max_size: the most jobs there may be; 0: no limit.
            init_size: jobs to make now; not more than `max_size`, not even where that is 0.
        Returns: 1; 0 with *invalid pool size*.
        See: ASYNC_init_thread(3)
        """
        max_size = size_t("max_size", max_size)
        init_size = size_t("init_size", init_size)
        if init_size > max_size:
            self._errors.put(
                _err.INVALID_POOL_SIZE,
                self._dialect.init_name,
                f"init_size {init_size} is more than max_size {max_size}; make it at most that",
            )
            return 0
        state = self._state()
        state.pool = pool = Pool(max_size)
        for _ in range(init_size):
            job = self._new_job(state)
            if job is None:
                break
            pool.idle.append(job)
            pool.curr_size += 1
        try:
            state.fibres.reserve(len(pool.idle))
        except MemoryError as exc:  # the others are made when they are needed
            self._errors.put(_err.MALLOC_FAILURE, self._dialect.init_name, str(exc))
        return 1

    def ASYNC_cleanup_thread(self) -> None:
        """Free the idle jobs of this thread's pool, the pool and its limit.

        No job should be under way. One that is can still be resumed; when it finishes, its result
        is stored, but ASYNC_start_job returns ASYNC_ERR with *internal error*.

        See: ASYNC_cleanup_thread(3)
        """
        if current_fibre() is not None:
            self._errors.refuse("ASYNC_cleanup_thread", "called in a job; let the job finish first")
            return
        state = self._state()
        state.free_pool()
        state.blocked = 0
        state.life += 1
        state.fibres.shrink()

    # -- starting and resuming -------------------------------------------------------------------

    def ASYNC_start_job(
        self,
        job: Ref | None,
        ctx: WaitContext | None,
        ret: Ref | None,
        func: JobFunction | None,
        args: Any,
        size: int,
    ) -> int:
        """Start a job, or resume the one in `job`.

        Runs func(args) until it calls ASYNC_pause_job or returns. What it raises comes out of the
        call that ran it.

        Args:
            job: where the handle is; NULL in it starts a job.
            ctx: where the job waits. May be NULL for a job that is never resumed.
            ret: set to what `func` returned, on ASYNC_FINISH.
            func: takes the arguments, returns an int; ignored when resuming, as all below.
            args: `size` bytes of a bytes-like object are copied, and `func` gets a bytearray of
                its own; any other object is passed as it is.
            size: the number of bytes.

        Returns:
            ASYNC_PAUSE: the handle is in `job`; resume it when it was woken, or to see.
            ASYNC_FINISH: `ret` is set, and `job` is NULL again.
            ASYNC_NO_JOBS: the pool is at its limit, or there is no memory for a stack (then there
                is *malloc failure* on the error queue); try again later.
            ASYNC_ERR: see the error queue.
        See: ASYNC_start_job(3)
        """
        expect("job", job, Ref)
        expect("ctx", ctx, WaitContext)
        expect("ret", ret, Ref)
        if job is None:
            return self._errors.null("ASYNC_start_job", "job")
        expect("job.value", job.value, ASYNC_JOB)
        fibre = current_fibre()
        if fibre is not None:
            return self._start_nested(fibre, job)
        if job.value is None:
            return self._start(job, ctx, ret, func, args, size)
        return self._resume(job, ret)

    def _start(
        self,
        slot: Ref,
        ctx: WaitContext | None,
        ret: Ref | None,
        func: JobFunction | None,
        args: Any,
        size: int,
    ) -> int:
        if func is None:
            return self._errors.null("ASYNC_start_job", "func")
        if not callable(func):
            raise TypeError(f"func has to be callable, not {func!r}")
        if ctx is not None and ctx.closed:
            return self._errors.refuse("ASYNC_start_job", "ctx was freed; make another")
        state = self._state()
        job = self._take(state)
        if job is None:
            return ASYNC_NO_JOBS
        pool = state.pool
        assert pool is not None
        copied = copy_arguments(self._dialect, self._errors, args, size)
        if copied is NO_COPY:
            pool.idle.append(job)
            return ASYNC_ERR
        job._ctx = ctx
        job._resumed = False
        job._thread_life = state.life
        job._lib_ctx = get_default()
        own = ctx if ctx is not None or job._wake_fd is None else woken_by(job._wake_fd)
        state.outstanding.add(job)
        body = Body(state, job, func, copied)
        return self._run(
            state, slot, ret, job, lambda: launch(state.fibres, own, None, body, (), None)
        )

    def _resume(self, slot: Ref, ret: Ref | None) -> int:
        job: ASYNC_JOB = slot.value
        what_now = self._why_not_resumable(job)
        if what_now:
            return self._errors.refuse("ASYNC_start_job", what_now)
        state, core = job._state, job._job
        assert state is not None
        assert core is not None
        assert core._fibre is not None
        core._fibre.block(state.blocked)
        job._resumed = True

        def resume() -> Job[Any]:
            core.resume()
            return core

        return self._run(state, slot, ret, job, resume)

    def _run(
        self,
        state: ThreadState,
        slot: Ref,
        ret: Ref | None,
        job: ASYNC_JOB,
        enter: Callable[[], Job[Any]],
    ) -> int:
        """Let the job run, and report what came of it."""
        callers = OSSL_LIB_CTX_set0_default(job._lib_ctx if self._dialect.has_lib_ctx else None)
        try:
            job._job = core = enter()
        except MemoryError as exc:  # there is no stack for it; what func raises is in `core`
            self._release(state, slot, job)
            self._errors.put(_err.MALLOC_FAILURE, "ASYNC_start_job", str(exc))
            return ASYNC_NO_JOBS
        except BaseException:  # Ctrl-C: the job has ended with it
            self._release(state, slot, job)
            raise
        finally:
            if self._dialect.has_lib_ctx:
                job._lib_ctx = OSSL_LIB_CTX_set0_default(callers)
        if not core.done():
            slot.value = job
            state.blocked = 0  # or it could not have paused
            return ASYNC_PAUSE
        released = self._release(state, slot, job)
        store(ret, core.result())
        if not released:
            return self._errors.refuse(
                "ASYNC_start_job",
                "the job finished after the thread was cleaned up; its result is in ret",
            )
        return ASYNC_FINISH if ret is not None else self._errors.null("ASYNC_start_job", "ret")

    def _release(self, state: ThreadState, slot: Ref, job: ASYNC_JOB) -> bool:
        """Put a job that ended back into the pool; tell whether there is one."""
        slot.value = None
        job._job = None
        job._ctx = None
        state.outstanding.discard(job)
        if state.pool is None or job._thread_life != state.life:
            job.free()
            return False
        state.pool.idle.append(job)
        return True

    def _start_nested(self, fibre: JobFibre, slot: Ref) -> int:
        outer = fibre.face
        defined = self._dialect.nested_start_is_defined
        if defined and slot.value is None and outer is not None and outer._resumed:
            return ASYNC_ERR
        return self._errors.refuse(
            "ASYNC_start_job",
            "called in a job; test ASYNC_get_current_job() first, or use pausable.start",
        )

    def _why_not_resumable(self, job: ASYNC_JOB) -> str:
        if job._state is None:
            return "the job was not started by ASYNC_start_job; who started it resumes it"
        if job._state.thread != get_ident():
            return "the job was started in another thread; resume it there"
        if job._job is None:
            return "the job has finished; set the variable to NULL to start another"
        if job._ctx is None and not self._dialect.has_wake_fd:
            return "the job was started with ctx NULL, which only suits one that never pauses"
        if job._ctx is not None and job._ctx.closed:
            return "the job's ctx was freed; free it after ASYNC_FINISH"
        if not job._job.paused:
            return "the job is not paused (it was started before a fork)"
        return ""

    def _take(self, state: ThreadState) -> ASYNC_JOB | None:
        """Return a job object to use, or None if there are as many as may be."""
        if state.pool is None:
            state.pool = Pool(0)
        pool = state.pool
        if pool.idle:
            return pool.idle.pop()
        if pool.max_size and pool.curr_size >= pool.max_size:
            return None
        job = self._new_job(state)
        if job is not None:
            pool.curr_size += 1
        return job

    def _new_job(self, state: ThreadState) -> ASYNC_JOB | None:
        job = ASYNC_JOB(state)
        if self._dialect.has_wake_fd:
            try:
                job._wake_fd = WakeFd()
            except OSError as exc:
                job.free()
                self._errors.put(_err.CANNOT_CREATE_WAIT_PIPE, "async_job_new", str(exc))
                return None
        return job

    # -- in a job --------------------------------------------------------------------------------

    def ASYNC_pause_job(self) -> int:
        """Return control to the caller of ASYNC_start_job, until the job is resumed.

        Does nothing outside a job or while pausing is blocked.

        Returns: 1, whether it paused or not.
        See: ASYNC_pause_job(3)
        """
        pause()
        return 1

    def ASYNC_get_current_job(self) -> ASYNC_JOB | None:
        """Return the running job, or None (NULL) outside jobs.

        In a job of `pausable.start` it is a handle too, for ASYNC_get_wait_ctx.

        See: ASYNC_get_current_job(3)
        """
        fibre = current_fibre()
        if fibre is None:
            return None
        if fibre.face is None:
            fibre.face = ASYNC_JOB(None)
            fibre.face._fibre = fibre
            fibre.notable = True
        face: ASYNC_JOB = fibre.face
        return face

    def ASYNC_get_wait_ctx(self, job: ASYNC_JOB | None) -> WaitContext | None:
        """Return the wait context that the job was started in; None for a finished job.

        See: ASYNC_get_wait_ctx(3)
        """
        expect("job", job, ASYNC_JOB)
        if job is None:
            self._errors.null("ASYNC_get_wait_ctx", "job")
            return None
        if job._fibre is not None:
            core = job._fibre.handle() if job._fibre.face is job else None
            return None if core is None else core.wait_ctx
        return job._ctx

    def ASYNC_block_pause(self) -> None:
        """Keep the running job from pausing; counts. Does nothing outside jobs.

        The count belongs to the thread: a job that ends with it above 0 stops all later ones from
        pausing. `pausable.pause_blocked` cannot be forgotten.

        See: ASYNC_block_pause(3)
        """
        fibre = current_fibre()
        if fibre is not None:
            fibre.block(+1)

    def ASYNC_unblock_pause(self) -> None:
        """Undo one ASYNC_block_pause. One too many is ignored.

        See: ASYNC_unblock_pause(3)
        """
        fibre = current_fibre()
        if fibre is not None:
            fibre.block(-1)

    def ASYNC_is_capable(self) -> int:
        """Return 1: jobs can pause on this platform.

        See: ASYNC_is_capable(3)
        """
        return 1

    def _state(self) -> ThreadState:
        try:
            state: ThreadState = self._local.state
        except AttributeError:
            state = self._local.state = ThreadState()
        return state


if NATIVE and not TYPE_CHECKING:
    from pausable._native import instead_of

    JobFunctions.ASYNC_block_pause = instead_of(JobFunctions.ASYNC_block_pause)
    JobFunctions.ASYNC_unblock_pause = instead_of(JobFunctions.ASYNC_unblock_pause)
