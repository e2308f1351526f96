"""Every exception of pausable. The type says whose fault it is; the message says what to do.

* `JobStateError` and its kinds: the caller asked for something that cannot be done now.
* `NoJobsAvailable`: nothing is wrong, try again when a job has ended.
* `EngineError` and its kinds: the engine that does the work failed; `__cause__` says why.
* `JobCancelled`: not a fault; it unwinds a job that nobody wants any more.
* `DebugWarning` and its kinds: debug mode has seen what may do harm.
"""

from __future__ import annotations

__all__ = [
    "BreakerOpen",
    "CancelSwallowed",
    "DebugWarning",
    "EngineBusy",
    "EngineClosed",
    "EngineError",
    "EngineFull",
    "EngineTimeout",
    "ForkedJobError",
    "InvalidStateError",
    "JobCancelled",
    "JobStateError",
    "JobsOutstanding",
    "LockHeldWarning",
    "NativeFrameWarning",
    "NoJobsAvailable",
    "PausableError",
    "PauseOutsideJobWarning",
    "PauseRefused",
    "SlowSegmentWarning",
    "WaitContextClosed",
    "WouldDeadlock",
    "WrongThread",
]


class PausableError(Exception):
    """Base of every error that pausable raises, except `JobCancelled`."""


class JobStateError(PausableError, RuntimeError):
    """The job, pool or context is not in a state that allows the call: a bug of the caller."""


class InvalidStateError(JobStateError):
    """The result of a job was asked for before the job had ended. Resume it until `done()`."""


class WrongThread(JobStateError):
    """A job or pool was used in a thread that it does not belong to."""


class ForkedJobError(JobStateError):
    """The job was started before `os.fork()`; only the parent process can go on with it."""


class JobsOutstanding(JobStateError):
    """A pool with paused jobs was to be closed. The jobs are in `jobs`; close or finish them."""

    def __init__(self, message: str, jobs: tuple[object, ...]) -> None:
        super().__init__(message)
        self.jobs = jobs


class CancelSwallowed(JobStateError):
    """Code below a pause caught `JobCancelled` and went on, more often than is tolerated."""


class PauseRefused(JobStateError):
    """A pause in a signal handler, a `__del__`, a garbage collection or an import (debug mode)."""


class WaitContextClosed(JobStateError):
    """A wait context was used after `close()`."""


class WouldDeadlock(JobStateError):
    """Waiting here would block the very thread that has to complete what is waited for."""


class NoJobsAvailable(PausableError):
    """The pool has as many jobs as it may have (`max_size`). Try again when one has ended."""


class EngineError(PausableError):
    """An engine could not do an operation; `__cause__` is what it failed with, if it said so."""


class EngineClosed(EngineError):
    """The engine was closed before the operation was begun, or before it was done."""


class EngineBusy(EngineError):
    """The engine did not accept the operation (EAGAIN). Nothing was done: try again later."""


class EngineFull(EngineBusy):
    """As many operations wait for the engine as may (`guard(max_waiting=...)`)."""


class EngineTimeout(EngineError, TimeoutError):
    """An operation took longer than it may (`guard(timeout_s=...)`), and was cancelled."""


class BreakerOpen(EngineError):
    """The engine failed so often that it is left alone for a while (`guard(breaker=...)`)."""


class JobCancelled(BaseException):
    """Raised at a pause of a job that was cancelled, to unwind it.

    Let it pass, as `asyncio.CancelledError`: code that must clean up does so in `finally`, where
    it may pause. It is a `BaseException`, so that `except Exception` does not stop it.
    """


class DebugWarning(RuntimeWarning):
    """Base of the warnings of debug mode (`set_debug`); each comes once for each place."""


class LockHeldWarning(DebugWarning):
    """A job paused while it held a lock. Take it `with pausable.guarded(lock):`."""


class NativeFrameWarning(DebugWarning):
    """A job paused with C frames on its stack. It works, but costs more, and may not cancel."""


class SlowSegmentWarning(DebugWarning):
    """A job held its thread for long without pausing."""


class PauseOutsideJobWarning(DebugWarning):
    """`pause()` was called outside of jobs, where it does nothing."""
