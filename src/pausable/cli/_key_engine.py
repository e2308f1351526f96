"""What does the operations of a private key: threads, processes, or a cluster."""

from __future__ import annotations

import mmap
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from pausable.cli._cluster import connected
from pausable.cli._interrupt import Interrupted
from pausable.cli._key_worker import (
    Answers,
    KeyFile,
    Request,
    fingerprint,
    sign_all,
    sign_with_file,
)
from pausable.cli._keys import PrivateKey
from pausable.cli._options import EngineOptions
from pausable.cli._outcome import Unfit
from pausable.cli._output import Refusal, shown
from pausable.cli._processes import Processes, sign_in_process
from pausable.cli._run import Run
from pausable.engines import BatchEngine, ExecutorEngine, Submits
from pausable.errors import EngineError

__all__ = ["KeyEngine", "Place", "open_key_engine"]

#: More than this is not copied to another process: with many in flight, the memory would not do.
_MAX_SENT_BYTES = 16 * 1024 * 1024


@dataclass(frozen=True)
class Place:
    """Where operations are done."""

    #: What it is called: threads, processes or dask.
    kind: str
    executor: Submits
    #: Called there with requests, up to as many as go together.
    operate: Callable[[list[Request]], Answers]
    #: Whether it is in this process.
    here: bool
    #: Gives up, at once, what is under way.
    end: Callable[[], object] = lambda: None
    #: While it is entered, calls what it is given, with the reason, if the place is lost.
    watched: Callable[[Callable[[str], object]], AbstractContextManager[object]] = nullcontext


class KeyEngine:
    """Does a private key's operations elsewhere, while the jobs that want them are paused.

    Args:
        run: whose jobs they are for.
        place: where they are done.
        batch: the most operations that go together.
    """

    def __init__(self, run: Run, place: Place, batch: int) -> None:
        self.batch = batch
        self.kind = place.kind
        self._run = run
        self._place = place
        self._lost: str | None = None
        self._executor = ExecutorEngine(place.executor)
        # As many trips as take all jobs, when they are full: with more, they would be emptier.
        trips = -(-run.jobs // batch)
        self._trips = BatchEngine(place.operate, batch, engine=self._executor, max_in_flight=trips)
        run.at_stop(self.close)

    def sign(self, *arguments: Any) -> bytes:
        """Return the signature that the private key makes with these arguments.

        Pauses: until it is done.

        Raises:
            Interrupted: the run was stopped.
            EngineError: a worker died, say.
            Others: what sign() raised.
        """
        self._run.check()
        if not self._place.here:
            arguments = tuple(map(_sendable, arguments))
        try:
            with self._run.paused():
                return self._trips.call(arguments)  # type: ignore[no-any-return]
        except EngineError:
            self._run.check()
            if self._lost is not None:
                raise Unfit(self._lost) from None
            raise

    def fill(self) -> dict[int, int]:
        """Return how many trips had how many operations."""
        return self._trips.stats().fill

    def lose(self, why: str) -> None:
        """Give up what is under way and what will come, with a reason. Any thread."""
        self._lost = why
        self.close()

    def close(self) -> None:
        """Give up what is under way: its jobs are unwound. Any thread."""
        self._trips.close()
        self._executor.close()
        self._place.end()


@contextmanager
def open_key_engine(options: EngineOptions, private: PrivateKey, run: Run) -> Iterator[KeyEngine]:
    """Yield the engine that the options ask for; at the end none of its workers is left.

    Raises:
        Refusal: there is no such engine, or it cannot use the key.
    """
    with _PLACES[options.kind](options, private, run) as place:
        engine = KeyEngine(run, place, options.batch)
        try:
            with place.watched(engine.lose):
                yield engine
        finally:
            engine.close()


@contextmanager
def _threads(options: EngineOptions, private: PrivateKey, run: Run) -> Iterator[Place]:
    def operate(requests: list[Request]) -> Answers:
        if options.latency_s and run.stopped.wait(options.latency_s):
            raise Interrupted
        return sign_all(private.key, requests)

    workers = options.workers_for(run.jobs)
    with ThreadPoolExecutor(workers, "pausable-key") as pool:
        yield Place("threads", pool, operate, here=True)


@contextmanager
def _processes(options: EngineOptions, private: PrivateKey, run: Run) -> Iterator[Place]:
    workers = options.workers_for(min(run.jobs, os.cpu_count() or 1))
    with Processes(private.pem, private.passphrase, workers) as pool:
        operate = partial(sign_in_process, options.latency_s)
        yield Place("processes", pool, operate, here=False, end=pool.end)


@contextmanager
def _dask(options: EngineOptions, private: PrivateKey, _run: Run) -> Iterator[Place]:
    if options.workers is not None:
        raise Refusal("--workers is for threads and processes; a cluster has its own, omit it")
    if private.passphrase is not None and private.passphrase_variable is None:
        raise Refusal(
            f"key {shown(private.path)} has a passphrase, which the cluster's workers need too;"
            " export it to them and here, and pass --passin env:NAME"
        )
    file = KeyFile(
        Path(os.path.abspath(private.path)),  # noqa: PTH100  # a link may lead elsewhere there
        private.passphrase_variable,
        fingerprint(private.key),
    )
    # The private key is never sent: each worker loads it from a file of its own.
    remedy = f"give every worker the key, in a file {shown(file.path)} of its own"
    with connected(options.address, partial(sign_with_file, file, 0.0, []), remedy) as cluster:
        operate = partial(sign_with_file, file, options.latency_s)
        yield Place("dask", cluster.client, operate, here=False, watched=cluster.watched)


_PLACES = {"threads": _threads, "processes": _processes, "dask": _dask}


def _sendable(argument: Any) -> Any:
    """Return an argument in a form that other processes can be sent."""
    if not isinstance(argument, mmap.mmap):
        return argument
    if len(argument) > _MAX_SENT_BYTES:
        raise Unfit(
            f"has {len(argument)} bytes, all of which an Ed25519 key needs, and at most"
            f" {_MAX_SENT_BYTES} are sent to another process; sign it with --engine threads"
        )
    return argument[:]
