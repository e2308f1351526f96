"""A circuit breaker: an engine that fails again and again is left alone for a while.

Not pybreaker: it holds a lock while it calls, so that a paused job would keep every other thread
from the engine, and it counts calls, not completions that come later.
"""

from __future__ import annotations

import threading

from pausable.engines._checks import check_count, check_seconds

__all__ = ["Breaker"]


class Breaker:
    """Opens after `failures` failed attempts in a row; then nothing is attempted for `reset_s`.

    After that a single attempt is let through. If it succeeds, the breaker is closed again, else it
    stays open for as long once more; if nothing is heard of it for `reset_s`, another one is let
    through. Guards of the same device may share one.

    Args:
        failures: how many in a row, 1 or more. What was turned down (EAGAIN) is none.
        reset_s: seconds.

    Raises:
        TypeError, ValueError: a number is none, or out of range.
    Threads: any.
    """

    def __init__(self, failures: int = 5, reset_s: float = 30.0) -> None:
        check_count("failures", failures)
        check_seconds("reset_s", reset_s)
        self.failures = failures
        self.reset_s = reset_s
        self._lock = threading.Lock()
        self._failed = 0
        self._open_since: float | None = None
        self._trial_since: float | None = None
        # Goes up whenever it opens, closes or lets a trial through: what began before, and ends
        # after, says nothing of how the engine is now.
        self._phase = 0

    @property
    def is_open(self) -> bool:
        """Whether it is open, or lets a single attempt through."""
        return self._open_since is not None

    def allow(self, now: float) -> int | None:
        """Tell whether an attempt may be made.

        Returns: what to name the attempt by when it has ended, or None: it must not be made.
        """
        with self._lock:
            if self._open_since is not None:
                waits_since = self._open_since if self._trial_since is None else self._trial_since
                if now < waits_since + self.reset_s:
                    return None
                self._trial_since = now
                self._phase += 1
            return self._phase

    def succeeded(self, attempt: int) -> None:
        """Count an attempt that the engine answered, with whatever."""
        with self._lock:
            if attempt == self._phase:
                self._failed = 0
                if self._open_since is not None:
                    self._open_since = self._trial_since = None
                    self._phase += 1

    def failed(self, attempt: int, now: float) -> None:
        """Count an attempt that the engine failed."""
        with self._lock:
            if attempt == self._phase:
                self._failed += 1
                if self._open_since is not None or self._failed >= self.failures:
                    self._open_since, self._trial_since = now, None
                    self._phase += 1

    def undecided(self, attempt: int) -> None:
        """Count an attempt that tells nothing: it was turned down, or nobody wanted it any more."""
        with self._lock:
            if attempt == self._phase and self._open_since is not None:
                self._trial_since = None  # another one may try at once
                self._phase += 1

    def forked(self) -> None:
        """Go on in the child of a fork, where nobody holds the lock."""
        self._lock = threading.Lock()

    def __repr__(self) -> str:
        state = "open" if self.is_open else "closed"
        return f"<Breaker {state}, {self._failed} failures in a row>"
