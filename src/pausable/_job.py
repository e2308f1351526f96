"""Jobs: the fast path of start, pause, resume and end, all of it in this module.

Rules:

* The hot state lives on the fibre (`JobFibre`), which the running code finds by asking which stack
  it is on: no thread-local look-up, and right under gevent, which makes those per greenlet.
* The fibre holds its `Job` strongly only until the first pause; from then on weakly. So a paused
  job whose handle is dropped is noticed (`JobFibre.lost`), although the frames on its own stack
  keep the fibre itself alive for ever.
* Nothing is written before the thread was checked: `resumer` is compared first, and only a
  new resumer is looked at closely. A resume from a wrong thread leaves no trace.
* Only `state is ENDED` means that a call has ended. If control comes back to a resumer in another
  way, somebody switched greenlets by hand, and that is said.
* Everything rare hides behind two flags, so that the common path tests little: `alert` (pausing is
  blocked, the job is cancelled or watched) at a pause, `notable` (`_settle` has work) at the end.
* A job runs in a copy of its starter's context, so that what it sets is not seen by others while
  it is paused; what it changed is set in the context of whoever sees it end. A driver that has a
  context of its own for the job (asyncio: the task's) shares that instead.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from contextvars import Context, copy_context
from typing import TYPE_CHECKING, Any, Final, TypeVar
from weakref import ref

from pausable import _report, _watch
from pausable._cancel import MAX_DELIVERIES, CancelRequest
from pausable._fibre import NATIVE, Fibre, FibreError, FibreExit, current, enclosing
from pausable._frames import hide, is_hidden
from pausable._handle import Handle, call_back
from pausable._patience import check_timeout, wait_until_awake
from pausable._state import State, Step, why_not
from pausable._thread_local import get_ident
from pausable._wait_context import WaitContext
from pausable.errors import (
    CancelSwallowed,
    JobStateError,
    WrongThread,
)

if TYPE_CHECKING:
    from traceback import StackSummary

    from pausable._driver import Driver
    from pausable._pool import JobPool
    from pausable._running_loop import OwnLoop

__all__ = [
    "Job",
    "JobFibre",
    "JobFibreBase",
    "can_pause",
    "current_fibre",
    "current_job",
    "current_wait_ctx",
    "enclosing_fibre",
    "launch",
    "pause",
]

T = TypeVar("T")

READY = State.READY
RUNNING = State.RUNNING
PAUSED = State.PAUSED
ENDED = State.ENDED
FORKED = State.FORKED

#: One for all jobs that were started in an empty context.
_EMPTY: Final = Context()


#: What every job needs. (The native core's type has these too.)
SLOTS: Final = (
    "alert",
    "blocks",
    "context",
    "depth",
    "driver",
    "job",
    "lost",
    "notable",
    "pool",
    "ref",
    "snapshot",
    "wait_ctx",
)


_NONE: Final[tuple[str, ...]] = ()


class JobFibreBase(Fibre if TYPE_CHECKING else object):  # type: ignore[misc]
    """What a job needs of its fibre while it is alive.

    What few jobs need is in the instance's dict, which `_settle` empties; the class has defaults.
    """

    __slots__ = _NONE

    alert: bool  # look at blocks, cancel and watch before and after a pause
    blocks: int  # reasons not to pause
    context: Context | None
    depth: int = 0  # of the stack where it was made: it counts its recursion from there
    driver: Driver | None  # an event loop's
    job: Job[Any] | None  # until the first pause
    lost: Callable[[Any], None]
    notable: bool  # there is work for _settle
    pool: JobPool
    ref: Any  # from the first pause on: a weak reference to the job
    snapshot: Context | None  # the starter's context at the first pause
    wait_ctx: WaitContext | None

    callbacks: tuple[Callable[[Any], object], ...] = ()
    cancel: CancelRequest | None = None
    face: Any = None  # what another API knows this job by
    own_loop: OwnLoop | None = None  # while the job runs an event loop of its own
    transient: bool = False  # not for the pool: it was made too deep in the stack
    watch: _watch.Watch | None = None  # hooks and debug mode

    def __init__(self, pool: JobPool, *, depth: int, transient: bool) -> None:
        super().__init__()
        self.pool = pool
        self.depth = depth
        self.alert = False
        self.blocks = 0
        self.context = None
        self.driver = None
        self.job = None
        self.lost = self._on_lost
        self.notable = False
        self.ref = None
        self.snapshot = None
        self.wait_ctx = None
        if transient:
            self.notable = self.transient = True

    def handle(self) -> Job[Any] | None:
        """Return the job that is on this fibre, or None."""
        return self.ref() if self.ref is not None else self.job

    def can_be_entered(self) -> bool:
        """Tell whether the running code may resume the job, if its thread does."""
        return True

    def created(self) -> StackSummary | None:
        """Return where the job was started, outermost call first, if debug mode has kept it."""
        watch = self.watch
        return None if watch is None or watch.probe is None else watch.probe.created

    def block(self, by: int) -> None:
        """Count `by` more (or fewer) reasons not to pause."""
        self.blocks = max(0, self.blocks + by)
        self.notable = True
        self.set_alert()

    def set_alert(self) -> None:
        """Decide whether pauses have to look closer."""
        self.alert = (
            self.blocks > 0
            or self.cancel is not None
            or self.own_loop is not None
            or self.watch is not None
        )

    def wait_in(self, wait_ctx: WaitContext) -> None:
        """Have the job wait in a context."""
        self.notable = True
        self.wait_ctx = wait_ctx
        wait_ctx._jobs += 1

    def keep_loops_apart(self, own_loop: OwnLoop | None) -> None:
        """Exchange asyncio's idea of what is running at each pause, or do so no more."""
        self.own_loop = own_loop
        self.notable = True
        self.set_alert()

    def request_cancel(self, request: CancelRequest, job: Job[Any]) -> None:
        """Have an exception raised at the pause, and at every later one. Any thread."""
        if self.cancel is None:
            self.cancel = request
        self.alert = self.notable = True
        if job._fibre is not self:  # it has ended meanwhile, and this is another one's fibre
            self.cancel = None

    def may_pause(self) -> bool:
        """Decide at the beginning of a pause, when `alert` is set."""
        if self.blocks:
            return False
        self._raise_if_cancelled()
        if self.watch is not None:
            self.watch.before_pause(self)
        if self.own_loop is not None and not self.own_loop.leave():  # last: nothing may raise now
            self.keep_loops_apart(None)
        return True

    def resumed(self) -> None:
        """Do what is due after a pause, when `alert` is set: hooks, then `JobCancelled`."""
        if self.own_loop is not None:
            self.own_loop.enter()
        if self.watch is not None:
            self.watch.after_pause(self)
        self._raise_if_cancelled()

    def _raise_if_cancelled(self) -> None:
        request = self.cancel
        if request is None or request.job() not in (None, self.handle()):
            return  # see request_cancel: it is about to be taken back
        if not request.deliver(self.handle()):
            self.cancel = None
            self.set_alert()

    def _on_lost(
        self,
        _ref: object,
        # Bound here: at the end of the process, module globals may be gone already.
        is_finalizing: Callable[[], bool] = sys.is_finalizing,
    ) -> None:
        """Note that the job's handle was dropped while it was paused. Any thread, at any time."""
        if is_finalizing():  # `_threads._at_exit` has told of it
            return
        self.ref = self.snapshot = None
        self.pool.adopt_lost(self, _report.lost)


class JobFibre(JobFibreBase, Fibre):
    """A fibre for jobs, of the kind that this process has."""

    __slots__ = _NONE if NATIVE else SLOTS  # the native core's type has them


#: The kind that the functions below are about: it becomes greenlet's when that is imported while
#: the native core is in use (`_mixed`).
kind: type[JobFibre] = JobFibre


# -- inside a job ----------------------------------------------------------------------------------


def enclosing_fibre() -> JobFibre | None:
    """Return the fibre that the running code is on, or None; its job may have ended just now."""
    fibre: JobFibre | None = enclosing(kind)
    return fibre


def current_fibre() -> JobFibre | None:
    """Return the fibre of the job that is running in this thread, or None."""
    fibre = current()
    if type(fibre) is not kind:
        fibre = enclosing(kind)
    return fibre if fibre is not None and fibre.state is RUNNING else None


def pause() -> bool:
    """Pause the running job: control returns to whoever started or resumed it.

    May be called anywhere below the job's function. Outside a job, or while pausing is blocked,
    nothing happens. When the job is resumed, a new window of its wait context begins and the call
    returns. A resume is only a hint: check what you wait for, and pause again if need be.

    Pauses: once, where that is possible.
    Threads: the job's own.
    Returns: True if the job was paused, False if nothing happened.

    Raises:
        JobCancelled: the job was cancelled; let it pass.
    See: ASYNC_pause_job(3)
    Differs: it tells whether it paused; OpenSSL returns 1 in both cases.
    """
    fibre = here = current()
    if type(fibre) is not kind or fibre.state is not RUNNING:  # what dies with a call is in no job
        fibre = current_fibre()
        if fibre is None:
            return _watch.outside_jobs()
        fibre.notable = True  # at the end, `point` is to be let go of
    if fibre.alert and not fibre.may_pause():
        return False
    fibre.point = here
    fibre.state = PAUSED
    try:
        fibre.resumer.switch()
    except FibreExit:  # the interpreter disposes of the stack
        fibre.dying = True
        raise
    finally:
        fibre.state = RUNNING
    if fibre.alert:
        fibre.resumed()  # a job that is unwound begins no window
    if fibre.wait_ctx is not None:
        fibre.wait_ctx._reset()
    return True


hide(pause.__code__)  # the native core's has no frame


def current_job() -> Job[Any] | None:
    """Return the running job, or None outside jobs. The innermost one, where jobs run jobs.

    Threads: any; each sees its own.
    See: ASYNC_get_current_job(3)
    """
    fibre = current_fibre()
    return None if fibre is None else fibre.handle()


def can_pause() -> bool:
    """Tell whether `pause()` would pause: in a job, and pausing is not blocked."""
    fibre = current_fibre()
    return fibre is not None and not fibre.blocks


def current_wait_ctx() -> WaitContext | None:
    """Return where the running job waits, or None where nothing can pause.

    For code that pauses: a frame that held the job meanwhile would keep a lost one from being
    noticed.
    """
    fibre = current_fibre()
    if fibre is None or fibre.blocks:
        return None
    if fibre.wait_ctx is not None:
        return fibre.wait_ctx
    job = fibre.handle()
    return None if job is None else job.wait_ctx


# -- starting and ending ---------------------------------------------------------------------------


def launch(
    pool: JobPool,
    wait_ctx: WaitContext | None,
    driver: Driver | None,
    fn: Callable[..., T],
    args: tuple[Any, ...],
    kwargs: dict[str, Any] | None,
) -> Job[T]:
    """Run fn(*args, **kwargs) on a fibre of `pool` until its first pause or its end.

    Args:
        pool: of this thread (not checked here).
        wait_ctx: where the job waits, or None for one of its own on demand.
        driver: of an event loop, in whose context the job runs; or None: in a copy of the current.
        kwargs: None instead of an empty one: it lives as long as the call.
    """
    job: Job[T] = Job()
    try:
        job._name = fn.__name__
    except AttributeError:
        job._name = _name_of(fn)
    try:
        fibre = pool.idle.pop()
    except IndexError:
        fibre = pool.grow()
        if _watch.wanted.on:
            fn, args, kwargs = _watch.begin(fibre, job.name, fn, args, kwargs)
    fibre.job = job
    job._fibre = fibre
    try:
        if driver is None:
            context = copy_context()
        else:
            context = driver.context
            fibre.driver = driver
        fibre.gr_context = fibre.context = context
        fibre.resumer = current()
        if wait_ctx is not None:
            fibre.wait_in(wait_ctx)
        fibre.switch(fn, args, kwargs)
        if fibre.state is PAUSED:
            fibre.ref = ref(job, fibre.lost)
            fibre.job = None
            if driver is None:
                fibre.snapshot = copy_context() or _EMPTY
            return job
        if fibre.state is not ENDED:
            raise _foreign_switch(job)
        if driver is not None:
            fibre.driver = None
        elif context:
            _publish(context, copy_context())
        _end(job, fibre)
    except BaseException:
        _recover(job, fibre)
        del job, fibre  # no cycle through this frame
        raise
    return job


def _name_of(fn: object) -> str:
    """Name a callable that has no name of its own; refuse what is none."""
    if not callable(fn):
        raise TypeError(f"fn has to be callable, not {fn!r}")
    return type(fn).__name__


def _end(job: Job[Any], fibre: JobFibre) -> None:
    """Take the outcome from the fibre, leave nothing in it, and give it back to its pool."""
    job._value = fibre.value
    job._exc = exc = fibre.exc
    if exc is not None:
        _keep_own_traceback(job, exc)  # before the job has ended: a Ctrl-C may hit it (`_recover`)
        fibre.exc = None
    job._fibre = fibre.job = fibre.value = fibre.resumer = None
    fibre.gr_context = fibre.context = None
    if fibre.notable:
        _settle(job, fibre)
    else:
        fibre.pool.idle.append(fibre)
    if exc is not None and isinstance(exc, (KeyboardInterrupt, SystemExit)):
        # As asyncio's tasks do: whoever drives jobs must not miss a Ctrl-C that hit one of them.
        try:
            raise exc
        finally:
            del job, fibre, exc  # no cycle through this frame


def _settle(job: Job[Any], fibre: JobFibre) -> None:
    """Do at a job's end what few jobs need."""
    callbacks, transient, watch = fibre.callbacks, fibre.transient, fibre.watch
    if fibre.own_loop is not None:
        fibre.own_loop.leave()
    if fibre.cancel is not None and job._exc is not None:
        fibre.cancel.explain(job._exc)
    if fibre.wait_ctx is not None:
        job._wait_ctx, fibre.wait_ctx = fibre.wait_ctx, None
        job._wait_ctx._job_ended()
    fibre.__dict__.clear()
    fibre.point = fibre
    fibre.blocks = 0
    fibre.alert = fibre.notable = False
    if transient or type(fibre) is not kind:
        fibre.pool.drop(fibre)
    else:
        fibre.pool.idle.append(fibre)
    try:
        if watch is not None:
            watch.finish(job)
    finally:  # a Ctrl-C may hit a hook
        for callback in callbacks:
            call_back(callback, job)


def _recover(job: Job[Any], fibre: JobFibre) -> None:
    """Keep the books right when an exception (Ctrl-C) hits the bookkeeping itself.

    The caller of `start` gets no handle then, so a job that is paused already counts as lost.
    """
    if job._fibre is None:
        return  # all was done; the exception is the job's own
    if fibre.state is PAUSED:
        fibre.job = fibre.ref = fibre.snapshot = fibre.driver = None
        fibre.pool.adopt_lost(fibre, _report.lost)
    elif fibre.state is not RUNNING:
        fibre.notable = True
        fibre.snapshot = fibre.ref = fibre.driver = None
        if fibre.dead:  # the exception hit the fibre itself
            fibre.transient = True
        try:
            _end(job, fibre)
        except (KeyboardInterrupt, SystemExit):  # the one that brought us here goes on
            pass


def _keep_own_traceback(job: Job[Any], exc: BaseException) -> None:
    """Keep the exception's traceback, without a frame of ours, for every `result()` to come.

    Now, not on demand: whoever raises the exception on, or raises it anew, adds to its traceback.
    """
    tb = exc.__traceback__
    if tb is not None and is_hidden(tb.tb_frame):
        exc.__traceback__ = tb = tb.tb_next
    job._traceback = tb


def _publish(after: Context, before: Context) -> None:
    """Set in the current context what a job changed in its own since `before`.

    By identity: comparing contexts would call __eq__ of the values, and miss equal new ones.
    """
    for var, value in after.items():
        if var not in before or before[var] is not value:
            var.set(value)


def _foreign_switch(job: Job[Any]) -> JobStateError:
    return JobStateError(
        f"control came back from {job!r} although it neither paused nor ended: other code switched"
        " to this greenlet by hand; let only pausable switch greenlets that start or resume jobs"
    )


# -- the handle ------------------------------------------------------------------------------------


class Job(Handle[T]):
    """A call that can be paused and resumed; made by `start()`.

    Its outcome is read as from `asyncio.Future`: nothing here blocks, except `close()`. Keep the
    handle until the job has ended, or use `with`: a paused job that nobody can reach any more is
    unwound with a `ResourceWarning`.

    Threads: the one that started it, except where a method says otherwise.
    See: ASYNC_start_job(3)
    Differs: a job may start and drive jobs of its own, is done for good when it has ended (its
    handle never means another job), and can be cancelled.
    """

    __slots__ = ()

    # -- running it ----------------------------------------------------------------------------

    def resume(self) -> bool:
        """Go on with the job until its next pause or its end.

        No wake is needed: a job that is resumed early finds out and pauses again.

        Returns: True if the job has ended, False if it paused again.

        Raises:
            JobStateError: the job is running or has ended.
            WrongThread: the job was started in another thread.
            ForkedJobError: the job was started before os.fork().
            KeyboardInterrupt, SystemExit: the job ended with it (so does `result()`).
        See: ASYNC_start_job(3)
        """
        fibre = self._fibre
        if fibre is None or fibre.state is not PAUSED:
            raise self._refusal(Step.RESUME)
        if current() is not fibre.resumer:
            self._change_resumer(fibre)
            if self._fibre is not fibre or fibre.state is not PAUSED:  # a warning's filter ran code
                raise self._refusal(Step.RESUME)
        try:
            try:
                fibre.point.switch()
            except FibreError as exc:
                # greenlet counts who refers to the root of a thread that ends, and misses what was
                # frozen (gc.freeze): ours would be a reference to freed memory then.
                fibre.resumer = None
                raise self._dead_stack() from exc
            if fibre.state is PAUSED:
                return False
            if fibre.state is not ENDED:
                raise _foreign_switch(self)
            if fibre.snapshot is not None:
                if fibre.context:
                    _publish(fibre.context, fibre.snapshot)
                fibre.snapshot = None
            else:
                fibre.driver = None
            fibre.ref = None
            _end(self, fibre)
        except BaseException:
            if fibre.state is ENDED:
                _recover(self, fibre)
            del self, fibre  # no cycle through this frame
            raise
        return True

    def cancel(self, message: str = "") -> bool:
        """Unwind the job: `JobCancelled` is raised at its pause, and at every later one.

        The job runs at once until it has ended or its cleanup code pauses; in the latter case go
        on resuming it, or call `close()`, which does. A running job, or one of another thread, gets
        the exception at its next pause; the other thread is woken, if the job waits with a callback
        or a waker. Cancelling twice changes nothing.

        Threads: any.
        Returns: True if the job has ended.

        Raises:
            CancelSwallowed: the job caught the exception again and again and is still paused.
        Differs: OpenSSL has no way to cancel a job.
        """
        fibre = self._fibre
        if fibre is None:
            return True
        if fibre.cancel is None:
            message = message or f"job {self.name!r} was cancelled"
            fibre.request_cancel(CancelRequest(message, self), self)
            if get_ident() != fibre.pool.thread:
                # Whatever its state seems to be: it may be about to pause.
                if (driver := fibre.driver) is not None:
                    driver.interrupt(self)
                elif (ctx := fibre.wait_ctx) is not None:
                    ctx.nudge()
            elif fibre.state is PAUSED:
                if (driver := fibre.driver) is not None:
                    driver.interrupt(self)
                else:
                    self.resume()
        self._check_swallowed()
        return self._fibre is None

    def close(self, timeout_s: float | None = None) -> None:
        """Cancel the job and go on with it until it has ended; do nothing if it has.

        Blocks while the job's cleanup code is paused, until its wait context is ready.

        Args:
            timeout_s: seconds until it gives up; None: the pool's `cleanup_timeout_s`, 30 at first.

        Raises:
            CancelSwallowed: the job keeps catching `JobCancelled`.
            TimeoutError: cleanup code took longer. The job is paused still.
            JobStateError: the job is running (it cannot close itself).
            WrongThread: the job was started in another thread.
        Differs: OpenSSL has no way to cancel a job.
        """
        if self._fibre is None or self._fibre.state is FORKED:
            return
        if self._fibre.state is RUNNING:
            raise JobStateError(f"{self!r} cannot be closed: {why_not(RUNNING, Step.RESUME)}")
        self._check_thread(self._fibre)
        timeout_s = check_timeout(timeout_s)
        # What needs the driver's loop cannot be waited for here: this blocks the loop.
        driver, self._fibre.driver = self._fibre.driver, None
        if timeout_s is None:
            timeout_s = self._fibre.pool.cleanup_timeout_s
        deadline = time.monotonic() + timeout_s
        done = self.cancel()
        while not done:
            if not wait_until_awake(self._fibre.wait_ctx, deadline):
                self._fibre.driver = driver
                raise TimeoutError(
                    f"{self!r} was cancelled and is still cleaning up; it is paused at\n"
                    f"{self._stack_text()}"
                )
            done = self.resume()
            self._check_swallowed()
        if driver is not None:
            driver.interrupt(self)

    def __enter__(self) -> Job[T]:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.close()

    # -- the rare side of the above --------------------------------------------------------------

    def _change_resumer(self, fibre: JobFibre) -> None:
        self._check_thread(fibre)
        fibre.resumer = fibre.here()
        if fibre.watch is not None and fibre.watch.probe is not None:
            fibre.watch.probe.before_resume(fibre)

    def _check_thread(self, fibre: JobFibre) -> None:
        if get_ident() != fibre.pool.thread:
            raise WrongThread(
                f"job {self.name!r} was started in {_report.thread_name(fibre.pool.thread)} and"
                f" can only be resumed there, not in {_report.thread_name(get_ident())}; wake it"
                " with job.wait_ctx.waker() and let its own thread resume it"
            )

    def _dead_stack(self) -> JobStateError:
        return WrongThread(
            f"job {self.name!r} cannot be resumed: the thread that it was started in has ended,"
            " and its call stack with it; let jobs end before their thread does"
        )

    def _check_swallowed(self) -> None:
        fibre = self._fibre
        if fibre is None or fibre.cancel is None or not fibre.cancel.given_up:
            return
        raise CancelSwallowed(
            f"job {self.name!r} was cancelled, but code in it caught JobCancelled"
            f" {MAX_DELIVERIES} times and went on; let JobCancelled pass. It is paused at\n"
            f"{self._stack_text()}"
        )


def _take(
    pool: JobPool,
    job: Job[Any],
    fn: Callable[..., Any],
    args: tuple[Any, ...],
    kwargs: dict[str, Any] | None,
) -> tuple[JobFibre, Callable[..., Any], tuple[Any, ...], dict[str, Any] | None]:
    """Return a native fibre although none is idle, and what to call on it."""
    fibre = pool.grow() if kind is JobFibre else pool.make_beside(JobFibre)
    if type(fibre) is kind and kind is not JobFibre:  # greenlet came just now, in another thread
        pool.idle.append(fibre)
        fibre = pool.make_beside(JobFibre)
    if _watch.wanted.on:
        fn, args, kwargs = _watch.begin(fibre, job.name, fn, args, kwargs)
    return fibre, fn, args, kwargs


def _outside() -> bool:
    return _watch.outside_jobs()  # another one in debug mode


def _refuse_resume(job: Job[Any]) -> None:
    raise job._refusal(Step.RESUME)


#: The functions above, where builtins of the native core stand in for them.
reference: dict[str, Any] = {"Job": Job, "launch": launch, "pause": pause}

if NATIVE and not TYPE_CHECKING:
    from pausable._frames import hidden
    from pausable._native import (
        bind_hooks,
        bind_wait_context,
        instead_of,
        make_job_type,
        take_over,
    )

    Job = make_job_type(Job)
    take_over(JobFibre)
    bind_wait_context(WaitContext)
    bind_hooks(
        {
            "dead_stack": Job._dead_stack,
            "do_nothing": _watch.do_nothing,
            "fibre_type": JobFibre,
            "foreign_switch": _foreign_switch,
            "hidden": hidden,
            "keep_traceback": _keep_own_traceback,
            "name_of": _name_of,
            "outside": _outside,
            "refuse_resume": _refuse_resume,
            "settle": _settle,
            "take": _take,
            "watch": vars(_watch),
        }
    )
    pause = instead_of(pause)
    launch = instead_of(launch)
    can_pause = instead_of(can_pause)
    current_job = instead_of(current_job)
    current_fibre = instead_of(current_fibre)
    current_wait_ctx = instead_of(current_wait_ctx)
