"""Drives many jobs in one thread of a plain script, without an event loop."""

from __future__ import annotations

import heapq
import itertools
import os
import selectors
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Generic, TypeVar

from pausable import _report
from pausable._job import Job
from pausable._pool import JobPool
from pausable._thread_local import get_ident
from pausable._wait_context import WaitContext
from pausable._wakefd import WakeFd
from pausable.errors import ForkedJobError, WrongThread
from pausable.loops._promise import Patience

__all__ = ["ScriptLoop"]

T = TypeVar("T")


class _Task(Generic[T]):
    """A job under way, and how it is watched."""

    def __init__(self, driver: ScriptLoop) -> None:
        self.ctx = WaitContext()
        self.ctx.set_callback(self.wake)
        self.ctx.driver_blocks = True
        self.job: Job[T] | None = None
        self.patience = Patience()
        self.due: float | None = None  # when to look again, if nothing wakes it before
        self.watched: set[int] = set()
        self.unwatchable = False  # the system cannot wait for one of its descriptors
        self._driver = driver
        self._queued = False

    def wake(self) -> None:
        """Have the job resumed. Any thread."""
        if not self._queued:
            self._queued = True
            self._driver.ready.append(self)
            self._driver.alarm.set()

    def dequeue(self) -> None:
        self._queued = False


class ScriptLoop:
    """Resumes the jobs of one thread as they become ready."""

    def __init__(self, pool: JobPool) -> None:
        self.ready: deque[_Task[Any]] = deque()
        self.alarm = WakeFd()
        self._pool = pool
        self._tasks: set[_Task[Any]] = set()
        self._due: list[tuple[float, int, _Task[Any]]] = []  # a heap; stale where task.due differs
        self._numbers = itertools.count()
        self._pid = os.getpid()
        self._thread = get_ident()
        self._watchers: dict[int, set[_Task[Any]]] = {}
        self._selector = selectors.DefaultSelector()
        self._selector.register(self.alarm.fd, selectors.EVENT_READ)

    @property
    def under_way(self) -> int:
        """How many jobs are paused."""
        return len(self._tasks)

    def start(
        self, fn: Callable[..., T], args: tuple[Any, ...], kwargs: dict[str, Any] | None = None
    ) -> Job[T]:
        """Start a job.

        Raises:
            NoJobsAvailable: the thread's pool is full of jobs, some of them not ours.
        """
        task: _Task[T] = _Task(self)
        task.job = job = self._pool.start_in(task.ctx, fn, *args, **kwargs or {})
        if job.done():
            task.ctx.close()
        else:
            self._tasks.add(task)
            self._watch(task)
        return job

    def check_thread(self) -> None:
        """Refuse any thread but the jobs' own.

        Raises:
            WrongThread: this is another one.
        """
        if get_ident() != self._thread:
            raise WrongThread(
                f"the jobs were started in {_report.thread_name(self._thread)} and can only be"
                f" driven there, not in {_report.thread_name(get_ident())}; use up or close the"
                " results of pausable.map in the thread that took the first of them"
            )

    def step(self) -> None:
        """Wait until a job is ready, and resume each that is, once."""
        if os.getpid() != self._pid:
            raise ForkedJobError(
                "the jobs were started before os.fork() and belong to the parent process; start"
                " them anew here"
            )
        for key, _ in self._selector.select(self._wait_s()):
            for task in self._watchers.get(key.fd, ()):
                task.wake()
        self.alarm.clear()
        self._wake_due()
        for _ in range(len(self.ready)):
            task = self.ready.popleft()
            task.dequeue()
            if task in self._tasks:
                self._resume(task)

    def _wait_s(self) -> float | None:
        while self._due and self._due[0][0] != self._due[0][2].due:
            heapq.heappop(self._due)
        if self.ready:
            return 0.0
        return max(0.0, self._due[0][0] - time.monotonic()) if self._due else None

    def _wake_due(self) -> None:
        now = time.monotonic()
        while self._due and self._due[0][0] <= now:
            due, _, task = heapq.heappop(self._due)
            if task.due == due:
                task.wake()

    def close(self) -> None:
        """Unwind every job, and close what was opened."""
        failure: BaseException | None = None
        for task in list(self._tasks):
            try:
                if task.job is not None:
                    task.job.close()
            except BaseException as exc:
                failure = failure or exc
            if os.getpid() == self._pid:
                self._forget(task)
        # In the child of a fork, that is all: the system shares what is watched with the parent.
        self._selector.close()
        self.alarm.close()
        if failure is not None:
            raise failure

    def _resume(self, task: _Task[Any]) -> None:
        assert task.job is not None
        try:
            done = task.job.resume()
        except BaseException:  # Ctrl-C: the job has ended with it
            self._forget(task)
            raise
        if done:
            self._forget(task)
        else:
            self._watch(task)

    def _watch(self, task: _Task[Any]) -> None:
        added, deleted = task.ctx.changed_fds()
        if added or deleted:
            self._renew(task.watched.intersection(added))
            self._set_watched(task, {fd for fd in task.ctx.fds() if fd >= 0})
        delay_s = task.patience.delay_s(task.ctx, all_watched=not task.unwatchable)
        if delay_s is None:
            task.due = None
        else:
            task.due = time.monotonic() + delay_s
            heapq.heappush(self._due, (task.due, next(self._numbers), task))

    def _renew(self, fds: set[int]) -> None:
        """Watch descriptors anew: each may be a new file under an old number."""
        for fd in fds:
            self._unregister(fd)
            self._register(fd)

    def _unregister(self, fd: int) -> None:
        with suppress(KeyError):  # it could not be registered anew
            self._selector.unregister(fd)

    def _register(self, fd: int) -> bool:
        try:
            self._selector.register(fd, selectors.EVENT_READ)
        except (OSError, ValueError):  # closed, or a plain file, which is always readable
            return False
        return True

    def _forget(self, task: _Task[Any]) -> None:
        self._tasks.discard(task)
        task.due = None
        self._set_watched(task, set())
        task.ctx.close()

    def _set_watched(self, task: _Task[Any], wanted: set[int]) -> None:
        for fd in task.watched - wanted:
            watchers = self._watchers[fd]
            watchers.discard(task)
            if not watchers:
                del self._watchers[fd]
                self._unregister(fd)
        task.unwatchable = False
        for fd in wanted - task.watched:
            if fd in self._watchers or self._register(fd):
                self._watchers.setdefault(fd, set()).add(task)
            else:
                task.unwatchable = True
                wanted = wanted - {fd}
        task.watched = wanted
