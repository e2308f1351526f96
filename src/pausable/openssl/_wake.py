"""The wake level of 2015: one bit and one descriptor for each pooled job object."""

from __future__ import annotations

from pausable._job import current_fibre
from pausable._wait_context import WaitContext
from pausable._wakefd import WakeFd
from pausable.openssl._err import ErrorQueue
from pausable.openssl._handles import ASYNC_JOB
from pausable.openssl._ref import expect

__all__ = ["WakeFunctions", "woken_by"]


class WakeFunctions:
    """The functions that only the API of 2015 has."""

    def __init__(self, errors: ErrorQueue) -> None:
        self._errors = errors

    def ASYNC_in_job(self) -> int:
        """Return 1 in a job, 0 outside.

        See: the manual of 2015
        """
        return int(current_fibre() is not None)

    def ASYNC_get_wait_fd(self, job: ASYNC_JOB | None) -> int:
        """Return the job object's descriptor: readable when the job should be resumed.

        It belongs to the pooled job object: the next job on it has the same, and finds a wake that
        was left set.

        Returns: the descriptor; -1 for NULL.
        See: the manual of 2015
        """
        wake_fd = self._wake_fd("ASYNC_get_wait_fd", job)
        return -1 if wake_fd is None else wake_fd.fd

    def ASYNC_wake(self, job: ASYNC_JOB | None) -> None:
        """Make the job's descriptor readable. Twice is once. Any thread.

        See: the manual of 2015
        """
        wake_fd = self._wake_fd("ASYNC_wake", job)
        if wake_fd is not None:
            wake_fd.set()

    def ASYNC_clear_wake(self, job: ASYNC_JOB | None) -> None:
        """Make the job's descriptor unreadable; never blocks.

        See: the manual of 2015
        """
        wake_fd = self._wake_fd("ASYNC_clear_wake", job)
        if wake_fd is not None:
            wake_fd.clear()

    def _wake_fd(self, function: str, job: ASYNC_JOB | None) -> WakeFd | None:
        expect("job", job, ASYNC_JOB)
        if job is None:
            self._errors.null(function, "job")
            return None
        if job._wake_fd is None:
            self._errors.refuse(function, "the job was not started by the ASYNC_start_job of 2015")
        return job._wake_fd


def woken_by(wake_fd: WakeFd) -> WaitContext:
    """Return a context for engines of pausable's in a job of the 2015 API: they wake its fd."""
    ctx = WaitContext()
    ctx.use_wake_fd(wake_fd)
    return ctx
