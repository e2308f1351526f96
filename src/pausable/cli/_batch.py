"""Many files signed at once, each by a job, all jobs on one thread.

A job pauses while a worker thread does what takes long: the private-key operation, writing the
signature to the disk, reading a big file. Small files are read in place, for that is quicker.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import pausable
from pausable.cli._files import discard_stale, open_regular, write_atomically
from pausable.cli._interrupt import Interrupted
from pausable.cli._output import shown
from pausable.cli._plan import Task
from pausable.cli._signing import SMALL_BYTES, Bytes, Signer

__all__ = ["Batch", "Outcome"]

T = TypeVar("T")

#: More than any signature has; what is larger need not be read to know that it is none.
_MAX_SIGNATURE_BYTES = 64 * 1024

#: Threads for the disk. Their own, so that a slow disk takes no key operation's place; few, since
#: they contend for the interpreter: with 64, signing 500 files took a quarter longer.
_DISK_WORKERS = 8


@dataclass(frozen=True)
class Outcome:
    """What became of a file."""

    path: Path
    #: "signed", "skipped" or "failed".
    what: str
    #: Where its valid signature is, if it has one.
    signature: Path | None
    reason: str | None = None


class Batch:
    """One run over many files.

    Args:
        signer: the key.
        workers: threads for private-key operations.
        latency_s: seconds that each private-key operation takes longer, as if it were far away.
    """

    def __init__(self, signer: Signer, workers: int, latency_s: float) -> None:
        self._signer = signer
        self._workers = workers
        self._latency_s = latency_s
        self._stop = threading.Event()
        self._paused = 0
        #: The most jobs that were paused at the same time.
        self.most_paused = 0
        #: The threads that ran jobs, as of `threading.get_ident()`.
        self.threads: set[int] = set()

    @property
    def interrupted(self) -> bool:
        """Whether `stop` was called."""
        return self._stop.is_set()

    def stop(self) -> None:
        """Have every job unwound at its next step. Any thread, or a signal handler."""
        self._stop.set()

    def run(self, tasks: Iterable[Task], jobs: int, report: Callable[[Outcome], object]) -> None:
        """Sign the files, with up to `jobs` in flight; `report` each as soon as it is done.

        Returns when every job and every worker has ended, also when it raises.
        """

        def sign_one(task: Task) -> None:
            outcome = self._sign(task)
            if outcome is not None:
                report(outcome)

        with (
            ThreadPoolExecutor(self._workers, "pausable-key") as self._key_workers,
            ThreadPoolExecutor(_DISK_WORKERS, "pausable-disk") as self._disk_workers,
        ):
            try:
                with pausable.map(sign_one, self._until_stopped(tasks), jobs=jobs) as results:
                    for _ in results:
                        pass
            except BaseException:
                self._stop.set()  # no worker goes on with what nobody wants any more
                raise

    def _until_stopped(self, tasks: Iterable[Task]) -> Iterator[Task]:
        for task in tasks:
            if self._stop.is_set():
                return
            yield task

    # -- one job -------------------------------------------------------------------------------

    def _sign(self, task: Task) -> Outcome | None:
        """Sign one file (a job); what goes wrong costs this file alone."""
        self.threads.add(threading.get_ident())
        try:
            outcome = self._sign_unless_signed(task)
        except Interrupted:
            return None
        except Exception as exc:
            outcome = Outcome(task.path, "failed", None, _reason(exc))
        if outcome.what != "signed":
            discard_stale(task.target)
        return outcome

    def _sign_unless_signed(self, task: Task) -> Outcome:
        if task.path.stat().st_size > SMALL_BYTES:
            message, is_signed = self._wait(self._disk_workers, self._look, task)
        else:
            message, is_signed = self._look(task)
        if is_signed:
            return Outcome(task.path, "skipped", task.target, "has a valid signature")
        signature = self._wait(self._key_workers, self._private_key_operation, message)
        try:
            self._wait(self._disk_workers, write_atomically, task.target, signature)
        except OSError as exc:
            reason = f"{shown(task.target)} cannot be written: {_reason(exc)}"
            return Outcome(task.path, "failed", None, reason)
        return Outcome(task.path, "signed", task.target)

    def _look(self, task: Task) -> tuple[Bytes, bool]:
        """Return what is to be signed, and whether it is signed already."""
        with open_regular(task.path) as file:
            size_bytes = os.fstat(file.fileno()).st_size
            message = self._signer.read(file, size_bytes, self._check)
        signature = _existing_signature(task)
        return message, signature is not None and self._signer.verify(message, signature)

    def _private_key_operation(self, message: Bytes) -> bytes:
        if self._latency_s and self._stop.wait(self._latency_s):
            raise Interrupted
        return self._signer.sign(message)

    def _wait(self, workers: ThreadPoolExecutor, fn: Callable[..., T], *args: object) -> T:
        """Call `fn` in a worker; this job is paused meanwhile."""
        self._check()
        future = workers.submit(fn, *args)
        self._paused += 1
        self.most_paused = max(self.most_paused, self._paused)
        try:
            return pausable.wait_for(future)
        finally:
            self._paused -= 1

    def _check(self) -> None:
        if self._stop.is_set():
            raise Interrupted


def _existing_signature(task: Task) -> bytes | None:
    try:
        with open_regular(task.target) as file:
            return file.read(_MAX_SIGNATURE_BYTES)
    except OSError:
        return None


def _reason(exc: Exception) -> str:
    """Say on one line what went wrong."""
    if isinstance(exc, OSError) and exc.strerror:
        return exc.strerror
    text = " ".join(str(exc).split())
    return f"{type(exc).__name__}: {text}" if text else type(exc).__name__
