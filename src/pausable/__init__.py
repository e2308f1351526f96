"""Start any synchronous call as a job, pause it anywhere in its call stack, resume it later.

    def handler(message):
        pausable.pause()
        return len(message)

    job = pausable.start(handler, b"hello")  # runs until the pause
    while not job.done():
        job.resume()
    job.result()

`pausable.engines` do slow work elsewhere while a job is paused.
`pausable.openssl` has the same under OpenSSL's names (ASYNC_start_job and its kin).
"""

from pausable import _mixed  # noqa: F401  # binds the two kinds of stack together
from pausable._backend import Backend, backend
from pausable._blocking import guarded, pause_blocked
from pausable._debug import get_debug, set_debug
from pausable._dump import dump, dump_on_signal, jobs
from pausable._hooks import add_hooks, remove_hooks
from pausable._job import Job, can_pause, current_job, pause
from pausable._pool import JobPool, PoolStats
from pausable._sleep import sleep
from pausable._threads import cleanup_thread, init_thread, is_capable, start, thread_pool
from pausable._wait_context import Status, WaitContext
from pausable._wait_for import wait_for
from pausable._waker import Waker
from pausable.errors import (
    BlockedLoopWarning,
    BreakerOpen,
    CancelSwallowed,
    DebugWarning,
    EngineBusy,
    EngineClosed,
    EngineError,
    EngineFull,
    EngineTimeout,
    ForkedJobError,
    InvalidStateError,
    JobCancelled,
    JobsOutstanding,
    JobStateError,
    LockHeldWarning,
    NativeFrameWarning,
    NoJobsAvailable,
    PausableError,
    PauseOutsideJobWarning,
    PauseRefused,
    SlowSegmentWarning,
    WaitContextClosed,
    WouldDeadlock,
    WrongThread,
)
from pausable.loops._entry import map, portal, run, run_blocking, task_factory, to_async
from pausable.loops._entry import to_async as pausable

__all__ = [
    "Backend",
    "BlockedLoopWarning",
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
    "Job",
    "JobCancelled",
    "JobPool",
    "JobStateError",
    "JobsOutstanding",
    "LockHeldWarning",
    "NativeFrameWarning",
    "NoJobsAvailable",
    "PausableError",
    "PauseOutsideJobWarning",
    "PauseRefused",
    "PoolStats",
    "SlowSegmentWarning",
    "Status",
    "WaitContext",
    "WaitContextClosed",
    "Waker",
    "WouldDeadlock",
    "WrongThread",
    "add_hooks",
    "backend",
    "can_pause",
    "cleanup_thread",
    "current_job",
    "dump",
    "dump_on_signal",
    "get_debug",
    "guarded",
    "init_thread",
    "is_capable",
    "jobs",
    "map",
    "pausable",
    "pause",
    "pause_blocked",
    "portal",
    "remove_hooks",
    "run",
    "run_blocking",
    "set_debug",
    "sleep",
    "start",
    "task_factory",
    "thread_pool",
    "to_async",
    "wait_for",
]

__version__ = "0.1.0"
