"""A wrapper that makes an engine misbehave, by seed: the same faults for the same operations."""

from __future__ import annotations

import random
import sys
import threading
from collections import Counter
from collections.abc import Callable
from concurrent.futures import Executor, Future
from contextlib import suppress
from typing import Any, Final, NamedTuple, Protocol, TypeVar

from pausable._timer import call_later
from pausable.testing._busy import pause_busy

if sys.version_info >= (3, 11):
    from typing import ParamSpec
else:
    from typing_extensions import ParamSpec

__all__ = ["Faults", "FaultyEngine", "InjectedFault"]

T = TypeVar("T")
P = ParamSpec("P")

#: The most times in a row that an operation finds the engine busy.
STORM: Final = 5


class InjectedFault(Exception):
    """A failure that a `FaultyEngine` made up, of the operation with this `number`."""

    def __init__(self, number: int, what: str) -> None:
        super().__init__(f"operation {number}: {what}")
        self.number = number


class Faults(NamedTuple):
    """What is to go wrong with one operation."""

    #: Its completion is told that much later than it could be.
    delay_s: float
    #: The work is done, but the answer is an `InjectedFault`.
    error: bool
    #: How often it is turned down (EAGAIN) before it is accepted.
    again: int
    #: Whoever asks to be told is called at once, complete or not.
    early_wake: bool
    #: Whoever asked to be told is called twice when it is complete.
    double: bool
    #: It never completes.
    lose: bool


class Submits(Protocol):
    """What can be wrapped: anything that is submitted to as to a `concurrent.futures.Executor`."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
        """Begin a call; return a future."""


class FaultyEngine(Executor):
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

    Raises:
        TypeError, ValueError: `inner` has no submit(), or a number is none or out of range.
    Threads: any.
    """

    def __init__(
        self,
        inner: Submits,
        *,
        seed: int,
        max_delay_s: float = 0.0,
        error_rate: float = 0.0,
        again_rate: float = 0.0,
        early_wake_rate: float = 0.0,
        double_rate: float = 0.0,
        lose_rate: float = 0.0,
    ) -> None:
        if not callable(getattr(inner, "submit", None)):
            raise TypeError(f"inner has to have submit(fn, ...), as an executor; {inner!r} has not")
        if not isinstance(seed, int) or isinstance(seed, bool):
            raise TypeError(f"seed has to be an int, not {seed!r}")
        self._inner = inner
        self._seed = seed
        self._max_delay_s = _number("max_delay_s", max_delay_s, threading.TIMEOUT_MAX)
        self._error_rate = _number("error_rate", error_rate)
        self._again_rate = _number("again_rate", again_rate)
        self._early_wake_rate = _number("early_wake_rate", early_wake_rate)
        self._double_rate = _number("double_rate", double_rate)
        self._lose_rate = _number("lose_rate", lose_rate)
        self._lock = threading.Lock()
        self._counts: Counter[str] = Counter()
        self._lost: dict[int, _Answer[Any]] = {}

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Pass a call on to the inner engine; return a future that completes as it may.

        Pauses: up to five times with `Status.EAGAIN`, if the engine is to be busy; else never.
        """
        number = self._count("operations")
        faults = self.faults(number)
        for _ in range(faults.again):
            self._count("again")
            pause_busy()
        inner = self._inner.submit(fn, *args, **kwargs)
        answer: _Answer[T] = _Answer(self, number, faults, inner)
        if faults.lose:
            with self._lock:
                self._lost[number] = answer
            self._count("lost")
        else:
            answer.follow()
        return answer

    def faults(self, number: int) -> Faults:
        """Return what befalls the operation with that number."""
        draw = random.Random(f"{self._seed}:{number}")  # noqa: S311  # no secret
        # Each is drawn whatever its rate: one rate does not change what the others do.
        delay, error, again, early, double, lose = (draw.random() for _ in range(6))
        return Faults(
            delay_s=delay * self._max_delay_s,
            error=error < self._error_rate,
            again=draw.randint(1, STORM) if again < self._again_rate else 0,
            early_wake=early < self._early_wake_rate,
            double=double < self._double_rate,
            lose=lose < self._lose_rate,
        )

    @property
    def counts(self) -> dict[str, int]:
        """How often what was done: operations, again, delayed, errors, early_wakes, doubled, lost.

        Each is counted when it happens.
        """
        kinds = ("operations", "again", "delayed", "errors", "early_wakes", "doubled", "lost")
        with self._lock:
            return {kind: self._counts[kind] for kind in kinds}

    @property
    def lost(self) -> list[int]:
        """The numbers of the operations whose completion was lost."""
        with self._lock:
            return sorted(self._lost)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Fail what was lost, so that no thread blocks for ever, and shut the inner engine down."""
        with self._lock:
            lost = list(self._lost.values())
        for answer in lost:
            answer.give_up()
        shutdown = getattr(self._inner, "shutdown", None)
        if shutdown is not None:
            shutdown(wait=wait, cancel_futures=cancel_futures)

    def _count(self, kind: str) -> int:
        with self._lock:
            self._counts[kind] += 1
            return self._counts[kind]


class _Answer(Future[T]):
    """The future of one operation, which completes after the inner one, if it does."""

    def __init__(self, engine: FaultyEngine, number: int, faults: Faults, inner: Any) -> None:
        super().__init__()
        self._engine = engine
        self._number = number
        self._faults = faults
        self._inner = inner
        self._callbacks: list[Callable[[Any], object]] = []
        self._missing = 2  # its delay and the inner future
        self._missing_lock = threading.Lock()

    def follow(self) -> None:
        """Complete when the inner future is complete and the delay is over."""
        if self._faults.delay_s > 0:
            self._engine._count("delayed")
            call_later(self._faults.delay_s, self._one_is_here)
        else:
            self._missing -= 1
        self._inner.add_done_callback(self._one_is_here)

    def add_done_callback(self, fn: Callable[[Future[T]], object]) -> None:
        """Have fn(self) called when it is complete; and early, and twice, if that is its fate."""
        self._callbacks.append(fn)
        if self._faults.early_wake:
            self._engine._count("early_wakes")
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

    def _one_is_here(self, _inner: object = None) -> None:
        with self._missing_lock:
            self._missing -= 1
            if self._missing:
                return
        if not self.set_running_or_notify_cancel():
            return  # nobody wants it any more
        self._complete()
        if self._faults.double:
            self._engine._count("doubled")
            for callback in list(self._callbacks):
                with suppress(Exception):  # as concurrent.futures, which has logged the first
                    callback(self)

    def _complete(self) -> None:
        if self._faults.error:
            self._engine._count("errors")
            self.set_exception(InjectedFault(self._number, "it failed, by seed"))
            return
        try:
            value = self._inner.result()
        except BaseException as exc:
            self.set_exception(exc)
        else:
            self.set_result(value)


def _number(name: str, value: float, most: float = 1.0) -> float:
    if not isinstance(value, (int, float)) or isinstance(value, bool):
        raise TypeError(f"{name} has to be a number, not {value!r}")
    if not 0 <= value <= most:
        raise ValueError(f"{name} has to be between 0 and {most:g}, not {value!r}")
    return float(value)
