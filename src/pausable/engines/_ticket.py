"""One operation of an engine: a future that any thread completes once.

Rules:

* The first completion counts. One that comes after the operation was given up (cancelled, or its
  engine closed) is normal and ignored; one that comes twice is the engine's fault, ignored, logged.
* A ticket means one operation for ever, by object and by `generation`, a number that is never given
  twice in the process: an engine that knows operations by number looks the ticket up, and finds
  nothing for an old one. So no answer reaches an operation that it was not meant for.
"""

from __future__ import annotations

import enum
import itertools
import sys
import threading
from collections.abc import Callable
from concurrent.futures import CancelledError
from types import TracebackType
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from pausable import _report
from pausable._wait_context import Status
from pausable._wait_for import wait_for
from pausable.engines._delivery import deliver
from pausable.errors import EngineBusy

if TYPE_CHECKING:
    from pausable.engines._engine import Engine

__all__ = ["Ticket"]

T = TypeVar("T")

_new_generation = itertools.count(1).__next__
_new_lock = threading.Lock


class _State(enum.Enum):
    PENDING = "pending"
    FINISHED = "finished"
    FAILED = "failed"
    BUSY = "turned down"
    CANCELLED = "cancelled"
    GIVEN_UP = "given up"


# Names of the module: looked up faster than those of the class, several times per operation.
PENDING, FINISHED, FAILED, BUSY, CANCELLED, GIVEN_UP = _State

_STATUS = {FAILED: Status.ERR, GIVEN_UP: Status.ERR, BUSY: Status.EAGAIN}

#: After these the engine may complete it still: it had begun.
_LATE = {CANCELLED, GIVEN_UP}


class Ticket(Generic[T]):
    """What `Engine.submit` returns: a future, with the methods of those of `concurrent.futures`.

    `result()`, or `pausable.wait_for(ticket)`, pauses in a job and blocks outside. The engine
    completes it with `finish`, `fail` or `busy`.

    Threads: any.
    """

    __slots__ = (
        "__weakref__", "_callbacks", "_engine", "_exc", "_lock", "_state", "_tb", "_value",
        "data", "generation",
    )  # fmt: skip

    _value: T  # from `finish` on
    _tb: TracebackType | None  # from `fail` on

    def __init__(self, engine: Engine) -> None:
        #: The number of this operation; no other one of this process ever has it.
        self.generation = _new_generation()
        #: For the engine: what it knows the operation by. None again when it is done.
        self.data: Any = None
        self._engine = engine
        self._callbacks: list[Callable[[Ticket[T]], object]] = []
        self._lock = _new_lock()
        self._state = PENDING
        self._exc: BaseException | None = None

    # -- for whoever submitted it ------------------------------------------------------------------

    def done(self) -> bool:
        """Tell whether it is complete, failed, turned down or cancelled."""
        return self._state is not PENDING

    def running(self) -> bool:
        """Tell whether it is under way."""
        return self._state is PENDING

    def cancelled(self) -> bool:
        """Tell whether it was cancelled by `cancel`."""
        return self._state is CANCELLED

    def needs_this_thread(self) -> bool:
        """Tell whether it can end only if this thread's event loop goes on.

        `wait_for` refuses to block on it then: nothing would ever complete it.
        """
        return self._state is PENDING and self._engine._needs_this_thread(self)

    @property
    def status(self) -> Status:
        """OK: accepted or finished. EAGAIN: the engine was busy. ERR: it failed.

        See: ASYNC_WAIT_CTX_get_status(3)
        """
        return _STATUS.get(self._state, Status.OK)

    def result(self, timeout_s: float | None = None) -> T:
        """Return what the operation returned, or raise what it raised.

        Pauses: until it is done; as `wait_for`.

        Raises:
            EngineError: the engine failed, was closed, or was busy (`EngineBusy`).
            concurrent.futures.CancelledError: it was cancelled.
            Others: as of `wait_for`.
        """
        try:
            if self._state is PENDING:
                return wait_for(self, timeout_s)
            if self._state is CANCELLED:
                raise CancelledError(f"{self!r}")
            if self._exc is not None:
                # Of one exception for many operations each has the engine's traceback, no more.
                raise self._exc.with_traceback(self._tb)
            return self._value
        finally:
            self = None  # type: ignore[assignment]  # noqa: PLW0642  # no cycle here

    def exception(self, timeout_s: float | None = None) -> BaseException | None:
        """Return what the operation raised, or None; else as `result`."""
        if self._state is PENDING or self._state is CANCELLED:
            try:
                self.result(timeout_s)
            except BaseException as exc:
                if exc is not self._exc:  # the job's own cancellation, or the time is over
                    raise
        return self._exc

    def add_done_callback(self, callback: Callable[[Ticket[T]], object], /) -> None:
        """Have callback(self) called when it is done: at once if it is; else by any thread.

        Never on the stack of a call of `submit`. What it raises is logged.
        """
        with self._lock:
            if self._state is PENDING:
                self._callbacks.append(callback)
                return
        deliver([callback], self)

    def remove_done_callback(self, callback: Callable[[Ticket[T]], object], /) -> int:
        """Take back `add_done_callback`; return how often it was there."""
        with self._lock:
            before = len(self._callbacks)
            self._callbacks = [known for known in self._callbacks if known != callback]
            return before - len(self._callbacks)

    def cancel(self) -> bool:
        """Give the operation up, unless it is done: its engine cancels it, if that can be done.

        Returns: True if it is cancelled now; a completion that comes later is ignored.
        """
        self._give_up(CANCELLED, None)
        return self._state is CANCELLED

    # -- for the engine ----------------------------------------------------------------------------

    def finish(self, value: T) -> bool:
        """Complete it with a value.

        Returns: False if that came too late; then nothing happened.
        """
        return self._complete(FINISHED, value, None)

    def fail(self, exc: BaseException) -> bool:
        """Complete it with an exception; else as `finish`.

        Raises:
            TypeError: `exc` is no exception.
        """
        if not isinstance(exc, BaseException):
            raise TypeError(f"exc has to be an exception, not {exc!r}")
        if (tb := exc.__traceback__) is not None and tb.tb_frame is sys._getframe(1):
            exc.__traceback__ = tb.tb_next  # whoever caught it here to tell us: no cycle by it
        return self._complete(FAILED, None, exc)

    def busy(self, why: str = "") -> bool:
        """Turn it down, as EAGAIN: nothing was done, and it may be submitted again soon."""
        exc = EngineBusy(why or f"{self._engine!r} is busy; try again later, or guard() it")
        return self._complete(BUSY, None, exc)

    def give_up(self, exc: BaseException) -> bool:
        """Fail it, have its engine cancel it, and ignore what the engine may still say of it."""
        return self._give_up(GIVEN_UP, exc)

    def never_begun(self, exc: BaseException) -> None:
        """Fail it, since its engine did not begin it: there is nothing to cancel."""
        callbacks = self._end(GIVEN_UP, None, exc)
        if callbacks:
            deliver(callbacks, self)

    def orphan(self, exc: BaseException) -> None:
        """Fail it in the child of a fork, where nobody waits for it: its thread is not there."""
        self._lock = _new_lock()  # somebody may have held it
        self._callbacks.clear()
        self._end(GIVEN_UP, None, exc)

    def _give_up(self, state: _State, exc: BaseException | None) -> bool:
        callbacks = self._end(state, None, exc)
        if callbacks is None:
            return False
        try:
            self._engine._cancel(self)
        except Exception:  # whoever cancels has no use for it, and may be unwinding
            _report.cancel_failed(self._engine, self)
        self.data = None
        if callbacks:
            deliver(callbacks, self)
        return True

    def _complete(self, state: _State, value: T | None, exc: BaseException | None) -> bool:
        callbacks = self._end(state, value, exc)
        if callbacks is None:
            if self._state not in _LATE:
                self._engine._completed_twice(self)
            return False
        self.data = None
        if callbacks:
            deliver(callbacks, self)
        return True

    def _end(
        self, state: _State, value: T | None, exc: BaseException | None
    ) -> list[Callable[[Ticket[T]], object]] | None:
        """Decide how it ends; return whom to tell, or None: it has ended already."""
        with self._lock:
            if self._state is not PENDING:
                return None
            if exc is None:
                self._value = value  # type: ignore[assignment]  # a T, if it is to be read
            else:
                self._exc = exc
                self._tb = exc.__traceback__
            self._state = state  # last: whoever sees it may read the rest without the lock
            callbacks, self._callbacks = self._callbacks, []
        self._engine._pending.pop(self.generation, None)
        return callbacks

    def __repr__(self) -> str:
        return f"<operation {self.generation} of {self._engine!r}, {self._state.value}>"
