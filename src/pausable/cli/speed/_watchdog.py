"""A thread that sees to it that `pausable speed` ends: when it is stuck, and after Ctrl-C.

Rules:

* Stuck is when nothing has completed for so long; one slow operation among others that complete
  is not, unless they have had many turns in the meantime.
* Then what is under way is given up, so that the main thread gets on, prints what it has, and ends.
* If it does not get on in time, it hangs in something that nobody can end: the process is ended.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final, Protocol

from pausable.cli._exit import FAILED, INTERRUPTED
from pausable.cli._output import say

__all__ = ["Errand", "Stopped", "Watchable", "Watchdog"]

#: Often enough for Ctrl-C, and seldom enough not to disturb what is measured.
_LOOK_S: Final = 0.1

#: What can be unwound is, in milliseconds; a worker that computes may need a moment.
_GRACE_S: Final = 5.0


class Stopped(Exception):
    """The run is over before its end: unwind."""


class Watchable(Protocol):
    """Something that may get stuck. Threads: any."""

    def idle_s(self) -> float:
        """Return for how long nothing has happened."""

    def describe(self) -> str:
        """Say what is stuck, and where; for people."""


class Errand:
    """Something that has to be over in time.

    Args:
        what: for people.
    """

    def __init__(self, what: str) -> None:
        self._what = what
        self._began = time.monotonic()

    def idle_s(self) -> float:
        """Return how long it has taken so far."""
        return time.monotonic() - self._began

    def describe(self) -> str:
        """Say what it is."""
        return f"{self._what} takes more than {self.idle_s():.1f} s"


class Watchdog:
    """Watches what is under way.

    Args:
        patience_s: for how long nothing may happen.
        tell: prints what there is, at the end of the run.
        grace_s: for how long what is given up may take to end.

    Threads: any, but the context managers: the main thread.
    """

    def __init__(
        self, patience_s: float, tell: Callable[[], object], grace_s: float = _GRACE_S
    ) -> None:
        #: Set: unwind. For `is_set` alone: who waits for it holds a lock that a signal handler
        #: needs.
        self.stopped = threading.Event()
        #: After Ctrl-C.
        self.interrupted = False
        #: Why it was stopped, for people; None after Ctrl-C.
        self.why: str | None = None
        self._patience_s = patience_s
        self._grace_s = grace_s
        self._tell = tell
        self._telling = threading.Lock()
        self._over = threading.Event()
        self._watched: Watchable | None = None
        self._closing: list[Callable[[], object]] = []
        self._thread = threading.Thread(target=self._watch, name="pausable-watchdog", daemon=True)

    def interrupt(self) -> None:
        """Stop, for Ctrl-C. For a signal handler."""
        self.interrupted = True
        self.stopped.set()

    def give_up(self, why: str) -> None:
        """Stop, with a reason."""
        if not self.stopped.is_set():
            self.why = why
            self.stopped.set()

    def check(self) -> None:
        """Unwind if the run is over.

        Raises:
            Stopped: it is.
        """
        if self.stopped.is_set():
            raise Stopped

    @contextmanager
    def watching(self, watched: Watchable) -> Iterator[None]:
        """Stop if that gets stuck."""
        self._watched = watched
        try:
            yield
        finally:
            self._watched = None

    @contextmanager
    def closing(self, close: Callable[[], object]) -> Iterator[None]:
        """Have a thread call what ends what is waited for, when the run is stopped."""
        self._closing.append(close)
        try:
            if self.stopped.is_set():  # the thread may have been there already
                close()
            yield
        finally:
            self._closing.remove(close)

    def tell(self) -> None:
        """Print what there is, once."""
        if self._telling.acquire(blocking=False):
            self._tell()

    def __enter__(self) -> Watchdog:
        self._thread.start()
        return self

    def __exit__(self, *_exc: object) -> None:
        self._over.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._over.wait(_LOOK_S):
            watched = self._watched
            if watched is not None and watched.idle_s() > self._patience_s:
                self.give_up(watched.describe())
            if self.stopped.is_set():
                self._unwind()
                return

    def _unwind(self) -> None:
        for close in reversed(list(self._closing)):
            close()
        if self._over.wait(self._grace_s):
            return
        try:
            self.tell()
            say("pausable: what is under way does not end, and is left to itself", err=True)
            sys.stdout.flush()
        finally:
            os._exit(INTERRUPTED if self.interrupted else FAILED)
