"""Cancellations of asyncio tasks, as they are raised in the jobs of those tasks."""

from __future__ import annotations

import asyncio
import math
import sys
from operator import methodcaller
from typing import TYPE_CHECKING, Any, Final

from pausable._cancel import CancelRequest
from pausable._job import Job
from pausable.errors import JobCancelled

if TYPE_CHECKING:
    from pausable.loops._asyncio import AsyncioDrive

__all__ = [
    "COUNTED",
    "INTERRUPTION",
    "CancelledError",
    "TaskCancelled",
    "TaskRequest",
    "cancelling",
    "current_task",
    "of_scope",
    "scopes_deadline",
    "uncancel",
]

#: Whether tasks count how often their cancellation is wanted (3.11).
COUNTED: Final = hasattr(asyncio.Task, "cancelling")
#: By name: the loop's tasks may be of another class than `asyncio.Task` (nest_asyncio's are).
cancelling: Any = methodcaller("cancelling")
uncancel: Any = methodcaller("uncancel")

#: Before 3.12 asyncio's own is in Python, and would be a tenth of what a run costs.
current_task: Any = (
    asyncio.current_task if sys.version_info >= (3, 12) else asyncio.tasks._current_tasks.get  # type: ignore[attr-defined]
)

CancelledError = asyncio.CancelledError
#: What a coroutine is cancelled with because its job was, by hand.
INTERRUPTION: Final = "the job that waits for this was cancelled"


class TaskCancelled(JobCancelled, CancelledError):
    """Raised in a job whose task is cancelled; `except JobCancelled` sees it too."""


class TaskRequest(CancelRequest):
    """A cancellation of the task."""

    def __init__(self, drive: AsyncioDrive, exc: CancelledError, job: Job[Any]) -> None:
        super().__init__("", job)
        self._drive = drive
        self._args = exc.args
        #: Let one pause be: it has a value to return that would be lost.
        self.spare = False

    def exception(self) -> BaseException:
        return TaskCancelled(*self._args)

    def due(self) -> bool:
        if self._drive.still_cancelled(self._args, delivered=self.deliveries > 0):
            return True
        self._drive.withdraw()
        return False

    def deliver(self, job: Job[Any] | None) -> bool:
        if self.spare:
            self.spare = False
            return True
        return super().deliver(job)

    def raise_if_missed(self) -> None:
        """Raise in the task what the job did not pause again for."""
        exc = self._drive.cancellation
        if (
            not self.deliveries
            and exc is not None
            and self.due()
            and (COUNTED or not of_scope(exc))
        ):
            raise exc

    def let_go(self) -> None:
        self._drive.cancellation = None


def scopes_deadline() -> float:
    """Return when cancel scopes of anyio cancel the running task; -inf: they do."""
    anyio = sys.modules.get("anyio")
    return math.inf if anyio is None else anyio.current_effective_deadline()


def of_scope(exc: CancelledError) -> bool:
    """Tell whether a cancel scope of anyio cancelled the task; asyncio's own do not say."""
    return str(exc.args[0] if exc.args else "").startswith("Cancelled via cancel scope")
