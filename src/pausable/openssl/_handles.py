"""OpenSSL's job objects, and the pool that each thread keeps them in. They count, and trust."""

from __future__ import annotations

import itertools
from typing import Any

from pausable._job import Job, JobFibre
from pausable._pool import JobPool
from pausable._thread_local import get_ident, when_thread_ends
from pausable._wait_context import WaitContext
from pausable._wakefd import WakeFd
from pausable.openssl._lib_ctx import OSSL_LIB_CTX

__all__ = ["ASYNC_JOB", "Pool", "ThreadState", "jobs_in_existence"]


class ASYNC_JOB:
    """A handle. Its contents are not for users, as in C."""

    __slots__ = (
        "__weakref__",
        "_ctx",
        "_fibre",
        "_job",
        "_lib_ctx",
        "_number",
        "_resumed",
        "_state",
        "_thread_life",
        "_wake_fd",
    )

    def __init__(self, state: ThreadState | None) -> None:
        self._state = state  # of the thread it belongs to; None: a face of a plain Job
        self._job: Job[Any] | None = None  # while in use
        self._fibre: JobFibre | None = None  # of a plain Job
        self._ctx: WaitContext | None = None
        self._lib_ctx: OSSL_LIB_CTX | None = None
        self._resumed = False
        self._thread_life = 0
        self._wake_fd: WakeFd | None = None
        self._number = next(_numbers)
        if state is not None:
            _existing.add(self._number)

    def free(self) -> None:
        """Count it no more."""
        _existing.discard(self._number)
        if self._wake_fd is not None:
            self._wake_fd.close()


_numbers = itertools.count()

#: The job objects that OpenSSL would hold memory for, the leaked ones among them.
_existing: set[int] = set()


def jobs_in_existence() -> int:
    """Return the number of job objects in the process: idle, in use or leaked. Any thread.

    Not of OpenSSL, where each has a stack. For leak checks: those that were leaked (by a second
    init, or under way when their thread was cleaned up or ended) are counted for ever, as there
    they are never freed; here no more than their number is left of them.
    """
    return len(_existing)


class Pool:
    """OpenSSL's pool: it counts, and trusts."""

    __slots__ = ("curr_size", "idle", "max_size")

    def __init__(self, max_size: int) -> None:
        self.max_size = max_size
        self.curr_size = 0
        self.idle: list[ASYNC_JOB] = []


class ThreadState:
    """What the library keeps for each thread."""

    def __init__(self) -> None:
        self.thread = get_ident()
        self.pool: Pool | None = None
        self.blocked = 0
        self.life = 0  # how many clean-ups there were
        self.fibres = JobPool()
        self.outstanding: set[ASYNC_JOB] = set()
        when_thread_ends(self._end)

    def _end(self, _thread: int) -> None:
        self.free_pool()
        self.outstanding.clear()

    def free_pool(self) -> None:
        """Free the idle jobs and the pool."""
        pool, self.pool = self.pool, None
        for job in () if pool is None else pool.idle:
            job.free()
