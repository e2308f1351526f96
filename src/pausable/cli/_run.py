"""A run over many items, each handled by a job, all jobs on one thread.

A job pauses while something takes long: the private-key operation, writing a result to the disk,
reading a big file.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

import pausable
from pausable.cli._interrupt import Interrupted

__all__ = ["Run"]

T = TypeVar("T")
R = TypeVar("R")

#: Threads for the disk. Their own, so that a slow disk takes no key operation's place; few, since
#: they contend for the interpreter: with 64, signing 500 files took a quarter longer.
_DISK_WORKERS = 8


class Run:
    """One run.

    Args:
        jobs: how many items may be in flight.
    """

    def __init__(self, jobs: int) -> None:
        self.jobs = jobs
        #: Set: have every job unwound at its next step. For workers that wait.
        self.stopped = threading.Event()
        self._over = threading.Event()
        self._at_stop: list[Callable[[], object]] = []
        self._paused = 0
        #: The most jobs that were paused at the same time.
        self.most_paused = 0
        #: The threads that ran jobs, as of `threading.get_ident()`.
        self.threads: set[int] = set()

    @property
    def interrupted(self) -> bool:
        """Whether `stop` was called."""
        return self.stopped.is_set()

    def stop(self) -> None:
        """Have every job unwound at its next step. Any thread, or a signal handler."""
        self.stopped.set()
        self._over.set()

    def at_stop(self, call: Callable[[], object]) -> None:
        """Have something called after `stop`, in a thread: it resumes jobs that would wait long."""
        self._at_stop.append(call)

    def check(self) -> None:
        """Unwind this job if the run was stopped.

        Raises:
            Interrupted: it was.
        """
        if self.stopped.is_set():
            raise Interrupted

    def each(
        self,
        handle: Callable[[T], R | None],
        items: Iterable[T],
        report: Callable[[R], object],
        *,
        in_order: bool = False,
    ) -> None:
        """Handle the items, with up to `jobs` in flight; `report` each result that is not None.

        Returns when every job and every worker has ended, also when it raises.

        Args:
            handle: called in a job; what it raises ends the run, but for Interrupted.
            items: taken one by one, when a job is free.
            report: called as soon as an item is done.
            in_order: of the items, instead.
        """

        def one(item: T) -> R | None:
            self.threads.add(threading.get_ident())
            try:
                self.check()
                return handle(item)
            except Interrupted:
                return None

        with (
            ThreadPoolExecutor(_DISK_WORKERS, "pausable-disk") as self._disk_workers,
            self._watched(),
        ):
            try:
                with pausable.map(
                    one, self._until_stopped(items), jobs=self.jobs, as_completed=not in_order
                ) as results:
                    for result in results:
                        if result is not None:
                            report(result)
            except BaseException:
                self.stop()  # no worker goes on with what nobody wants any more
                raise

    def on_disk(self, fn: Callable[..., R], *args: object) -> R:
        """Call `fn` in a thread for the disk.

        Pauses: until it is done.
        """
        self.check()
        with self.paused():
            return pausable.wait_for(self._disk_workers.submit(fn, *args))

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Count this job among those that are paused."""
        self._paused += 1
        self.most_paused = max(self.most_paused, self._paused)
        try:
            yield
        finally:
            self._paused -= 1

    def _until_stopped(self, items: Iterable[T]) -> Iterator[T]:
        for item in items:
            if self.stopped.is_set():
                return
            yield item

    @contextmanager
    def _watched(self) -> Iterator[None]:
        """Have a thread do what is to be done after `stop`: a signal handler must not lock."""
        watcher = threading.Thread(target=self._watch, name="pausable-stop")
        watcher.start()
        try:
            yield
        finally:
            self._over.set()
            watcher.join()

    def _watch(self) -> None:
        self._over.wait()
        if self.stopped.is_set():
            for call in self._at_stop:
                call()
