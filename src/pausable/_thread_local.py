"""What belongs to a thread, and the moment when a thread ends.

Rules:

* It has to be the interpreter's own thread-local and identity: gevent's stand-ins are per greenlet.
* A thread-local's contents are dropped while the thread that ends can still run Python code and
  switch stacks. Later nobody can enter the stacks of its paused jobs.
"""

from __future__ import annotations

import _thread
import os
import sys
from collections.abc import Callable
from typing import Any

__all__ = ["get_ident", "interpreters_local", "when_thread_ends"]


def _interpreters(name: str) -> Any:
    """Return what `_thread` calls so, even where gevent patched the world."""
    monkey = sys.modules.get("gevent.monkey")
    if monkey is not None:
        return monkey.get_original("_thread", name)
    return getattr(_thread, name)


#: Identify the thread that runs.
get_ident: Callable[[], int] = _interpreters("get_ident")


def interpreters_local() -> Any:
    """Return a new thread-local that is per thread."""
    return _interpreters("_local")()


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
