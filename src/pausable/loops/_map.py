"""`map` with jobs: an object, for a generator would turn a job's StopIteration into its own end."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final, TypeVar

from pausable._callable import check_synchronous
from pausable._job import Job
from pausable._threads import thread_pool
from pausable.errors import JobStateError, NoJobsAvailable
from pausable.loops._blocking import ScriptLoop

__all__ = ["Map"]

T = TypeVar("T")

#: How many finished results, in multiples of `jobs`, may wait for a slower one before them.
WINDOW: Final = 4


class Map(Iterator[T]):
    """The results of `map`."""

    def __init__(
        self,
        fn: Callable[..., T],
        calls: Iterable[tuple[Any, ...]],
        jobs: int,
        *,
        as_completed: bool,
    ) -> None:
        check_synchronous(fn)
        if not isinstance(jobs, int) or isinstance(jobs, bool):
            raise TypeError(f"jobs has to be an int, not {jobs!r}")
        if jobs < 1:
            raise ValueError(f"jobs has to be 1 or more, not {jobs}")
        self._fn = fn
        self._calls: Iterator[tuple[Any, ...]] | None = iter(calls)
        self._jobs = jobs
        self._as_completed = as_completed
        self._pending: deque[Job[T]] = deque()  # in the order of the results
        self._driver: ScriptLoop | None = None  # made by the first next(), in whose thread all runs
        self._closed = False

    def __iter__(self) -> Map[T]:
        return self

    def __next__(self) -> T:
        """Return the next result, or raise what its call raised; that ends the iteration."""
        if self._closed:
            raise StopIteration
        if self._driver is None:
            self._driver = ScriptLoop(thread_pool())
        driver = self._driver
        driver.check_thread()
        try:
            self._fill(driver)
            while driver.under_way and not (self._pending and self._pending[0].done()):
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
        if self._driver is not None:
            self._driver.check_thread()
        driver, self._driver = self._driver, None
        self._closed = True
        self._pending.clear()
        if driver is not None:
            driver.close()

    def __enter__(self) -> Map[T]:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.close()

    def _fill(self, driver: ScriptLoop) -> None:
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
            if self._as_completed:
                job.add_done_callback(self._pending.append)
            else:
                self._pending.append(job)

    def _start(self, driver: ScriptLoop, args: tuple[Any, ...]) -> Job[T]:
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
