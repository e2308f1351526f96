"""A delay that pauses the job instead of its thread."""

from __future__ import annotations

import threading
import time

from pausable._clock import monotonic
from pausable._job import current_wait_ctx, pause
from pausable._timer import call_later

__all__ = ["sleep"]


def sleep(delay_s: float) -> None:
    """Wait for `delay_s` seconds: in a job others go on meanwhile, outside one it blocks.

    In a job of a driver with a clock of its own (a test's) it goes by that. 0 lets others go on
    once.

    Pauses: until the time is over.
    Threads: the job's own.

    Raises:
        ValueError: `delay_s` is negative, or no number.
        JobCancelled: the job was cancelled.
    """
    if not delay_s >= 0:
        raise ValueError(f"delay_s has to be 0 or more seconds, not {delay_s!r}")
    delay_s = min(delay_s, threading.TIMEOUT_MAX)
    ctx = current_wait_ctx()
    if ctx is None:
        time.sleep(delay_s)
        return
    with ctx.waker() as waker:
        deadline = monotonic() + delay_s
        timer = call_later(delay_s, waker.wake)
        try:
            pause()
            while monotonic() < deadline:
                waker.clear()
                if monotonic() < deadline:  # else the timer may have gone off just before
                    pause()
        finally:
            timer.cancel()
