"""A clock that stands still until it is moved."""

from __future__ import annotations

import heapq
from collections.abc import Callable
from typing import Any

from pausable._timer import Timer

__all__ = ["VirtualClock"]


class VirtualClock:
    """The time of a `FakeLoop`, and what is to be called at a later one.

    Threads: the loop's own.
    """

    def __init__(self) -> None:
        self.now = 0.0
        self._timers: list[Timer] = []

    def monotonic(self) -> float:
        """Return the seconds since the loop was made."""
        return self.now

    def call_later(self, delay_s: float, call: Callable[[], Any]) -> Timer:
        """Have `call` called when the clock has been moved by `delay_s`."""
        timer = Timer(self.now + delay_s, call)
        heapq.heappush(self._timers, timer)
        return timer

    def next_due(self) -> float | None:
        """Return when the next call is due, or None."""
        while self._timers and self._timers[0].cancelled:
            heapq.heappop(self._timers)
        return self._timers[0].due if self._timers else None

    def call_due(self) -> None:
        """Make the calls that are due, the earliest first."""
        while (due := self.next_due()) is not None and due <= self.now:
            heapq.heappop(self._timers).call()
