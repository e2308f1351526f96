"""A circuit breaker: an engine that fails again and again is left alone for a while.

Not pybreaker: it holds a lock while it calls, so that a paused job would keep every other thread
from the engine, and it counts calls, not completions that come later.
"""

from __future__ import annotations

import threading

from pausable._patience import check_timeout
from pausable.engines._checks import check_count

__all__ = ["Breaker"]


class Breaker:
    """Opens after `failures` failed attempts in a row; then nothing is attempted for `reset_s`.

    After that a single attempt is let through. If it succeeds, the breaker is closed again, else it
    stays open for as long once more. Guards of the same device may share one.

    Args:
        failures: how many in a row, 1 or more. What was turned down (EAGAIN) is none.
        reset_s: seconds.

    Raises:
        TypeError, ValueError: a number is none, or out of range.
    Threads: any.
    """

    def __init__(self, failures: int = 5, reset_s: float = 30.0) -> None:
        check_count("failures", failures)
        check_timeout(reset_s, "reset_s")
        self.failures = failures
        self.reset_s = reset_s
        self._lock = threading.Lock()
        self._failed = 0
        self._open_since: float | None = None
        self._trying = False

    @property
    def is_open(self) -> bool:
        """Whether it is open, or lets a single attempt through."""
        return self._open_since is not None

    def allow(self, now: float) -> bool:
        """Tell whether an attempt may be made; if so, say what became of it."""
        with self._lock:
            if self._open_since is None:
                return True
            if self._trying or now < self._open_since + self.reset_s:
                return False
            self._trying = True
            return True

    def succeeded(self) -> None:
        """Count an attempt that the engine answered, with whatever."""
        with self._lock:
            self._failed = 0
            self._open_since = None
            self._trying = False

    def failed(self, now: float) -> None:
        """Count an attempt that the engine failed."""
        with self._lock:
            if self._open_since is not None and not self._trying:
                return  # it began before: that the breaker is open says it all
            self._failed += 1
            if self._trying or self._failed >= self.failures:
                self._open_since = now
                self._trying = False

    def undecided(self) -> None:
        """Count an attempt that tells nothing: it was turned down, or nobody wanted it any more."""
        with self._lock:
            self._trying = False

    def __repr__(self) -> str:
        state = "open" if self.is_open else "closed"
        return f"<Breaker {state}, {self._failed} failures in a row>"
