"""What the jobs of one event loop share: turns, so that they do not starve it, and descriptors.

Rules:

* A wake puts the job's driver in a queue and schedules one call of the loop, however many wakes
  there are until the loop makes it.
* That call lets at most `TURNS` drivers go on and schedules itself again for the rest, so that the
  loop serves its other work in between.
* Few jobs cannot starve anybody: up to `TURNS` of them await what they wait for directly.
* A descriptor is registered with the loop once, for all jobs that wait for it, and only when it is
  new or gone.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable
from typing import Final, Protocol

from pausable._wait_context import WaitContext

__all__ = ["TURNS", "FdWatch", "Hub", "Woken"]

#: How many jobs may be resumed in one tick of the loop: about a millisecond.
TURNS: Final = 128


class Woken(Protocol):
    """A driver in the queue."""

    def go_on(self) -> None:
        """Have the job resumed in this tick."""


class Hub(ABC):
    """The drivers of one loop.

    Threads: the loop's, except `wake`.
    """

    def __init__(self) -> None:
        #: How many jobs are paused on this loop.
        self.driven = 0
        self._queue: deque[Woken] = deque()
        self._scheduled = False
        #: Descriptors that the loop could not go on to watch.
        self.broken: set[int] = set()
        self._watchers: dict[int, dict[Callable[[], object], None]] = {}

    # -- turns -----------------------------------------------------------------------------------

    def wake(self, driver: Woken) -> None:
        """Queue a driver. Any thread, also a signal handler; nothing happens on a closed loop."""
        self._queue.append(driver)
        if not self._scheduled:
            self._scheduled = True
            self._schedule_from_anywhere()

    def wake_here(self, driver: Woken) -> None:
        """Queue a driver, in the loop's own thread."""
        self._queue.append(driver)
        if not self._scheduled:
            self._scheduled = True
            self._schedule()

    @property
    def crowded(self) -> bool:
        """Whether there are so many jobs that they have to take turns."""
        return self.driven > TURNS

    def turn(self) -> None:
        """Let the first in the queue go on (called by the loop)."""
        self._scheduled = False  # first: whoever is queued from now on schedules anew
        try:
            for _ in range(min(TURNS, len(self._queue))):
                self._queue.popleft().go_on()
        finally:
            if self._queue and not self._scheduled:
                self._scheduled = True
                self._schedule()

    @abstractmethod
    def _schedule_from_anywhere(self) -> None:
        """Have `turn` called in a later tick. Any thread."""

    @abstractmethod
    def _schedule(self) -> None:
        """Have `turn` called in the next tick."""

    # -- descriptors -------------------------------------------------------------------------------

    def watch(self, fd: int, wake: Callable[[], object]) -> bool:
        """Have `wake` called while `fd` is readable; return False if the loop cannot."""
        watchers = self._watchers.get(fd)
        if watchers is None:
            if not self._register(fd):
                return False
            watchers = self._watchers[fd] = {}
        watchers[wake] = None
        return True

    def unwatch(self, fd: int, wake: Callable[[], object]) -> None:
        """Take back `watch`; do nothing if that was done."""
        watchers = self._watchers.get(fd)
        if watchers is not None:
            watchers.pop(wake, None)
            if not watchers:
                del self._watchers[fd]
                self.broken.discard(fd)
                self._unregister(fd)

    def renew(self, fd: int) -> None:
        """Register a descriptor anew: it may be a new file under an old number."""
        if fd in self._watchers:
            self._unregister(fd)
            self.broken.discard(fd)
            if not self._register(fd):
                self.cannot_watch(fd)

    def readable(self, fd: int) -> None:
        """Wake whoever waits for `fd` (called by the loop)."""
        for wake in list(self._watchers.get(fd, ())):
            wake()

    def cannot_watch(self, fd: int) -> None:
        """Have whoever waits for `fd` look from time to time instead."""
        self.broken.add(fd)
        self.readable(fd)

    @abstractmethod
    def _register(self, fd: int) -> bool:
        """Have `readable(fd)` called while `fd` is readable; return False if that cannot be."""

    @abstractmethod
    def _unregister(self, fd: int) -> None:
        """Take back `_register`."""


class FdWatch:
    """Keeps a hub watching exactly the descriptors of one wait context."""

    def __init__(self, hub: Hub, ctx: WaitContext, wake: Callable[[], object]) -> None:
        self._hub = hub
        self._ctx = ctx
        self._wake = wake
        self._watched: set[int] = set()
        self._refused = False
        # Not the context's window: that is over when the job was resumed in between.
        self._seen = (0, 0)

    def update(self) -> None:
        """Register what has changed."""
        changes = self._ctx.changes
        if changes == self._seen:
            return
        added = self._ctx.fds_after(self._seen[0])
        self._seen = changes
        wanted = {fd for fd in self._ctx.fds() if fd >= 0}
        for fd in self._watched - wanted:
            self._hub.unwatch(fd, self._wake)
        for fd in self._watched.intersection(added):
            self._hub.renew(fd)
        self._watched = {fd for fd in wanted if self._hub.watch(fd, self._wake)}
        self._refused = self._watched != wanted

    @property
    def complete(self) -> bool:
        """Whether the loop waits for every descriptor."""
        return not self._refused and self._hub.broken.isdisjoint(self._watched)

    def close(self) -> None:
        """Watch nothing any more."""
        for fd in self._watched:
            self._hub.unwatch(fd, self._wake)
        self._watched = set()
