"""Locks that know which job took them, and where.

Rules:

* `threading.Lock` and `threading.RLock` are looked up at each use by all that builds on them
  (Condition, Event, Semaphore, Queue), so putting classes in their places reaches all of that.
* A wrapper goes on working when debug mode is over: it has the real lock inside.
* What counts is what the running job took itself and has not released: each job keeps that.
* An RLock is counted for each job: to the interpreter, all jobs of a thread are one owner.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from typing import Any

from pausable._debug._places import Place, place_of, warn
from pausable._job import current_fibre
from pausable.errors import LockHeldWarning

__all__ = ["Held", "Hold", "unwrap", "warn_of_held", "wrap"]


class Hold:
    """A lock that a job has taken: where, and how often."""

    __slots__ = ("count", "place")

    def __init__(self, place: Place) -> None:
        self.place = place
        self.count = 1


#: The locks that one job holds.
Held = dict[Any, Hold]

_real_lock: Callable[[], Any] = threading.Lock
_real_rlock: Callable[[], Any] = threading.RLock


class _Lock:
    """A `threading.Lock` that debug mode watches."""

    __module__ = "_thread"  # as the real one's: trio refuses to run with locks of another module
    __slots__ = ("__weakref__", "_held", "_lock")

    def __init__(self) -> None:
        self._lock = _real_lock()
        self._held: Held | None = None  # of the job that took it: another one may release it

    def acquire(self, blocking: bool = True, timeout: float = -1) -> bool:
        """Take the lock, as `threading.Lock.acquire`."""
        taken: bool = self._lock.acquire(blocking, timeout)
        if taken:
            self._held = held = _held_by_this_job()
            if held is not None:
                held[self] = Hold(place_of(sys._getframe(1), beside="threading"))
        return taken

    def release(self) -> None:
        """Release the lock, as `threading.Lock.release`."""
        held, self._held = self._held, None
        if held is not None:
            held.pop(self, None)
        self._lock.release()

    def locked(self) -> bool:
        """Tell whether it is held."""
        return bool(self._lock.locked())

    acquire_lock, release_lock, locked_lock = acquire, release, locked  # its old names

    def __enter__(self) -> bool:
        return self.acquire()

    def __exit__(self, *_exc: object) -> None:
        self.release()

    def _at_fork_reinit(self) -> None:
        self._held = None
        self._lock._at_fork_reinit()

    def __repr__(self) -> str:
        return f"<pausable debug mode: {self._lock!r}>"


class _RLock:
    """A `threading.RLock` that debug mode watches."""

    __module__ = "_thread"  # see _Lock
    __slots__ = ("__weakref__", "_lock")

    def __init__(self) -> None:
        self._lock = _real_rlock()

    def acquire(self, blocking: bool = True, timeout: float = -1) -> bool:
        """Take the lock, as `threading.RLock.acquire`."""
        taken: bool = self._lock.acquire(blocking, timeout)
        if taken:
            held = _held_by_this_job()
            if held is not None:
                if self in held:
                    held[self].count += 1
                else:
                    held[self] = Hold(place_of(sys._getframe(1), beside="threading"))
        return taken

    def release(self) -> None:
        """Release the lock, as `threading.RLock.release`."""
        self._lock.release()
        held = _held_by_this_job()
        if held is not None and self in held:
            held[self].count -= 1
            if not held[self].count:
                del held[self]

    def __enter__(self) -> bool:
        return self.acquire()

    def __exit__(self, *_exc: object) -> None:
        self.release()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._lock, name)  # locked, _is_owned, _recursion_count, where there are

    def _release_save(self) -> tuple[Any, Hold | None]:
        state = self._lock._release_save()
        held = _held_by_this_job()
        return state, None if held is None else held.pop(self, None)

    def _acquire_restore(self, state: tuple[Any, Hold | None]) -> None:
        self._lock._acquire_restore(state[0])
        held = _held_by_this_job()
        if held is not None and state[1] is not None:
            held[self] = state[1]

    def _at_fork_reinit(self) -> None:
        self._lock._at_fork_reinit()

    def __repr__(self) -> str:
        return f"<pausable debug mode: {self._lock!r}>"


def _held_by_this_job() -> Held | None:
    fibre = current_fibre()
    if fibre is None or fibre.watch is None or fibre.watch.probe is None:
        return None
    held: Held = fibre.watch.probe.held
    return held


def wrap() -> None:
    """Have locks that are made from now on watched."""
    global _real_lock, _real_rlock
    module: Any = threading
    if module.Lock is not _Lock:
        _real_lock, module.Lock = module.Lock, _Lock
    if module.RLock is not _RLock:
        _real_rlock, module.RLock = module.RLock, _RLock


def unwrap() -> None:
    """Have plain locks made again, unless somebody else has put his own in our place."""
    module: Any = threading
    if module.Lock is _Lock:
        module.Lock = _real_lock
    if module.RLock is _RLock:
        module.RLock = _real_rlock


def warn_of_held(held: Held, name: str) -> None:
    """Warn of the locks that a job holds that is about to pause."""
    pause = place_of(sys._getframe(1))
    for lock, hold in list(held.items()):
        harm = (
            "other jobs of its thread get it too meanwhile, and other threads never"
            if isinstance(lock, _RLock)
            else "whoever wants it in this thread waits for ever, for this thread has to resume the"
            " job"
        )
        warn(
            LockHeldWarning,
            f"job {name!r} pauses at {pause} while it holds {lock!r}, taken at {hold.place}:"
            f" {harm}; release it before, or take it `with pausable.guarded(lock):`, which keeps"
            " the job from pausing",
            pause,
            hold.place,
        )
