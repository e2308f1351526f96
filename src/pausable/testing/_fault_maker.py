"""What every faulty engine has: a seed, rates, an engine that does the work, and counts."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, Protocol

from pausable._timer import call_later
from pausable.testing._busy import pause_busy
from pausable.testing._faults import FaultPlan, Faults, InjectedInterrupt

__all__ = ["FaultMaker", "Submits"]


class Submits(Protocol):
    """What can be wrapped: anything that is submitted to as to a `concurrent.futures.Executor`."""

    def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> Any:
        """Begin an operation; return a future."""


class FaultMaker:
    """Makes up faults, by seed, for what is passed on to an engine or executor.

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
        pause_rate: float = 0.0,
        interrupt_rate: float = 0.0,
    ) -> None:
        super().__init__()
        if not callable(getattr(inner, "submit", None)):
            raise TypeError(
                f"inner has to be an engine or an executor, with submit(); {inner!r} is not"
            )
        self._inner = inner
        self._plan = FaultPlan(
            seed,
            max_delay_s=max_delay_s,
            error_rate=error_rate,
            again_rate=again_rate,
            early_wake_rate=early_wake_rate,
            double_rate=double_rate,
            lose_rate=lose_rate,
            pause_rate=pause_rate,
            interrupt_rate=interrupt_rate,
        )
        self._lock = threading.Lock()
        self._lost: dict[int, Any] = {}

    def faults(self, number: int) -> Faults:
        """Return what befalls the submission with that number."""
        return self._plan.faults(number)

    @property
    def counts(self) -> dict[str, int]:
        """How often what was done.

        That is: operations, again, delayed, errors, early_wakes, doubled, lost, pauses, interrupts.
        Each is counted when it happens.
        """
        return self._plan.counts

    @property
    def lost(self) -> list[int]:
        """The numbers of the submissions whose completion was lost."""
        with self._lock:
            return sorted(self._lost)

    # -- for faulty engines ------------------------------------------------------------------------

    def _next(self) -> tuple[int, Faults]:
        """Return the number of a submission that is made now, and what befalls it.

        Pauses: once, if that is its fate.

        Raises:
            InjectedInterrupt: that is its fate.
        """
        number = self._plan.count("operations")
        faults = self._plan.faults(number)
        if faults.pause and pause_busy():
            self._plan.count("pauses")
        if faults.interrupt:
            self._plan.count("interrupts")
            raise InjectedInterrupt(number)
        return number, faults

    def _lose(self, number: int, operation: Any) -> None:
        self._plan.count("lost")
        with self._lock:
            self._lost[number] = operation

    def _follow(self, future: Any, delay_s: float, complete: Callable[[], object]) -> None:
        """Have `complete` called once, when the future is complete and the delay is over."""
        both = _Both(complete)
        if delay_s > 0:
            self._plan.count("delayed")
            call_later(delay_s, lambda: both.is_over("delay"))
        else:
            both.is_over("delay")

        def told(_future: object) -> None:  # early, or twice: another faulty engine may be below
            if future.done():
                both.is_over("work")

        future.add_done_callback(told)


class _Both:
    """Makes a call when two things are over, whichever is first, however often each is told."""

    def __init__(self, call: Callable[[], object]) -> None:
        self._call = call
        self._missing = {"delay", "work"}
        self._lock = threading.Lock()

    def is_over(self, what: str) -> None:
        with self._lock:
            if what not in self._missing:
                return
            self._missing.discard(what)
            if self._missing:
                return
        self._call()
