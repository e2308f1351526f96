"""What drives a job, as the job sees it: the base of each event loop's drivers.

A driver resumes one job, always in the same task of its loop. The job asks it for what only the
loop can do: to await something (`wait_for`), and to be woken (`equip`).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Coroutine
from contextvars import Context
from typing import TYPE_CHECKING, Any, Final

from pausable._job import pause

if TYPE_CHECKING:
    from pausable._job import Job
    from pausable._wait_context import WaitContext

__all__ = ["NO_SLOTS", "Driver"]

#: Fields are in a dict, or a base class of the native core has them.
NO_SLOTS: Final[tuple[str, ...]] = ()


class Driver(ABC):
    """Resumes one job as it becomes ready.

    Threads: the loop's, except `interrupt`.
    """

    __slots__ = NO_SLOTS

    #: What the job wants awaited, until the driver takes it.
    awaited: Any = None
    #: How that ended.
    answered = False
    value: Any = None
    exc: BaseException | None = None

    #: Whether the jobs have a C frame at their root already, which is nobody's fault.
    native = False

    #: What calls the jobs' functions, if a frame has to be below theirs on a stack of their own.
    outermost: Callable[..., Any] | None = None

    #: The task's own: what the job sets in it, the task sees.
    context: Context

    @abstractmethod
    def equip(self, ctx: WaitContext) -> None:
        """Prepare the wait context that the job has just made."""

    @abstractmethod
    def interrupt(self, job: Job[Any]) -> None:
        """Have the job resumed, whatever it waits for: it was cancelled. Any thread.

        When its turn comes, the job may know that already, and wait in its cleanup code.
        """

    @abstractmethod
    def can_await(self, awaitable: Any) -> bool:
        """Tell whether it is for this loop to await."""

    @abstractmethod
    def bounded(self, awaitable: Any, timeout_s: float) -> Any:
        """Return an awaitable that raises TimeoutError if `awaitable` takes longer."""

    def wait_for(self, awaitable: Any, timeout_s: float | None = None) -> Any:
        """Have the driver await `awaitable` in its task. Called in the job.

        Pauses: until that has ended.
        """
        self.awaited = awaitable if timeout_s is None else self.bounded(awaitable, timeout_s)
        self.answered = False
        try:
            while not self.answered:
                pause()
        except BaseException:
            if self.awaited is not None:  # the driver has not begun with it
                discard(self.awaited)
                discard(awaitable)
                self.awaited = None
            self.exc = None
            raise
        if self.exc is not None:
            exc, self.exc = self.exc, None
            try:
                raise exc
            finally:
                del exc, awaitable  # no cycle through this frame
        value, self.value = self.value, None
        return value


def discard(awaitable: Any) -> None:
    """Close a coroutine that nobody will await."""
    if isinstance(awaitable, Coroutine):  # other awaitables may have a close() that means more
        awaitable.close()
