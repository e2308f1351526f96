"""A wrapper that makes an engine misbehave, by seed: the same faults for the same operations."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Executor, Future
from contextlib import suppress
from typing import Any, ParamSpec, TypeVar

from pausable.testing._busy import pause_busy
from pausable.testing._fault_maker import FaultMaker
from pausable.testing._faults import Faults, InjectedFault

__all__ = ["FaultyEngine"]

T = TypeVar("T")
P = ParamSpec("P")


class FaultyEngine(FaultMaker, Executor):
    """Passes operations on to `inner`, and makes up faults.

    What befalls an operation depends on the seed and on its number, and on nothing else: not on
    threads, not on time, not on what befell others. Operations are numbered from 1 in the order
    they are submitted. `faults(number)` tells what it will be, `counts` what it was.

    Args:
        inner: a `concurrent.futures.Executor`, or anything with `submit(fn, ...)`.
        seed: any int.
        max_delay_s: completions are told up to that much later, 0 or more; by the virtual clock
            where the operation is submitted by a job of a `FakeLoop`.
        error_rate: share of operations that fail with `InjectedFault`, 0 to 1, as all rates.
        again_rate: share that find the engine busy, up to five times.
        early_wake_rate: share whose callbacks are called before they are complete, too.
        double_rate: share whose callbacks are called twice when they are complete.
        lose_rate: share that never complete. Code under test needs a timeout then.
        pause_rate: share in whose submission the job is paused, once; the driver resumes it soon.
        interrupt_rate: share whose submission raises `InjectedInterrupt`, a BaseException.

    Raises:
        TypeError, ValueError: `inner` has no submit(), or a number is none or out of range.
    Threads: any.
    """

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Pass a call on to the inner engine; return a future that completes as it may.

        Pauses: up to six times with `Status.EAGAIN`, if the engine is to be busy; else never.

        Raises:
            InjectedInterrupt: it is to be interrupted.
        """
        number, faults = self._next()
        for _ in range(faults.again):
            self._plan.count("again")
            pause_busy()
        inner = self._inner.submit(fn, *args, **kwargs)
        answer: _Answer[T] = _Answer(self, number, faults, inner)
        if faults.lose:
            self._lose(number, answer)
        else:
            self._follow(inner, faults.delay_s, answer.tell)
        return answer

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Fail what was lost, so that no thread blocks for ever, and shut the inner engine down."""
        with self._lock:
            lost = list(self._lost.values())
        for answer in lost:
            answer.give_up()
        shutdown = getattr(self._inner, "shutdown", None)
        if shutdown is not None:
            shutdown(wait=wait, cancel_futures=cancel_futures)


class _Answer(Future[T]):
    """The future of one operation, which completes after the inner one, if it does."""

    def __init__(self, engine: FaultyEngine, number: int, faults: Faults, inner: Any) -> None:
        super().__init__()
        self._engine = engine
        self._number = number
        self._faults = faults
        self._inner = inner
        self._callbacks: list[Callable[[Any], object]] = []

    def add_done_callback(self, fn: Callable[[Future[T]], object]) -> None:
        """Have fn(self) called when it is complete; and early, and twice, if that is its fate."""
        self._callbacks.append(fn)
        if self._faults.early_wake:
            self._engine._plan.count("early_wakes")
            fn(self)
        super().add_done_callback(fn)

    def cancel(self) -> bool:
        """Cancel it, and the inner future if that can be done."""
        cancelled = super().cancel()
        cancel = getattr(self._inner, "cancel", None)
        if cancelled and cancel is not None:
            cancel()
        return cancelled

    def give_up(self) -> None:
        """Fail, for nobody will complete it."""
        if not self.done() and self.set_running_or_notify_cancel():
            self.set_exception(InjectedFault(self._number, "its completion was lost"))

    def __repr__(self) -> str:
        what = "cancelled" if self.cancelled() else "complete" if self.done() else "pending"
        return f"<operation {self._number} of a FaultyEngine, {what}>"

    def tell(self) -> None:
        """Complete, and call back twice, if that is its fate."""
        if not self.set_running_or_notify_cancel():
            return  # nobody wants it any more
        self._complete()
        if self._faults.double:
            self._engine._plan.count("doubled")
            for callback in list(self._callbacks):
                with suppress(Exception):  # as concurrent.futures, which has logged the first
                    callback(self)

    def _complete(self) -> None:
        if self._faults.error:
            self._engine._plan.count("errors")
            self.set_exception(InjectedFault(self._number, "it failed, by seed"))
            return
        try:
            value = self._inner.result()
        except BaseException as exc:
            self.set_exception(exc)
        else:
            self.set_result(value)
