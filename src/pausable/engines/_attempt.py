"""One attempt of a guarded operation: it ends once, whatever its future does.

By its future, by its time limit, or because nobody wants it any more. Whatever comes later, or
twice, finds it over.
"""

from __future__ import annotations

import threading
from concurrent.futures import CancelledError
from typing import TYPE_CHECKING, Any

from pausable import _report
from pausable._timer import Timer
from pausable._wait_context import Status
from pausable.engines._checks import Submits, cancel_future, check_future, failure_of
from pausable.errors import EngineError, EngineTimeout

if TYPE_CHECKING:
    from pausable.engines._guarded import Operation

__all__ = ["Attempt", "because"]


class Attempt:
    """One try of one engine.

    Threads: any.

    Args:
        operation: whose.
        engine: the engine, or its fallback.
        instead_of: what led to the fallback; None: it is the engine itself.
        phase: what its breaker knows the attempt by.
    """

    def __init__(
        self,
        operation: Operation,
        engine: Submits,
        instead_of: BaseException | None,
        phase: int = 0,
    ) -> None:
        self.instead_of = instead_of
        self.phase = phase
        self._operation = operation
        self._engine = engine
        self._lock = threading.Lock()
        self._over = False
        self.future: Any = None
        self._timer: Timer | None = None

    def begin(self, timeout_s: float | None) -> None:
        """Submit the operation's request."""
        operation = self._operation
        try:
            future = operation.origin.submit(self._engine, operation.request, operation.options)
            check_future(self._engine, future)
            with self._lock:
                self.future = future
                given_up = self._over
                if not given_up and timeout_s is not None and not future.done():
                    self._timer = operation.call_later(timeout_s, lambda: self._too_long(timeout_s))
            if given_up:  # meanwhile, by another thread
                _cancel(future)
            else:
                future.add_done_callback(self._done)
        except Exception as exc:
            self._end(None, exc)
        except BaseException as exc:  # cancelled, or Ctrl-C: but others wait for the place
            if self._once():
                operation.interrupted(self, exc)
            raise

    @property
    def over(self) -> bool:
        """Whether it has ended."""
        return self._over

    def give_up(self) -> bool:
        """Cancel it; return False if it was over."""
        if not self._once():
            return False
        if self.future is not None:
            _cancel(self.future)
        return True

    def _done(self, future: Any) -> None:
        try:
            if not future.done():  # an early wake
                return
            failure = failure_of(future)
            value = future.result() if failure is None else None
            again = getattr(future, "status", None) is Status.EAGAIN
        except CancelledError as exc:
            self._end(None, because(f"{self._engine!r} cancelled the operation", exc))
        except BaseException as exc:
            self._end(None, exc)
        else:
            self._end(value, failure, again=again)

    def _too_long(self, timeout_s: float) -> None:
        guard = self._operation._guard
        error = EngineTimeout(f"{guard!r}: no answer after {timeout_s} s (timeout_s)")
        if self._once():
            guard._count("timeouts")
            _cancel(self.future)
            self._operation.ended(self, None, error, False)

    def _end(self, value: Any, exc: BaseException | None, *, again: bool = False) -> None:
        if self._once():
            self.future = None  # which holds us
            self._operation.ended(self, value, exc, again)

    def _once(self) -> bool:
        with self._lock:
            if self._over:
                return False
            self._over = True
            timer = self._timer
        if timer is not None:
            timer.cancel()
        return True


def _cancel(future: Any) -> None:
    try:
        cancel_future(future)
    except Exception:  # it may be the loop's that was closed; nobody wants the result
        _report.cancel_failed(future, "an attempt")


def because(message: str, exc: BaseException) -> EngineError:
    """Return an error of the engine's that has a cause."""
    error = EngineError(message)
    error.__cause__ = exc
    return error
