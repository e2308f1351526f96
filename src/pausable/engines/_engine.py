"""What an engine is: it takes an operation, and later completes a ticket."""

from __future__ import annotations

import os
import time
from abc import ABC, abstractmethod
from typing import Any, Final, TypeVar
from weakref import WeakSet

from pausable import _report
from pausable._driver import discard
from pausable._job import current_wait_ctx, pause
from pausable._patience import POLL_S
from pausable._wait_context import Status
from pausable._wait_for import wait_for
from pausable.engines._delivery import SUBMITTING, this_stack
from pausable.engines._origin import needs_this_thread
from pausable.engines._place import Place
from pausable.engines._ticket import Ticket
from pausable.errors import EngineClosed, EngineError

__all__ = ["Engine"]

E = TypeVar("E", bound="Engine")

#: All there are.
_engines: Final[WeakSet[Engine]] = WeakSet()

#: How long a thread that found an engine busy sleeps at first; a job's driver knows for itself.
_BUSY_S: Final = 0.0005


class Engine(ABC):
    """Does slow work elsewhere, while the job that wants it is paused.

    Your own needs `_begin`, which hands an operation to whatever does the work, and `_cancel`. Keep
    the ticket, or its `generation`, and when the work is done, in any thread, call
    `ticket.finish(value)`, `ticket.fail(exc)`, or `ticket.busy()`: not now, try again.

    Threads: any.
    """

    #: What `submit` makes.
    _ticket_type: type[Ticket[Any]] = Ticket

    def __init__(self) -> None:
        self._pending: dict[int, Ticket[Any]] = {}
        _engines.add(self)
        self._closed = False
        self._doubled = 0

    # -- for users ---------------------------------------------------------------------------------

    def submit(self, *request: Any, **options: Any) -> Ticket[Any]:
        """Begin an operation; return its ticket, which any thread completes.

        Pauses: never (unless the engine's own `_begin` does).

        Raises:
            EngineClosed: the engine was closed.
            EngineError: the engine could not begin it; `__cause__` says why.
        """
        return self._submit(request, options)

    def call(self, *request: Any, **options: Any) -> Any:
        """Begin an operation and wait for it: `wait_for(engine.submit(...))`.

        Meanwhile the job's wait context has the status OK; if the engine is busy, EAGAIN, and the
        operation is submitted again when the job is resumed, as often as it takes; after an error
        of the engine, ERR.

        Pauses: until it is done; outside a job it blocks.
        Threads: the job's own.
        Returns: what the operation returned.

        Raises:
            JobCancelled: the job was cancelled, and the operation with it.
            Others: as of `submit`, and whatever the operation failed with.
        See: ASYNC_WAIT_CTX_set_status(3)
        """
        return self._call(request, options)

    @property
    def closed(self) -> bool:
        """Whether `close` was called."""
        return self._closed

    @property
    def pending(self) -> int:
        """How many operations are under way."""
        return len(self._pending)

    def ticket(self, generation: int) -> Ticket[Any] | None:
        """Return the ticket of an operation that is under way, or None: it has ended.

        For engines whose device knows an operation by a number: a late or doubled answer finds
        nothing, and never another operation.
        """
        return self._pending.get(generation)

    def close(self) -> None:
        """Accept nothing more, and fail what is under way with `EngineClosed`. Twice is once."""
        if not self._closed:
            self._closed = True
            for ticket in list(self._pending.values()):
                ticket.give_up(self._closed_error())
            self._close()

    def __enter__(self: E) -> E:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.close()

    def __repr__(self) -> str:
        closed = ", closed" if self._closed else ""
        return f"<{type(self).__name__}: {self.pending} under way{closed}>"

    # -- for engines -------------------------------------------------------------------------------

    @abstractmethod
    def _begin(self, ticket: Ticket[Any], *request: Any, **options: Any) -> None:
        """Hand an operation to whatever does the work, and return without waiting for it.

        The ticket may be completed before this returns. What is raised here, `submit` raises; then
        nothing was begun, and `_cancel` is not called.
        """

    @abstractmethod
    def _cancel(self, ticket: Ticket[Any]) -> None:
        """Have nothing more done for a ticket, which is given up: as far as that is possible.

        Completing it later does no harm. Any thread; must not block.
        """

    def _close(self) -> None:  # noqa: B027  # not every engine owns something
        """Let go of what the engine owns. Called once, when every ticket was given up."""

    def _submit_to_wait(
        self,
        request: tuple[Any, ...],
        options: dict[str, Any],
        *,
        again: bool,  # noqa: ARG002
    ) -> Ticket[Any]:
        """Submit for `call`, which waits for the ticket next; again: the engine was busy."""
        return self._submit(request, options)

    def _forked(self) -> None:
        """Begin anew in the child of a fork: no thread that knows of an operation is there."""
        error = EngineError(
            f"{self!r} had begun this before the process was forked: the parent has the result, so"
            " submit it again here"
        )
        for ticket in list(self._pending.values()):
            ticket.orphan(error)

    def _needs_this_thread(self, ticket: Ticket[Any]) -> bool:
        """Tell whether an operation can end only if this thread's event loop goes on."""
        return needs_this_thread(ticket.data)

    def _would_need_this_thread(self, place: Place | None) -> bool:  # noqa: ARG002
        """Tell the same of what is submitted from that place (see `Origin`)."""
        return False

    # -- inside ------------------------------------------------------------------------------------

    def _submit(self, request: tuple[Any, ...], options: dict[str, Any]) -> Ticket[Any]:
        if self._closed:
            raise self._closed_error()
        ticket = self._ticket_type(self)
        self._pending[ticket.generation] = ticket
        stack = this_stack()
        outermost = stack not in SUBMITTING
        SUBMITTING.add(stack)
        try:
            garbage: object = self._begin(ticket, *request, **options)
        except EngineError as exc:
            ticket.never_begun(exc)
            raise
        except Exception as exc:
            error = EngineError(f"{self!r} could not begin an operation: {exc!r}")
            error.__cause__ = exc
            ticket.never_begun(error)
            raise error from exc
        except BaseException as exc:  # cancelled, or Ctrl-C
            ticket.never_begun(exc)
            raise
        finally:
            if outermost:
                SUBMITTING.discard(stack)
        if garbage is not None:
            raise self._refuse_garbage(ticket, garbage)
        if self.closed:  # meanwhile, by another thread
            ticket.give_up(self._closed_error())
        return ticket

    # Not *request: below such a call a pause has to set a piece of the C stack aside (debug mode
    # warns of it).
    def _call(self, request: tuple[Any, ...], options: dict[str, Any]) -> Any:
        delay_s = _BUSY_S
        again = False
        try:
            while True:
                ticket = self._submit_to_wait(request, options, again=again)
                if not ticket.done():
                    _wait_until_done(ticket)
                if ticket.status is not Status.EAGAIN:
                    try:
                        return ticket.result()
                    finally:
                        del ticket  # what it raises holds this frame: no cycle here
                delay_s = _let_it_come_to_itself(delay_s)
                again = True
        except EngineError:
            if (ctx := current_wait_ctx()) is not None:
                ctx.status = Status.ERR
            raise

    def _check_open(self) -> None:
        if self._closed:
            raise self._closed_error()

    def _closed_error(self) -> EngineClosed:
        return EngineClosed(
            f"{self!r} does no more work: close an engine when all that use it are done"
        )

    def _refuse_garbage(self, ticket: Ticket[Any], garbage: object) -> EngineError:
        error = EngineError(
            f"_begin of {self!r} returned {garbage!r}; it has to be a plain function that keeps the"
            " ticket, returns None, and has ticket.finish(value) called when the work is done"
        )
        discard(garbage)
        ticket.give_up(error)
        return error

    def _completed_twice(self, ticket: Ticket[Any]) -> None:
        self._doubled += 1
        if self._doubled == 1:
            _report.completed_twice(ticket, self)


def _after_fork() -> None:
    for engine in list(_engines):
        engine._forked()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


def _wait_until_done(ticket: Ticket[Any]) -> None:
    """Wait for a ticket, whatever becomes of it; meanwhile the wait context's status is OK.

    Pauses: until it is done.
    """
    ctx = current_wait_ctx()
    if ctx is not None:
        before, ctx._status = ctx._status, Status.OK
    try:
        wait_for(ticket)
    except BaseException as exc:
        if exc is not ticket._exc:  # the job is cancelled, or Ctrl-C outside of one
            ticket.cancel()
            raise
    finally:
        # OK would be a promise to whoever pauses next. An error is told until the next operation.
        if ctx is not None:
            ctx._status = Status.UNSUPPORTED if before == Status.ERR else before


def _let_it_come_to_itself(delay_s: float) -> float:
    """Let an engine that was busy come to itself; return the delay for the next time.

    Pauses: once, with the status EAGAIN: the driver resumes the job soon. Outside a job it blocks.
    """
    ctx = current_wait_ctx()
    if ctx is None:
        time.sleep(delay_s)
        return min(POLL_S, delay_s * 2)
    before, ctx.status = ctx.status, Status.EAGAIN
    try:
        pause()
    finally:
        ctx.status = before
    return delay_s
