"""Cancelling: an exception that is raised at a pause, and again, until the job ends.

Some C code swallows every exception (a ctypes callback, `__del__`), and some Python code does. So
one `JobCancelled` is not enough: a job that caught it, went on and pauses again gets it again. But
code that cleans up because of it may have to pause, and is served: it runs while the exception is
being handled, which the interpreter tells.
"""

from __future__ import annotations

import sys
import traceback
from typing import TYPE_CHECKING, Any, Final
from weakref import ref

from pausable import _report
from pausable.errors import JobCancelled

if TYPE_CHECKING:
    from pausable._job import Job

__all__ = ["MAX_DELIVERIES", "CancelRequest"]

#: How often a job may swallow `JobCancelled` and pause again before nobody insists any more.
MAX_DELIVERIES: Final = 10


class CancelRequest:
    """A cancellation of one job, and what became of it."""

    __slots__ = ("_deliveries", "_message", "_stack", "job")

    def __init__(self, message: str, job: Job[Any]) -> None:
        self.job = ref(job)
        self._message = message
        self._deliveries = 0
        self._stack: traceback.StackSummary | None = None  # where it was delivered first

    @property
    def given_up(self) -> bool:
        """Whether the job swallowed it so often that nobody insists any more."""
        return self._deliveries >= MAX_DELIVERIES

    def deliver(self, job: Job[Any] | None) -> None:
        """Raise `JobCancelled` in the running job, unless it is unwinding because of it.

        Given up, it lets the pause be, so that control returns to whoever cancelled the job, who
        reports that.
        """
        if self.given_up or self._is_being_handled():
            return
        self._deliveries += 1
        if self._deliveries == 1:
            self._stack = traceback.extract_stack(sys._getframe(3))
        elif self._deliveries == 2:
            _report.swallowed(job, self._stack, job._created() if job is not None else None)
        exc = JobCancelled(self._message)
        exc.__pausable_request__ = self  # type: ignore[attr-defined]
        try:
            raise exc
        finally:
            del exc, job  # no cycle through this frame

    def _is_being_handled(self) -> bool:
        exc = sys.exc_info()[1]
        while exc is not None:
            if getattr(exc, "__pausable_request__", None) is self:
                return True
            exc = exc.__context__
        return False
