"""Worker processes for a private key's operations, and others.

Rules:

* Each loads the key once, if there is one.
* They are spawned: to fork a process that has threads is not safe.
* None outlives the run, however it ends: each holds the end of a pipe, whose other end closes when
  the run is over, is interrupted, or is killed; then it ends at once, in whatever it is doing. The
  executor itself would wait for work under way, and leave its processes behind when it is killed.
* Ctrl-C, which a terminal sends to all of them, is not theirs: blocked before they start.
* One that dies costs what was under way. What comes next has new ones.
"""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError, Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnContext, SpawnProcess
from typing import Any

from pausable.cli._key_worker import Answers, Request, load, sign_all

__all__ = ["Processes", "sign_in_process"]

_key: Any = None  # a worker's


class Processes:
    """An executor of worker processes that have a key.

    Args:
        pem: the key; None: there is none.
        passphrase: the key's.
        workers: how many.

    Threads: any.
    """

    def __init__(self, pem: bytes | None, passphrase: bytes | None, workers: int) -> None:
        self._lock = threading.Lock()
        self._context = _Context()
        self._theirs, self._ours = self._context.Pipe(duplex=False)
        self._given = (pem, passphrase, self._theirs)
        self._workers = workers
        self._pool = self._make_pool()

    def submit(self, fn: Callable[..., Any], /, *args: Any) -> Future[Any]:
        """Have fn(*args) called in a process; that cannot be cancelled."""
        future: Future[Any] = Future()
        # Not the executor's own: one that is cancelled when its process dies spoils the executor,
        # in older releases of CPython.
        future.set_running_or_notify_cancel()
        self._submit(fn, *args).add_done_callback(lambda done: _copy(done, future))
        return future

    def _submit(self, fn: Callable[..., Any], *args: Any) -> Future[Any]:
        with self._lock:
            try:
                return self._pool.submit(fn, *args)
            except BrokenProcessPool:
                if self._ours.closed:
                    raise
                self._pool.shutdown(wait=False)
                self._pool = self._make_pool()
                return self._pool.submit(fn, *args)

    def end(self) -> None:
        """End the processes at once; what they do is lost. Any thread."""
        with self._lock:  # two threads that close it would close a descriptor of somebody else
            self._ours.close()

    def __enter__(self) -> Processes:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.end()
        self._pool.shutdown(cancel_futures=True)
        self._theirs.close()

    def _make_pool(self) -> ProcessPoolExecutor:
        return ProcessPoolExecutor(self._workers, self._context, _begin, self._given)


def _copy(done: Future[Any], future: Future[Any]) -> None:
    if done.cancelled():
        future.set_exception(CancelledError())
    elif (exc := done.exception()) is not None:
        future.set_exception(exc)
    else:
        future.set_result(done.result())


class _Process(SpawnProcess):
    def start(self) -> None:
        with _ctrl_c_blocked():
            super().start()


class _Context(SpawnContext):
    Process = _Process


@contextmanager
def _ctrl_c_blocked() -> Iterator[None]:
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def sign_in_process(latency_s: float, requests: list[Request]) -> Answers:
    """Return a result for each request, with this process's key."""
    time.sleep(latency_s)
    return sign_all(_key, requests)


def _begin(pem: bytes | None, passphrase: bytes | None, lifeline: Connection) -> None:
    global _key
    threading.Thread(target=_end_with, args=[lifeline], daemon=True).start()
    if pem is not None:
        _key = load(pem, passphrase)


def _end_with(lifeline: Connection) -> None:
    with contextlib.suppress(EOFError, OSError):
        lifeline.recv_bytes()
    os._exit(0)
