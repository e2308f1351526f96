"""Start any synchronous call as a job, pause it anywhere in its call stack, resume it later.

    def handler(message):
        pausable.pause()
        return len(message)

    job = pausable.start(handler, b"hello")  # runs until the pause
    while not job.done():
        job.resume()
    job.result()

`pausable.openssl` has the same under OpenSSL's names (ASYNC_start_job and its kin).
"""

from pausable._blocking import guarded, pause_blocked
from pausable._job import Job, can_pause, current_job, pause
from pausable._pool import JobPool, PoolStats
from pausable._threads import cleanup_thread, init_thread, is_capable, start, thread_pool
from pausable._wait_context import Status, WaitContext
from pausable._wait_for import wait_for
from pausable._waker import Waker
from pausable.errors import (
    CancelSwallowed,
    ForkedJobError,
    InvalidStateError,
    JobCancelled,
    JobsOutstanding,
    JobStateError,
    NoJobsAvailable,
    PausableError,
    WaitContextClosed,
    WouldDeadlock,
    WrongThread,
)
from pausable.loops._entry import map, portal, run, run_blocking, task_factory, to_async
from pausable.loops._entry import to_async as pausable

__all__ = [
    "CancelSwallowed",
    "ForkedJobError",
    "InvalidStateError",
    "Job",
    "JobCancelled",
    "JobPool",
    "JobStateError",
    "JobsOutstanding",
    "NoJobsAvailable",
    "PausableError",
    "PoolStats",
    "Status",
    "WaitContext",
    "WaitContextClosed",
    "Waker",
    "WouldDeadlock",
    "WrongThread",
    "can_pause",
    "cleanup_thread",
    "current_job",
    "guarded",
    "init_thread",
    "is_capable",
    "map",
    "pausable",
    "pause",
    "pause_blocked",
    "portal",
    "run",
    "run_blocking",
    "start",
    "task_factory",
    "thread_pool",
    "to_async",
    "wait_for",
]

__version__ = "0.1.0"
