"""Many jobs in one thread of a plain script, without an event loop."""

from __future__ import annotations

import selectors
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final, Generic, TypeVar

from pausable._job import Job
from pausable._pool import JobPool
from pausable._threads import thread_pool
from pausable._wait_context import WaitContext
from pausable._wakefd import WakeFd
from pausable.errors import JobStateError, NoJobsAvailable
from pausable.loops._promise import FIRST_DELAY_S, must_poll, next_delay_s

__all__ = ["Map"]

T = TypeVar("T")

#: How many finished results, in multiples of `jobs`, may wait for a slower one before them.
WINDOW: Final = 4


class _Task(Generic[T]):
    """A job under way, and how it is watched."""

    def __init__(self, driver: Driver) -> None:
        self.ctx = WaitContext()
        self.ctx.set_callback(self.wake)
        self.job: Job[T] | None = None
        self.delay_s = FIRST_DELAY_S
        self.due: float | None = None  # when to look again, if nothing promises to wake it
        self.watched: set[int] = set()
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


class Driver:
    """Resumes the jobs of one thread as they become ready."""

    def __init__(self, pool: JobPool) -> None:
        self.ready: deque[_Task[Any]] = deque()
        self.alarm = WakeFd()
        self._pool = pool
        self._tasks: set[_Task[Any]] = set()
        self._watchers: dict[int, set[_Task[Any]]] = {}
        self._selector = selectors.DefaultSelector()
        self._selector.register(self.alarm.fd, selectors.EVENT_READ)

    @property
    def under_way(self) -> int:
        """How many jobs are paused."""
        return len(self._tasks)

    def start(self, fn: Callable[..., T], args: tuple[Any, ...]) -> Job[T]:
        """Start a job.

        Raises:
            NoJobsAvailable: the thread's pool is full of jobs, some of them not ours.
        """
        task: _Task[T] = _Task(self)
        task.job = job = self._pool.launch_in(task.ctx, None, fn, args, {})
        if job.done():
            task.ctx.close()
        else:
            self._tasks.add(task)
            self._watch(task)
        return job

    def step(self) -> None:
        """Wait until a job is ready, and resume each that is, once."""
        now = time.monotonic()
        due = min((task.due for task in self._tasks if task.due is not None), default=None)
        wait_s = 0.0 if self.ready else None if due is None else max(0.0, due - now)
        for key, _ in self._selector.select(wait_s):
            for task in self._watchers.get(key.fd, ()):
                task.wake()
        self.alarm.clear()
        if due is not None:
            now = time.monotonic()
            for task in self._tasks:
                if task.due is not None and task.due <= now:
                    task.wake()
        for _ in range(len(self.ready)):
            task = self.ready.popleft()
            task.dequeue()
            if task in self._tasks:
                self._resume(task)

    def close(self) -> None:
        """Unwind every job, and close what was opened."""
        failure: BaseException | None = None
        for task in list(self._tasks):
            try:
                if task.job is not None:
                    task.job.close()
            except BaseException as exc:
                failure = failure or exc
            self._forget(task)
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
        if must_poll(task.ctx):
            task.due = time.monotonic() + task.delay_s
            task.delay_s = next_delay_s(task.delay_s)
        else:
            task.due = None
            task.delay_s = FIRST_DELAY_S

    def _renew(self, fds: set[int]) -> None:
        """Watch descriptors anew: each may be a new file under an old number."""
        for fd in fds:
            self._selector.unregister(fd)
            self._selector.register(fd, selectors.EVENT_READ)

    def _forget(self, task: _Task[Any]) -> None:
        self._tasks.discard(task)
        self._set_watched(task, set())
        task.ctx.close()

    def _set_watched(self, task: _Task[Any], wanted: set[int]) -> None:
        for fd in task.watched - wanted:
            watchers = self._watchers[fd]
            watchers.discard(task)
            if not watchers:
                del self._watchers[fd]
                self._selector.unregister(fd)
        for fd in wanted - task.watched:
            watchers = self._watchers.setdefault(fd, set())
            if not watchers:
                self._selector.register(fd, selectors.EVENT_READ)
            watchers.add(task)
        task.watched = wanted


class Map(Iterator[T]):
    """The results of `map`, in the order of its arguments."""

    def __init__(self, fn: Callable[..., T], calls: Iterable[tuple[Any, ...]], jobs: int) -> None:
        if not callable(fn):
            raise TypeError(f"fn has to be callable, not {fn!r}")
        if not isinstance(jobs, int) or isinstance(jobs, bool):
            raise TypeError(f"jobs has to be an int, not {jobs!r}")
        if jobs < 1:
            raise ValueError(f"jobs has to be 1 or more, not {jobs}")
        self._fn = fn
        self._calls: Iterator[tuple[Any, ...]] | None = iter(calls)
        self._jobs = jobs
        self._pending: deque[Job[T]] = deque()
        self._driver: Driver | None = Driver(thread_pool())

    def __iter__(self) -> Map[T]:
        return self

    def __next__(self) -> T:
        """Return the next result, or raise what its call raised; that ends the iteration."""
        driver = self._driver
        if driver is None:
            raise StopIteration
        try:
            self._fill(driver)
            while self._pending and not self._pending[0].done():
                driver.step()
                self._fill(driver)
            if self._pending:
                return _result(self._pending.popleft())
        except BaseException:
            self.close()
            raise
        self.close()
        raise StopIteration

    def close(self) -> None:
        """Unwind the jobs that are under way and end the iteration."""
        driver, self._driver = self._driver, None
        self._pending.clear()
        if driver is not None:
            driver.close()

    def __enter__(self) -> Map[T]:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.close()

    def _fill(self, driver: Driver) -> None:
        """Start as many jobs as may be under way."""
        while (
            self._calls is not None
            and driver.under_way < self._jobs
            and len(self._pending) < WINDOW * self._jobs
        ):
            try:
                args = next(self._calls)
            except StopIteration:
                self._calls = None
                return
            job = self._start(driver, args)
            self._pending.append(job)

    def _start(self, driver: Driver, args: tuple[Any, ...]) -> Job[T]:
        while True:
            try:
                return driver.start(self._fn, args)
            except NoJobsAvailable:
                if not driver.under_way:
                    raise  # others' jobs fill the pool, and we cannot drive those
                driver.step()


def _result(job: Job[T]) -> T:
    try:
        return job.result()
    except StopIteration as exc:
        raise JobStateError(
            f"{job!r} raised StopIteration, which would end the iteration over all results; let"
            " the function return a value instead"
        ) from exc
