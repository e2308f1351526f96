"""Cancelling: an exception that is raised at a pause, and again, until the job ends.

Some C code swallows every exception (a ctypes callback, `__del__`), and some Python code does. So
one `JobCancelled` is not enough: a job that caught it, went on and pauses again gets it again. But
code that cleans up because of it may have to pause, and is served: it runs while the exception is
being handled, which the interpreter tells.
"""

from __future__ import annotations

import sys
from types import CodeType, FrameType
from typing import TYPE_CHECKING, Any, Final
from weakref import ref

from pausable import _report
from pausable._frames import places, summary_of
from pausable.errors import JobCancelled

if TYPE_CHECKING:
    from pausable._job import Job

__all__ = ["MAX_DELIVERIES", "CancelRequest"]

#: How often a job may swallow `JobCancelled` and pause again before nobody insists any more.
MAX_DELIVERIES: Final = 10


class CancelRequest:
    """A cancellation of one job, and what became of it.

    An event loop's has an exception of the loop's kind, and may stop being due.
    """

    def __init__(self, message: str, job: Job[Any]) -> None:
        self.job = ref(job)
        #: Whether the job's last pause came from code that cleans up because of this.
        self.unwinding = False
        #: Set when cleanup code has had its time: it gets the exception too, at each pause.
        self.expired = False
        self.deliveries = 0
        #: Raised once instead, in code that cleans up: a scope was left that it entered itself.
        self.nested: BaseException | None = None
        self._message = message
        self._places: list[tuple[CodeType, int]] = []  # where it was delivered first

    @property
    def given_up(self) -> bool:
        """Whether the job swallowed it so often that nobody insists any more."""
        return self.deliveries >= MAX_DELIVERIES

    def exception(self) -> BaseException:
        """Return what to raise in the job."""
        return JobCancelled(self._message)

    def due(self) -> bool:
        """Tell whether it is still wanted; asked when the job is not unwinding because of it."""
        return True

    def let_go(self) -> None:
        """Keep no traceback whose frames hold the job: it has to be noticed when it is lost."""

    def deliver(self, job: Job[Any] | None) -> bool:
        """Raise in the running job, unless it is unwinding because of this.

        Given up, it lets the pause be, so that control returns to whoever cancelled the job, who
        reports that.

        Returns: False if it is not wanted any more.
        """
        self.unwinding = self._is_being_handled()
        nested, self.nested = self.nested, None
        if nested is not None and self.unwinding:
            try:
                raise nested
            finally:
                del nested, job  # no cycle through this frame
        if self.given_up or (self.unwinding and not self.expired):
            return True
        if not self.unwinding and not self.due():
            return False
        self.deliveries += 1
        if self.deliveries == 1:
            self._places = _places_of_pause()
        elif self.deliveries == 2 and not self.expired:
            where = summary_of(self._places)
            _report.swallowed(job, where, job._created() if job is not None else None)
        exc = self.exception()
        exc.__pausable_request__ = self  # type: ignore[attr-defined]
        try:
            raise exc
        finally:
            del exc, job  # no cycle through this frame

    def explain(self, outcome: BaseException) -> None:
        """Make the cancellation the context of what C code made of it (sqlite3, ssl)."""
        if self.deliveries and not self._is_behind(outcome):
            while outcome.__context__ is not None:
                outcome = outcome.__context__
            outcome.__context__ = self.exception()

    def _is_being_handled(self) -> bool:
        return self._is_behind(sys.exc_info()[1])

    def _is_behind(self, exc: BaseException | None) -> bool:
        while exc is not None:
            if getattr(exc, "__pausable_request__", None) is self:
                return True
            exc = exc.__context__
        return False


def _places_of_pause() -> list[tuple[CodeType, int]]:
    """Return where the running job paused; nothing, if there is no Python code below its pause."""
    frame: FrameType | None = sys._getframe(2)
    while frame is not None and frame.f_globals.get("__name__") == "pausable._job":
        frame = frame.f_back
    return places(frame)
