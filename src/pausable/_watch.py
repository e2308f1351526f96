"""Jobs that somebody looks at: hooks, debug mode, and tracing that belongs to the job.

Rules:

* Jobs that nobody watches pay nothing for this. While `wanted.on` is set, each pool keeps its idle
  fibres where the fast path does not find them, so that every start comes by `begin`; a job that
  was started so has `alert` and `notable` set, so that its pauses and its end come by here too.
* A job is watched from its start to its end, by what was wanted when it started.
* No frame of the job's own stack may hold the `Job` while it is paused: a lost one would not be
  noticed. So here it is looked up for each call, in a function that returns before the pause.
* `sys.settrace` and `sys.setprofile` are the thread's. What a watched job sets is taken away at its
  pauses and put back when it goes on; when it ends it stays, as after a plain call.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from functools import partial
from types import FunctionType, MethodType
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol

from pausable import _report
from pausable._fibre import FibreExit
from pausable._frames import hide

if TYPE_CHECKING:
    from traceback import StackSummary

    from pausable._job import Job, JobFibre

__all__ = ["Calls", "Probe", "Watch", "begin", "do_nothing", "say_nothing", "wanted"]

#: "The job has set no trace function of its own": None is one that it may have set.
_NONE_OF_ITS_OWN: Final[Any] = object()


class Calls(NamedTuple):
    """What hooks have asked for."""

    on_start: tuple[Callable[[Any], object], ...] = ()
    on_pause: tuple[Callable[[Any], object], ...] = ()
    on_resume: tuple[Callable[[Any], object], ...] = ()
    on_finish: tuple[Callable[[Any], object], ...] = ()


class Probe(Protocol):
    """What debug mode keeps of one job, and does at its turns, on the job's own stack."""

    #: Where the job was started, outermost call first.
    created: StackSummary
    #: The locks that it has taken and not released.
    held: dict[Any, Any]

    def start(self, fibre: JobFibre) -> None:
        """The job's function is about to be called."""

    def before_pause(self, fibre: JobFibre) -> None:
        """The job is about to pause; raises if it must not."""

    def after_pause(self, fibre: JobFibre) -> None:
        """The job goes on."""

    def before_resume(self, fibre: JobFibre) -> None:
        """The job is about to be resumed (on the resumer's stack: the job's is whole)."""

    def leave(self, fibre: JobFibre) -> None:
        """The job's function has returned or raised."""

    def native_frames(self, fibre: JobFibre) -> bool | None:
        """Tell whether C frames are under the pause; None: that cannot be known. Any thread."""


class _Wanted:
    """How jobs are watched that are started from now on."""

    on: bool = False
    calls: Calls = Calls()
    probe: Callable[[], Probe] | None = None

    def update(self) -> None:
        self.on = self.probe is not None or any(self.calls)


wanted = _Wanted()


class Watch:
    """What is kept of a watched job, on its fibre."""

    __slots__ = ("_calls", "_own", "_started", "_theirs", "name", "paused_since", "probe")

    def __init__(self, name: str) -> None:
        self.name = name  # for the job's next handle, if it is lost
        self.probe = wanted.probe() if wanted.probe is not None else None
        #: As of time.time(); None while the job runs.
        self.paused_since: float | None = None
        self._calls = wanted.calls
        self._started = False
        self._theirs: tuple[Any, Any] = (None, None)  # the resumer's trace and profile function
        self._own: tuple[Any, Any] = (_NONE_OF_ITS_OWN, _NONE_OF_ITS_OWN)

    def start(self, fibre: JobFibre) -> None:
        """Note that the job begins, on its own stack."""
        self._theirs = (sys.gettrace(), sys.getprofile())
        if self.probe is not None:
            self.probe.start(fibre)
        self._started = True
        _tell(self._calls.on_start, fibre)

    def before_pause(self, fibre: JobFibre) -> None:
        """Note that the job is about to pause, on its own stack; raise if it must not."""
        if self.probe is not None:
            self.probe.before_pause(fibre)
        _tell(self._calls.on_pause, fibre)
        self.paused_since = time.time()
        self._put_tracing_away()

    def after_pause(self, fibre: JobFibre) -> None:
        """Note that the job goes on, on its own stack."""
        self._put_tracing_back()
        self.paused_since = None
        if self.probe is not None:
            self.probe.after_pause(fibre)
        _tell(self._calls.on_resume, fibre)

    def leave(self, fibre: JobFibre) -> None:
        """Note that the job's function is over, on its own stack."""
        if self.probe is not None:
            self.probe.leave(fibre)

    def finish(self, job: Job[Any]) -> None:
        """Note that the job has ended and its outcome is known."""
        tb = job._traceback if job._exc is not None else None
        if tb is not None and tb.tb_frame.f_code is _RUN:
            job._traceback = tb.tb_next
            if job._exc is not None:
                job._exc.__traceback__ = tb.tb_next
        del tb
        if self._started:
            for call in self._calls.on_finish:
                _make(call, job)

    def _put_tracing_away(self) -> None:
        trace, profile = sys.gettrace(), sys.getprofile()
        theirs = self._theirs
        self._own = (
            trace if trace is not theirs[0] else _NONE_OF_ITS_OWN,
            profile if profile is not theirs[1] else _NONE_OF_ITS_OWN,
        )
        if profile is not theirs[1]:
            sys.setprofile(theirs[1])
        if trace is not theirs[0]:
            sys.settrace(theirs[0])

    def _put_tracing_back(self) -> None:
        self._theirs = (sys.gettrace(), sys.getprofile())
        trace, profile = self._own
        if trace is not _NONE_OF_ITS_OWN:
            sys.settrace(trace)
        if profile is not _NONE_OF_ITS_OWN:
            sys.setprofile(profile)


def begin(
    fibre: JobFibre,
    name: str,
    fn: Callable[..., Any],
    args: tuple[Any, ...],
    kwargs: dict[str, Any] | None,
) -> tuple[Callable[..., Any], tuple[Any, ...], None]:
    """Watch the job that `fibre` was taken for; return what to call in place of fn."""
    try:
        fibre.watch = watch = Watch(name)
    except BaseException:
        fibre.pool.idle.append(fibre)
        raise
    fibre.alert = fibre.notable = True
    if watch.probe is not None:
        fn, args, kwargs = _peeled(fn, args, kwargs)
    return run, (fibre, fn, args, kwargs), None


def _peeled(
    fn: Any, args: tuple[Any, ...], kwargs: dict[str, Any] | None
) -> tuple[Any, tuple[Any, ...], dict[str, Any] | None]:
    """Return an equivalent call that the interpreter makes without a C frame, if there is one.

    Else every job that runs a method would have a native frame at its root.
    """
    while type(fn) is partial:
        kwargs = {**fn.keywords, **(kwargs or {})} or None
        fn, args = fn.func, fn.args + args
    if type(fn) is MethodType and type(fn.__func__) is FunctionType:
        fn, args = fn.__func__, (fn.__self__, *args)
    return fn, args, kwargs


def run(
    fibre: JobFibre,
    fn: Callable[..., Any],
    args: tuple[Any, ...],
    kwargs: dict[str, Any] | None,
) -> Any:
    """Be the outermost frame of a watched job."""
    watch = fibre.watch
    assert watch is not None
    try:
        watch.start(fibre)
        return fn(*args, **kwargs) if kwargs else fn(*args)
    finally:
        watch.leave(fibre)


_RUN: Final = run.__code__
hide(_RUN)


def _tell(calls: tuple[Callable[[Any], object], ...], fibre: JobFibre) -> None:
    """Call hooks from the job's own stack. They cannot pause it."""
    if not calls:
        return
    fibre.block(+1)
    try:
        for call in calls:
            _make(call, fibre.handle())
    finally:
        fibre.block(-1)


def _make(call: Callable[[Any], object], job: Job[Any] | None) -> None:
    try:
        call(job)
    except (KeyboardInterrupt, FibreExit):  # the user's, and the interpreter's: not the hook's
        raise
    except BaseException:
        _report.hook_failed(call, job)


def do_nothing() -> bool:
    return False


#: What a pause outside of jobs does. Debug mode puts a warning in its place.
outside_jobs: Callable[[], bool] = do_nothing


def say_nothing(_awaited: object) -> None:
    pass


#: What a wait that blocks its thread does before. Debug mode looks whether a loop runs there.
before_blocking: Callable[[object], None] = say_nothing
