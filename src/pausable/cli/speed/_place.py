"""Where the operations that are measured are done: threads, worker processes, a cluster."""

from __future__ import annotations

import os
import pickle
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, TypeVar

import pausable
from pausable.cli._cluster import connected
from pausable.cli._options import EngineOptions
from pausable.cli._output import Refusal
from pausable.cli._processes import Processes
from pausable.cli.speed._watchdog import Watchdog
from pausable.cli.speed._work import after, call_packed, ready
from pausable.engines import Engine, ExecutorEngine, Submits, Ticket

__all__ = ["Place", "SpeedEngine", "open_place"]

T = TypeVar("T")

#: A wait is cut in pieces of this length, so that it ends when the run is stopped.
_SLICE_S: Final = 0.25


class SpeedEngine:
    """An engine that counts the jobs that are paused for it.

    Args:
        inner: what does the operations.
        delay: called as delay(fn, *args), where they are done; None: as inner does them.
        packed: whether they are sent as bytes, which nobody on the way has to read: a scheduler
            would unpickle a key, and be refused to pickle it again.

    Threads: any, but jobs: one.
    """

    def __init__(
        self, inner: Engine, delay: Callable[..., Any] | None = None, *, packed: bool = False
    ) -> None:
        self._inner = inner
        self._packed = packed
        self._first: tuple[Callable[..., Any], ...] = () if delay is None else (delay,)
        self._paused = 0
        #: The most jobs that were paused at once, since `forget`.
        self.most_paused = 0

    def submit(self, fn: Callable[..., Any], /, *args: Any) -> Ticket[Any]:
        """Begin fn(*args)."""
        call = *self._first, fn, *args
        if self._packed:
            call = call_packed, pickle.dumps(call)
        return self._inner.submit(*call)

    def call(self, fn: Callable[..., Any], /, *args: Any) -> Any:
        """Return fn(*args), called elsewhere.

        Pauses: until that is done; outside a job it blocks.
        """
        ticket = self.submit(fn, *args)
        if ticket.done() or pausable.current_job() is None:
            return pausable.wait_for(ticket)
        self._paused += 1
        self.most_paused = max(self.most_paused, self._paused)
        try:
            return pausable.wait_for(ticket)
        finally:
            self._paused -= 1

    def forget(self) -> None:
        """Begin to count anew."""
        self.most_paused = self._paused


@dataclass(frozen=True)
class Place:
    """Where operations are done."""

    #: Whether that is in this process: then others than jobs do them where they are.
    here: bool
    #: How many do them for so many jobs; None: who knows.
    workers: Callable[[int], int | None]
    #: Yields their executor, for so many jobs.
    executor: Callable[[int], AbstractContextManager[Submits]]
    #: Called as delay(fn, *args), where operations are done, to make them slower.
    delay: Callable[..., Any] | None
    #: Whether operations are sent through others, who need not know what they are.
    packed: bool = False

    @contextmanager
    def engine(self, jobs: int, watchdog: Watchdog) -> Iterator[SpeedEngine]:
        """Yield the engine for so many jobs."""
        with (
            self.executor(jobs) as executor,
            ExecutorEngine(executor) as inner,
            watchdog.closing(inner.close),
        ):
            yield SpeedEngine(inner, self.delay, packed=self.packed)


@contextmanager
def open_place(options: EngineOptions, watchdog: Watchdog) -> Iterator[Place]:
    """Yield the place that the options ask for; at the end none of its workers is left.

    Raises:
        Refusal: there is no such place.
    """
    with _PLACES[options.kind](options, watchdog) as place:
        yield place


@contextmanager
def _threads(options: EngineOptions, watchdog: Watchdog) -> Iterator[Place]:
    def executor(jobs: int) -> ThreadPoolExecutor:
        return ThreadPoolExecutor(options.workers_for(jobs), "pausable-speed")

    delay = partial(_after, options.latency_s, watchdog) if options.latency_s else None
    yield Place(True, options.workers_for, executor, delay)


@contextmanager
def _processes(options: EngineOptions, watchdog: Watchdog) -> Iterator[Place]:
    workers = options.workers_for(os.cpu_count() or 1)
    with Processes(None, None, workers) as pool, watchdog.closing(pool.end):
        yield Place(
            False, lambda _jobs: workers, lambda _jobs: nullcontext(pool),
            _delay_elsewhere(options),
        )  # fmt: skip


@contextmanager
def _dask(options: EngineOptions, watchdog: Watchdog) -> Iterator[Place]:
    if options.workers is not None:
        raise Refusal("--workers is for threads and processes; a cluster has its own, omit it")
    remedy = "install the same releases of Python's packages there"
    with (
        connected(options.address, ready, remedy) as cluster,
        cluster.watched(watchdog.give_up),
    ):
        yield Place(
            False, lambda _jobs: None, lambda _jobs: nullcontext(cluster.client),
            _delay_elsewhere(options), packed=True,
        )  # fmt: skip


def _delay_elsewhere(options: EngineOptions) -> Callable[..., Any] | None:
    return partial(after, options.latency_s) if options.latency_s else None


def _after(latency_s: float, watchdog: Watchdog, fn: Callable[..., T], *args: object) -> T:
    """Return fn(*args), that much later, unless the run is stopped.

    Not by waiting for the event that says so: with a thousand threads, that alone takes long.
    """
    end = time.monotonic() + latency_s
    while (left_s := end - time.monotonic()) > 0:
        watchdog.check()
        time.sleep(min(left_s, _SLICE_S))
    return fn(*args)


_PLACES = {"threads": _threads, "processes": _processes, "dask": _dask}
