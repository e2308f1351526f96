"""The time by which waits are bounded: the system's, or that of the driver that runs the job.

A driver that has a time of its own (a test's) says so around each start and resume; it is the
thread's then, since that is all the thread does meanwhile.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Protocol

from pausable._thread_local import interpreters_local

if TYPE_CHECKING:
    from pausable._timer import Timer

__all__ = ["Clock", "clock", "drivers_clock", "monotonic"]


class Clock(Protocol):
    """A time, and calls at a later one."""

    def monotonic(self) -> float:
        """Return the seconds since some moment."""

    def call_later(self, delay_s: float, call: Callable[[], Any]) -> Timer:
        """Have `call` called in `delay_s` seconds of this time."""


_local = interpreters_local()


def drivers_clock() -> Clock | None:
    """Return the clock of the driver that runs this thread's jobs, or None: the system's."""
    return getattr(_local, "clock", None)


def monotonic() -> float:
    """Return the time in seconds, as it is for this thread's running job."""
    own = drivers_clock()
    return time.monotonic() if own is None else own.monotonic()


@contextmanager
def clock(own: Clock) -> Iterator[None]:
    """Have this thread go by a driver's clock. Nests."""
    before, _local.clock = drivers_clock(), own
    try:
        yield
    finally:
        _local.clock = before
