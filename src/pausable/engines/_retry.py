"""When to try again: how often, after what delay, and out of which budget.

tenacity and stamina retry a call: a loop that sleeps between calls. Here nobody stands in a loop:
an operation that was submitted is retried by a timer, whoever waits for it, or nobody yet. What is
left of those libraries then is this arithmetic. (In a job, around `engine.call`, tenacity works as
it is with `sleep=pausable.sleep`.)
"""

from __future__ import annotations

import random
import threading
from typing import Final

from pausable.engines._checks import check_count, check_seconds

__all__ = ["Budget", "Retry"]

#: Retries that may be made at first, and that may be saved up.
RESERVE: Final = 10.0
MOST: Final = 100.0


class Retry:
    """How an operation is tried again that the engine turned down or failed to do.

    The delay before a retry is random, from 0 to `delay_s`, then to twice that, and so on, so that
    those who failed together do not come back together.

    The work may be done more than once: an attempt that took too long may have been done, too.

    Args:
        attempts: the most attempts, with the first; 1 or more.
        delay_s: the longest delay before the first retry.
        max_delay_s: the longest delay of all.
        budget: how many retries there may be for each operation, on average, that are due to
            errors, 0 or more, and 10 on top: an engine that fails all the time is not asked many
            times as often because of it. What it turned down (EAGAIN) is not counted. None: no
            limit.
        seed: for the random delays.

    Raises:
        TypeError, ValueError: a number is none, or out of range.
    """

    def __init__(
        self,
        attempts: int = 4,
        *,
        delay_s: float = 0.01,
        max_delay_s: float = 1.0,
        budget: float | None = 0.2,
        seed: int | None = None,
    ) -> None:
        check_count("attempts", attempts)
        check_seconds("delay_s", delay_s)
        check_seconds("max_delay_s", max_delay_s)
        if budget is not None and not budget >= 0:
            raise ValueError(f"budget has to be 0 or more retries, or None, not {budget!r}")
        self.attempts = attempts
        self.delay_s = delay_s
        self.max_delay_s = max_delay_s
        self.budget = budget
        self._random = random.Random(seed)  # noqa: S311  # no secret

    def next_delay_s(self, attempts: int) -> float | None:
        """Return how long to wait after so many attempts, or None: that was the last one."""
        if attempts >= self.attempts:
            return None
        doublings = min(attempts - 1, 60)  # beyond that, floats overflow
        return self._random.uniform(0.0, min(self.max_delay_s, self.delay_s * 2**doublings))


class Budget:
    """How many retries may be made now.

    Threads: any.
    """

    def __init__(self, share: float | None) -> None:
        self._share = share
        self._lock = threading.Lock()
        self._left = RESERVE

    def anew(self) -> Budget:
        """Return another one of the kind."""
        return Budget(self._share)

    def earn(self) -> None:
        """Count an operation."""
        if self._share is not None:
            with self._lock:
                self._left = min(MOST, self._left + self._share)

    def spend(self) -> bool:
        """Count a retry; return False if there must be none."""
        if self._share is None:
            return True
        with self._lock:
            if self._left < 1:
                return False
            self._left -= 1
            return True
