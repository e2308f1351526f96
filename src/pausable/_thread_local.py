"""What belongs to a thread, and the moment when a thread ends.

Rules:

* It has to be the interpreter's own thread-local: gevent's stand-in is per greenlet.
* A thread-local's contents are dropped while the thread that ends can still run Python code and
  switch stacks. Later nobody can enter the stacks of its paused jobs.
"""

from __future__ import annotations

import os
import sys
import threading
from _thread import get_ident
from collections.abc import Callable
from typing import Any

__all__ = ["interpreters_local", "when_thread_ends"]


def interpreters_local() -> Any:
    """Return a new thread-local that is per thread even where gevent patched the world."""
    monkey = sys.modules.get("gevent.monkey")
    if monkey is not None:
        return monkey.get_original("_thread", "_local")()
    return threading.local()


_local = interpreters_local()


class _End:
    """Lives in a thread-local of the thread, and makes its calls when it dies with it."""

    def __init__(self) -> None:
        self.calls: list[Callable[[int], object]] = []
        self._thread = get_ident()
        self._pid = os.getpid()

    def __del__(
        self,
        # Bound here: at the end of the process, module globals may be gone already.
        getpid: Callable[[], int] = os.getpid,
        is_finalizing: Callable[[], bool] = sys.is_finalizing,
    ) -> None:
        if getpid() == self._pid and not is_finalizing():  # not the copy in a forked child
            for call in self.calls:
                call(self._thread)


def when_thread_ends(call: Callable[[int], object]) -> None:
    """Have call(ident) called, once, in the calling thread when that thread ends."""
    end = getattr(_local, "end", None)
    if end is None:
        end = _local.end = _End()
    if call not in end.calls:
        end.calls.append(call)
