"""A job of a fake loop, and what may wake it."""

from __future__ import annotations

import select
from collections import deque
from typing import Any

from pausable import Job, WaitContext
from pausable.loops._promise import Patience

__all__ = ["Task"]


class Task:
    """A job under way; it puts itself into `queue` when it is woken."""

    __slots__ = ("_queue", "_queued", "ctx", "due", "job", "patience")

    def __init__(self, queue: deque[Task]) -> None:
        self.ctx = WaitContext()
        self.ctx.set_callback(self.wake)
        self.ctx.driver_blocks = True  # no event loop goes on while this one waits
        self.job: Job[Any] | None = None
        self.patience = Patience()
        self.due: float | None = None  # when to look again, if nothing wakes it before
        self._queue = queue
        self._queued = False

    def wake(self) -> None:
        """Have the job resumed in the next round. Any thread."""
        if not self._queued:
            self._queued = True
            self._queue.append(self)

    def dequeue(self) -> None:
        """Note that it was taken from the queue: the next wake puts it there again."""
        self._queued = False

    @property
    def paused(self) -> bool:
        """Whether the job is paused."""
        return self.job is not None and self.job.paused

    def readable(self) -> bool:
        """Tell whether one of its descriptors is ready now."""
        fds = [fd for fd in self.ctx.fds() if fd >= 0]
        if not fds:
            return False
        if not hasattr(select, "poll"):  # Windows
            return bool(select.select(fds, [], [], 0)[0])
        poller = select.poll()
        for fd in fds:
            poller.register(fd, select.POLLIN)
        return bool(poller.poll(0))

    def settle(self, now: float) -> None:
        """Note what the job waits for, when it has just run."""
        self.due = None
        if self.paused:
            delay_s = self.patience.delay_s(self.ctx, all_watched=True)
            if delay_s is not None:
                self.due = now + delay_s
        elif self.job is not None and self.job.done():
            self.ctx.close()

    def waits_for(self) -> str:
        """Say what may wake the job."""
        if self._queued:
            return "ready"
        if self.ctx.has_wakers():
            return "waits to be woken"
        if self.ctx.has_fds():
            return f"waits for the descriptors {self.ctx.fds()}"
        return f"nothing promised to wake it (status {self.ctx.status!r})"
