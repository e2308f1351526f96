"""Stretches of a job in which it must not pause."""

from __future__ import annotations

from contextlib import AbstractContextManager, ContextDecorator
from types import TracebackType
from typing import TYPE_CHECKING, Any

from pausable._fibre import NATIVE
from pausable._job import Job, current_job
from pausable._thread_local import get_ident

__all__ = ["guarded", "pause_blocked"]


class Block:
    """Keeps jobs from pausing: the reference, for what the native core has in C."""

    def __init__(self) -> None:
        #: (thread, job): threads may share one object, `guarded(lock)` most of all.
        self._entered: list[tuple[int, Job[Any] | None]] = []

    def __enter__(self) -> None:
        job = current_job()
        if job is not None and job._fibre is not None:
            job._fibre.block(+1)
        self._entered.append((get_ident(), job))

    def __exit__(self, *_exc: object) -> None:
        job = self._take_entry()
        # Not the fibre that it had: a generator may be closed when another job is on that.
        if job is not None and job._fibre is not None:
            job._fibre.block(-1)

    def _take_entry(self) -> Job[Any] | None:
        """Return whom this thread entered for last."""
        here = get_ident()
        for i in reversed(range(len(self._entered))):
            if self._entered[i][0] == here:
                return self._entered.pop(i)[1]
        return self._entered.pop()[1]  # a generator that is closed in another thread


class Guard:
    """Holds a lock without pausing: the reference, likewise."""

    def __init__(self, lock: AbstractContextManager[Any]) -> None:
        if not (hasattr(lock, "__enter__") and hasattr(lock, "__exit__")):
            raise TypeError(f"lock has to be a lock or another context manager, not {lock!r}")
        self._lock = lock
        self._blocked = Block()

    def __enter__(self) -> Any:
        self._blocked.__enter__()
        try:
            return self._lock.__enter__()
        except BaseException:
            self._blocked.__exit__()
            raise

    def __exit__(
        self,
        kind: type[BaseException] | None,
        exc: BaseException | None,
        tb: TracebackType | None,
    ) -> bool | None:
        try:
            return self._lock.__exit__(kind, exc, tb)
        finally:
            self._blocked.__exit__()


if NATIVE and not TYPE_CHECKING:
    from pausable._native import Block, Guard


class pause_blocked(Block, ContextDecorator):  # noqa: N801  # reads as a statement: with pause_blocked():
    """Keep the running job from pausing: `with pause_blocked():`, or as a decorator.

    A pause inside does nothing, and what would pause blocks instead. Nests; is undone however the
    block is left; belongs to the job that entered it; does nothing outside jobs.

    Pauses: never.
    Threads: the job's own.
    See: ASYNC_block_pause(3)
    Differs: OpenSSL counts per thread, so that one job's forgotten unblock stops all others.
    """

    def _recreate_cm(self) -> pause_blocked:
        return pause_blocked()


class guarded(Guard, AbstractContextManager[Any]):  # noqa: N801  # reads as a statement: with guarded(lock):
    """Hold a lock without pausing: `with guarded(lock):`.

    A job that pauses while it holds a lock stops every other job of its thread that wants it, for
    good, since it is this thread that would have to resume the first. (A reentrant lock is worse:
    it lets them in.) Pausing is blocked before the lock is taken, and until it is released.

    Args:
        lock: a lock, or any context manager that holds one.

    Pauses: never.
    """

    if TYPE_CHECKING:  # for the reference of the docs: it is made of the source

        def __init__(self, lock: AbstractContextManager[Any]) -> None: ...
