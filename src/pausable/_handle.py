"""What can be asked of a job without running it: its outcome, its name, where it waits and is.

As of `asyncio.Future`: nothing here blocks, and what is asked too early is an `InvalidStateError`.
"""

from __future__ import annotations

import itertools
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

from pausable import _report
from pausable._fibre import NATIVE
from pausable._frames import summary
from pausable._state import State, Step, why_not
from pausable._wait_context import WaitContext
from pausable.errors import ForkedJobError, InvalidStateError, JobCancelled, JobStateError

if TYPE_CHECKING:
    from traceback import StackSummary

    from pausable._job import JobFibre

__all__ = ["Handle", "call_back"]

T = TypeVar("T")

PAUSED = State.PAUSED

_FIELDS: Final = (
    "__weakref__",
    "_exc",
    "_fibre",
    "_full_name",
    "_name",
    "_traceback",
    "_value",
    "_wait_ctx",
)

_numbers = itertools.count(1)


class Handle(Generic[T]):
    """The part of a `Job` that only looks."""

    __slots__ = () if NATIVE else _FIELDS  # the native core's type has them

    _fibre: JobFibre | None  # None when ended
    _name: str  # of the function
    _full_name: str  # with a number, made on first use, or as set
    _value: T | None
    _exc: BaseException | None
    _traceback: Any
    _wait_ctx: WaitContext

    # -- its outcome ---------------------------------------------------------------------------

    def done(self) -> bool:
        """Tell whether the job has ended: returned, raised, or was cancelled. Any thread."""
        return self._fibre is None

    @property
    def paused(self) -> bool:
        """Whether the job is paused. Any thread."""
        return self._fibre is not None and self._fibre.state is PAUSED

    def cancelled(self) -> bool:
        """Tell whether the job was ended by `JobCancelled`. Any thread."""
        return self._fibre is None and isinstance(self._exc, JobCancelled)

    def result(self) -> T:
        """Return what the call returned, or raise what it raised, with its own traceback.

        Threads: any.

        Raises:
            InvalidStateError: the job has not ended.
        """
        if self._fibre is not None:
            raise self._refusal(Step.READ)
        if self._exc is not None:
            try:
                raise self._exc.with_traceback(self._traceback)
            finally:
                del self  # no cycle through this frame
        return self._value  # type: ignore[return-value]

    def exception(self) -> BaseException | None:
        """Return what the call raised, or None if it returned. Any thread.

        Raises:
            InvalidStateError: the job has not ended.
        """
        if self._fibre is not None:
            raise self._refusal(Step.READ)
        return self._exc

    def add_done_callback(self, callback: Callable[[Any], object]) -> None:
        """Have `callback(job)` called when the job has ended, or now if it has.

        It is called in the job's thread, before `start` or `resume` returns. What it raises is
        logged (logger "pausable") and disturbs nobody.
        """
        if not callable(callback):
            raise TypeError(f"callback has to be callable, not {callback!r}")
        fibre = self._fibre
        if fibre is None:
            call_back(callback, self)
            return
        fibre.callbacks += (callback,)
        fibre.notable = True

    # -- looking at it -------------------------------------------------------------------------

    @property
    def name(self) -> str:
        """The job's name for messages: the function's and a number, unless set. Any thread."""
        name = getattr(self, "_full_name", None)
        if name is None:
            name = self._full_name = f"{self._name}-{next(_numbers)}"
        return name

    @name.setter
    def name(self, name: str) -> None:
        if not isinstance(name, str) or not name:
            raise TypeError(f"a job's name has to be a non-empty str, not {name!r}")
        self._full_name = name

    @property
    def wait_ctx(self) -> WaitContext:
        """Where the job waits: its own, made on first use, or the one it was started in.

        See: ASYNC_get_wait_ctx(3)
        """
        fibre = self._fibre
        if fibre is None:
            try:
                return self._wait_ctx
            except AttributeError:
                self._wait_ctx = WaitContext()
                return self._wait_ctx
        if fibre.wait_ctx is None:
            ctx = WaitContext()
            fibre.wait_in(ctx)
            if fibre.driver is not None:
                fibre.driver.equip(ctx)
            return ctx
        return fibre.wait_ctx

    def stack(self) -> StackSummary:
        """Return where the job is paused, outermost call first; empty if it is not paused.

        Threads: any.
        """
        fibre = self._fibre
        if fibre is None or fibre.state is not PAUSED:
            return summary(())
        return fibre.stack()

    def print_stack(self, file: Any = None) -> None:
        """Print where the job is paused, to `file` (default: stderr). Any thread."""
        print(f"{self!r}\n{self._stack_text()}", file=file or sys.stderr)

    def __repr__(self) -> str:
        return f"<Job {self.name!r} {self._describe()}>"

    def __reduce__(self) -> Any:
        raise TypeError(f"{self!r} cannot be pickled or copied: it is a live call stack")

    def _describe(self) -> str:
        if self._fibre is not None:
            return self._fibre.state.value
        if self._exc is None:
            return "returned"
        return "cancelled" if self.cancelled() else f"raised {type(self._exc).__name__}"

    def _stack_text(self) -> str:
        paused = "".join(self.stack().format()) or "  (not paused)\n"
        return paused + _report.started_at(self._created())

    def _created(self) -> StackSummary | None:
        return None if self._fibre is None else self._fibre.created()

    # -- refusals ---------------------------------------------------------------------------------

    def _refusal(self, step: Step) -> JobStateError:
        state = State.ENDED if self._fibre is None else self._fibre.state
        kind = {Step.READ: InvalidStateError, Step.RESUME: JobStateError}[step]
        if state is State.FORKED:
            kind = ForkedJobError
        return kind(f"cannot {step.value} job {self.name!r}: {why_not(state, step)}")


def call_back(callback: Callable[[Any], object], job: Handle[Any]) -> None:
    """Make a done-callback's call; what it raises is logged."""
    try:
        callback(job)
    except Exception:
        _report.callback_failed(callback, job)
