"""What a paused job waits for: descriptors, a callback, a status. It never waits itself.

Rules (those of OpenSSL's ASYNC_WAIT_CTX):

* An entry is (key, fd, data, cleanup). Setting never replaces: a key may have several entries, and
  `get_fd` and `clear_fd` mean the newest.
* A *window* is what `changed_fds` reports. One begins when the context is made and whenever a job
  that waits on it is resumed, and at no other time: not on reading, not when a job starts or ends.
* An entry that is cleared in the window it was set in leaves no trace. One that is older is
  reported as deleted until the window ends. `clear_fd` never calls the cleanup routine.
* No operation's cost grows with the number of entries that did not change: the newest entry of a
  key is the top of that key's stack, and the two change sets hold changes only. OpenSSL's own list
  is walked on every call.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Hashable
from typing import Any, Final, Optional

from pausable._wakefd import WakeFd
from pausable._waker import NUDGE, Waker
from pausable.errors import WaitContextClosed

__all__ = ["Cleanup", "Status", "WaitContext"]


class Status(enum.IntEnum):
    """What an engine says about the callback method.

    See: ASYNC_WAIT_CTX_set_status(3)
    """

    #: No callback will come (the default). Wait for a descriptor, or poll.
    UNSUPPORTED = 0
    #: The engine has a fatal problem with this request: clean up.
    ERR = 1
    #: The request was submitted; the callback will be called when it is done.
    OK = 2
    #: The engine is busy: resume the job soon, it will try again.
    EAGAIN = 3


#: Called by `WaitContext.close` for an entry, as cleanup(context, key, fd, data).
Cleanup = Optional[Callable[["WaitContext", Any, int, Any], object]]  # noqa: UP045  # 3.10


class _Entry:
    __slots__ = ("cleanup", "data", "fd", "key", "number")

    def __init__(self, key: Any, fd: int, data: Any, cleanup: Cleanup, number: int) -> None:
        self.key = key
        self.fd = fd
        self.data = data
        self.cleanup = cleanup
        self.number = number


class WaitContext:
    """The descriptors, callback and status that tell when a paused job should be resumed.

    Make one for a session (a connection, say) and use it for one job after another, or let each
    job make its own (`Job.wait_ctx`). Close it when the session is over; `with` does so.

    Pauses: never.
    Threads: the job's own, except where a method says otherwise.
    See: ASYNC_WAIT_CTX_new(3)
    """

    __slots__ = (
        "__weakref__",
        "_added",
        "_by_key",
        "_callback",
        "_closed",
        "_deleted",
        "_fired",
        "_generation",
        "_jobs",
        "_live",
        "_number",
        "_status",
        "_wakers",
        "driver_blocks",
    )

    def __init__(self) -> None:
        self._live: dict[_Entry, None] = {}  # in the order they were set
        self._by_key: dict[Hashable, list[_Entry]] = {}  # newest last
        self._added: dict[_Entry, None] = {}
        self._deleted: list[_Entry] = []
        self._number = 0
        self._callback: Callable[[], object] | None = None
        self._status = 0
        self._generation = 0
        self._wakers = 0
        self._fired: dict[object, None] = {}  # what holds the wake descriptor's level up
        self._jobs = 0
        self._closed = False
        #: Set by drivers that block their thread: no event loop of that thread goes on meanwhile.
        self.driver_blocks = False

    # -- descriptors ---------------------------------------------------------------------------

    def set_wait_fd(
        self, key: Hashable, fd: int, data: Any = None, cleanup: Cleanup = None
    ) -> None:
        """Add a descriptor that becomes readable when the job should be resumed.

        It is added before the others and replaces none, not even one with the same key. It is
        never read, polled or closed here, and not checked: -1 and duplicates are stored.

        Args:
            key: whose descriptor it is: any hashable value that is unique to the engine.
            fd: the descriptor; an int.
            data: whatever the engine wants back from `get_fd`.
            cleanup: called by `close()` as cleanup(context, key, fd, data); not by `clear_fd`.

        Raises:
            TypeError: `key` is not hashable or `fd` is not an int.
            WaitContextClosed: the context was closed.
        See: ASYNC_WAIT_CTX_set_wait_fd(3)
        """
        self._check_open()
        if not isinstance(fd, int) or isinstance(fd, bool):
            raise TypeError(
                f"fd has to be an int (a file descriptor), not {fd!r}; pass fd.fileno() of a file"
            )
        if cleanup is not None and not callable(cleanup):
            raise TypeError(f"cleanup has to be callable or None, not {cleanup!r}")
        self._number += 1
        entry = _Entry(key, fd, data, cleanup, self._number)
        stack = self._by_key.get(key)
        if stack is None:
            self._by_key[key] = [entry]
        else:
            stack.append(entry)
        self._live[entry] = None
        self._added[entry] = None

    def get_fd(self, key: Hashable) -> tuple[int, Any]:
        """Return (fd, data) of the newest entry of `key`.

        Raises:
            KeyError: there is none; `key in context` asks first.
            WaitContextClosed: the context was closed.
        See: ASYNC_WAIT_CTX_get_fd(3)
        """
        self._check_open()
        entry = self._stack(key)[-1]
        return entry.fd, entry.data

    def __contains__(self, key: Hashable) -> bool:
        """Tell whether `key` has an entry."""
        return key in self._by_key

    def clear_fd(self, key: Hashable) -> None:
        """Remove the newest entry of `key`. Its cleanup routine is not called.

        Raises:
            KeyError: there is none.
            WaitContextClosed: the context was closed.
        See: ASYNC_WAIT_CTX_clear_fd(3)
        """
        self._check_open()
        stack = self._stack(key)
        entry = stack.pop()
        if not stack:
            del self._by_key[key]
        del self._live[entry]
        if entry in self._added:
            del self._added[entry]
        else:
            self._deleted.append(entry)

    def _stack(self, key: Hashable) -> list[_Entry]:
        try:
            return self._by_key[key]
        except KeyError:
            raise KeyError(f"no descriptor is set for key {key!r}; ask `key in ctx`") from None

    def fds(self) -> list[int]:
        """Return all descriptors, the newest first.

        See: ASYNC_WAIT_CTX_get_all_fds(3)
        """
        return [entry.fd for entry in reversed(self._live)]

    def changed_fds(self) -> tuple[list[int], list[int]]:
        """Return the descriptors (added, deleted) in this window, each the newest first.

        Reading changes nothing. A window ends when a job that waits here is resumed; so what
        changed in the last stretch of a job is seen after its end and again at the first pause
        of the next job.

        See: ASYNC_WAIT_CTX_get_changed_fds(3)
        """
        added = [entry.fd for entry in reversed(self._added)]
        deleted = sorted(self._deleted, key=lambda entry: -entry.number)
        return added, [entry.fd for entry in deleted]

    @property
    def changes(self) -> tuple[int, int]:
        """How many descriptors were ever set, and how many are left: new after each change."""
        return self._number, len(self._live)

    def fds_after(self, count: int) -> set[int]:
        """Return the descriptors that were set after the first `count` ever."""
        return {entry.fd for entry in self._live if entry.number > count}

    def _reset(self) -> None:
        """Begin a new window (`_job` does so on each resume)."""
        if self._added:
            self._added.clear()
        if self._deleted:
            self._deleted.clear()

    # -- callback and status -------------------------------------------------------------------

    @property
    def callback(self) -> Callable[[], object] | None:
        """The callback, or None."""
        return self._callback

    def set_callback(self, callback: Callable[[], object] | None) -> None:
        """Set what an engine calls when the job should be resumed; None unsets it.

        It is called by engines and wakers, from any thread, and never by pausable's core. It has
        to be short and must not block. Set it before the job starts: an engine that finds none
        uses a descriptor instead.

        Raises:
            TypeError: `callback` cannot be called.
        See: ASYNC_WAIT_CTX_set_callback(3)
        Differs: it takes no argument; use functools.partial.
        """
        self._check_open()
        if callback is not None and not callable(callback):
            raise TypeError(f"callback has to be callable or None, not {callback!r}")
        if callback is None and self._wakers:
            self._wake_fd()  # for wakers that relied on the callback
        self._callback = callback

    @property
    def status(self) -> int:
        """What the engine last said; `Status.UNSUPPORTED` at first.

        Jobs do not reset it.

        See: ASYNC_WAIT_CTX_get_status(3)
        Differs: only values of `Status` can be set; what the C-named API stored may be any int.
        """
        try:
            return Status(self._status)
        except ValueError:
            return self._status

    @status.setter
    def status(self, status: int) -> None:
        try:
            self._status = Status(status)
        except ValueError:
            known = ", ".join(f"Status.{value.name}" for value in Status)
            raise ValueError(f"status has to be one of {known}, not {status!r}") from None

    # -- waking --------------------------------------------------------------------------------

    def waker(self) -> Waker:
        """Return a handle that any thread may fire to have the job resumed.

        It uses the callback if one is set, else a descriptor that is made on first need, stays
        for the life of the context and is listed in `fds()`. Use it in `with`, so that whatever
        fires late fires nothing.
        """
        self._check_open()
        return Waker(self)

    def has_wakers(self) -> bool:
        """Tell whether a waker is open: then something will wake the job."""
        return self._wakers > 0

    def has_fds(self) -> bool:
        """Tell whether there is a descriptor to wait for."""
        return bool(self._live)

    def nudge(self) -> None:
        """Wake whoever drives the job, without a waker and without a promise. Any thread."""
        callback = self._callback
        if callback is not None:
            callback()
        elif (wake_fd := self.existing_wake_fd()) is not None:
            self._fired[NUDGE] = None
            wake_fd.set()

    def after_fork(self) -> None:
        """In the child of a fork: let go of the wake descriptor, which is the parent's."""
        self._generation += 1
        self._callback = None
        wake_fd = self.existing_wake_fd()
        if wake_fd is not None:
            wake_fd.close()
            self.clear_fd(_WAKE)

    def use_wake_fd(self, wake_fd: WakeFd) -> None:
        """Have wakers use a descriptor that somebody else owns and closes."""
        self.set_wait_fd(_WAKE, wake_fd.fd, wake_fd)

    def existing_wake_fd(self) -> WakeFd | None:
        """Return the wake descriptor, if it was made and the context is open. Any thread."""
        stack = self._by_key.get(_WAKE)
        return None if stack is None else stack[-1].data

    def _wake_fd(self) -> WakeFd:
        wake_fd = self.existing_wake_fd()
        if wake_fd is None:
            wake_fd = WakeFd()
            self.set_wait_fd(_WAKE, wake_fd.fd, wake_fd, _close_wake_fd)
        return wake_fd

    def _job_ended(self) -> None:
        """Make every waker of the job that ended harmless."""
        self._jobs -= 1
        if not self._jobs:
            self._generation += 1
            self._wakers = 0
            if self._fired:  # not cleared, and nobody is left to do so
                self._fired.clear()
                self._wake_fd().clear()

    def _snapshot(self) -> dict[str, Any]:
        """Return what is waited for, in plain values. Any thread, also from a signal handler."""
        callback = self._callback
        status = self.status
        return {
            "fds": [entry.fd for entry in reversed(list(self._live))],
            "status": status.name if isinstance(status, Status) else status,
            "callback": None if callback is None else _name_of(callback),
            "wakers": self._wakers,
        }

    # -- end -----------------------------------------------------------------------------------

    @property
    def closed(self) -> bool:
        """Whether `close()` was called."""
        return self._closed

    def close(self) -> None:
        """Call the cleanup routine of each entry, the newest first, and forget all.

        Entries that were cleared get no call. Closing twice does nothing. A routine that raises
        does not keep the others from being called; the first exception is raised at the end.

        See: ASYNC_WAIT_CTX_free(3)
        """
        if self._closed:
            return
        self._closed = True
        self._generation += 1
        self._wakers = 0
        self._callback = None
        live, self._live = self._live, {}
        self._fired.clear()
        self._by_key.clear()
        self._reset()
        failure: BaseException | None = None
        for entry in reversed(live):
            if entry.cleanup is not None:
                try:
                    entry.cleanup(self, entry.key, entry.fd, entry.data)
                except BaseException as exc:
                    failure = failure or exc
        if failure is not None:
            raise failure

    def __enter__(self) -> WaitContext:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.close()

    def __del__(self) -> None:
        if self._live:
            self.close()

    def _check_open(self) -> None:
        if self._closed:
            raise WaitContextClosed(
                f"{self!r} was closed; make a new WaitContext for the next session"
            )

    def __repr__(self) -> str:
        what = "closed" if self._closed else f"fds={self.fds()}"
        return f"<WaitContext {what}>"


def _name_of(callback: Any) -> str:
    """Name a callable without asking it: its own `__repr__` may do anything."""
    named = callback if hasattr(callback, "__qualname__") else type(callback)
    return f"{getattr(named, '__module__', None) or '?'}.{named.__qualname__}"


def _close_wake_fd(_ctx: WaitContext, _key: object, _fd: int, wake_fd: WakeFd) -> None:
    wake_fd.close()


class _WakeKey:
    """The key under which a context's own wake descriptor is listed."""

    def __repr__(self) -> str:
        return "<pausable's waker>"


_WAKE: Final = _WakeKey()
