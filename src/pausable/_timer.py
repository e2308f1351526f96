"""Calls at a later time, for jobs whose driver may have no clock of its own.

One daemon thread for all, started on first use. The calls have to be short and any-thread: wakers.
A driver with a clock of its own (`_clock`) makes them itself, by that.
"""

from __future__ import annotations

import heapq
import itertools
import os
import threading
import time
from collections.abc import Callable
from typing import Final

from pausable import _report
from pausable._clock import drivers_clock

__all__ = ["Timer", "call_later"]

#: How many timers may be called off before the queue is tidied.
TIDY_AT: Final = 100


class Timer:
    """A call to come."""

    __slots__ = ("_call", "_number", "due")

    _numbers = itertools.count()

    def __init__(self, due: float, call: Callable[[], object]) -> None:
        #: When, by the clock that it belongs to.
        self.due: Final = due
        self._number = next(self._numbers)
        self._call: Callable[[], object] | None = call

    def __lt__(self, other: Timer) -> bool:
        return (self.due, self._number) < (other.due, other._number)

    def call(self) -> None:
        """Make the call, unless it was called off; what it raises is logged."""
        call = self._call
        if call is not None:
            try:
                call()
            except BaseException:  # it must not end the thread that all others wait for
                _report.timer_failed(call)

    def cancel(self) -> None:
        """Call it off. Any thread."""
        self._call = None
        _clock.forget_cancelled()

    @property
    def cancelled(self) -> bool:
        """Whether it was called off (or has been made)."""
        return self._call is None


class _Clock:
    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._queue: list[Timer] = []
        self._thread: threading.Thread | None = None
        self._cancelled = 0

    def add(self, timer: Timer) -> None:
        with self._changed:
            heapq.heappush(self._queue, timer)
            if self._thread is None:
                self._thread = threading.Thread(
                    target=self._run, name="pausable-timer", daemon=True
                )
                self._thread.start()
            self._changed.notify()

    def forget_cancelled(self) -> None:
        """Drop timers that were called off, when they are most of all: long before they are due."""
        self._cancelled += 1
        if self._cancelled > TIDY_AT and self._cancelled > len(self._queue) / 2:
            with self._changed:
                self._cancelled = 0
                self._queue = [timer for timer in self._queue if not timer.cancelled]
                heapq.heapify(self._queue)

    def _run(self) -> None:
        while True:
            with self._changed:
                while not self._queue or self._queue[0].due > time.monotonic():
                    left_s = self._queue[0].due - time.monotonic() if self._queue else None
                    self._changed.wait(left_s and min(left_s, threading.TIMEOUT_MAX))
                timer = heapq.heappop(self._queue)
            timer.call()
            del timer  # it holds what it called until the next one is due


_clock = _Clock()


def call_later(delay_s: float, call: Callable[[], object]) -> Timer:
    """Have `call` called in `delay_s` seconds: by another thread, or by the driver."""
    own = drivers_clock()
    if own is not None:
        return own.call_later(delay_s, call)
    timer = Timer(time.monotonic() + delay_s, call)
    _clock.add(timer)
    return timer


def _after_fork_in_child() -> None:
    global _clock
    _clock = _Clock()  # its thread is the parent's


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)
