"""asyncio's running loop and current task, for jobs whose code runs an event loop of its own.

Rules:

* asyncio keeps both per thread, not per stack. A job sees those of the task that drives it, but
  code in it that calls `asyncio.run()` must find none, and whoever goes on while the job is paused
  in there must not find the job's.
* Code that is about to run a loop asks `asyncio.events._get_running_loop` first; hardly anybody
  else does (asyncio's locks and queues, and gather). So there the loop around the job is hidden.
  `uvloop.run` (before Python 3.12) asks `asyncio._get_running_loop` instead. These are the only
  things that pausable puts in another module's place, and it changes nothing outside jobs.
* From then on, until the job's own loop has ended, the two worlds are exchanged at each pause.

A uvloop that a job runs without `asyncio.run` or a `Runner` does not ask, and is not noticed; and
when one has ended, the job sees no loop until its next pause.
"""

from __future__ import annotations

import sys
import threading
from typing import Any, Final

from pausable._job import current_fibre

__all__ = ["OwnLoop", "notice"]

#: Modules of asyncio that ask for the loop, but run none: locks, and since 3.14 gather and others.
_ONLY_ASK: Final = {"asyncio.mixins", "asyncio.tasks", "asyncio.futures", "asyncio.graph"}

_asyncio: Any = None
_signal: Any = None
_get: Any = None
_set: Any = None
_swap_task: Any = None


class _World:
    """What asyncio and the interpreter take to be running in this thread."""

    def __init__(self) -> None:
        self.loop: Any = _get()
        self.task: Any = None
        if self.loop is not None and _swap_task is not None:
            self.task = _swap_task(self.loop, None)
        self.hooks = sys.get_asyncgen_hooks()
        _set(None)
        # A loop in the main thread takes Ctrl-C, and wakes when a signal arrives.
        self.takes_signals = threading.current_thread() is threading.main_thread()
        if self.takes_signals:
            self.wakeup_fd = _signal.set_wakeup_fd(-1)
            self.sigint = _signal.getsignal(_signal.SIGINT)

    def restore(self) -> None:
        if self.takes_signals:
            _signal.set_wakeup_fd(self.wakeup_fd, warn_on_full_buffer=False)
            if self.sigint is not None:  # else it was not set from Python
                _signal.signal(_signal.SIGINT, self.sigint)
        _set(self.loop)
        if self.task is not None:
            _swap_task(self.loop, self.task)
        sys.set_asyncgen_hooks(*self.hooks)


class OwnLoop:
    """The loop that a job runs, and the one around the job, of which one is set aside."""

    def __init__(self) -> None:
        self._other = _World()
        if self._other.takes_signals:
            _signal.set_wakeup_fd(self._other.wakeup_fd, warn_on_full_buffer=False)

    def leave(self) -> bool:
        """Set the job's world aside; return False if there is no loop in it any more."""
        mine = _World()
        self._other.restore()
        self._other = mine
        return mine.loop is not None

    def enter(self) -> None:
        """Go back to the job's."""
        self.leave()


def notice() -> None:
    """Have the loops noticed that jobs run, if asyncio is there. Doing so twice does nothing."""
    global _asyncio, _signal, _get, _set, _swap_task
    if _asyncio is not None or "asyncio.events" not in sys.modules:
        return
    import asyncio  # noqa: PLC0415  # both are there; pausable itself does without
    import signal  # noqa: PLC0415

    events = asyncio.events
    _get, _set = events._get_running_loop, events._set_running_loop
    # Before 3.12 a task is current for its loop only, so that two loops never meet.
    _swap_task = getattr(asyncio.tasks, "_swap_current_task", None)
    events._get_running_loop = _get_running_loop
    asyncio._get_running_loop = _get_running_loop_of_package
    events._set_running_loop = _set_running_loop
    _asyncio, _signal = asyncio, signal


def _get_running_loop() -> Any:
    """Stand in for asyncio's function of this name."""
    fibre = current_fibre()
    if fibre is not None and fibre.own_loop is None:
        asking = sys._getframe().f_back  # None: it is the job's function itself
        if asking is None or asking.f_globals.get("__name__") not in _ONLY_ASK:
            fibre.keep_loops_apart(OwnLoop())
    return _get()


def _get_running_loop_of_package() -> Any:
    """Stand in for the same function as the package `asyncio` has it."""
    fibre = current_fibre()
    if fibre is not None and fibre.own_loop is None:
        asking = sys._getframe().f_back
        if (
            asking is not None
            and asking.f_code.co_name == "run"
            and asking.f_globals.get("__name__") == "uvloop"
        ):
            fibre.keep_loops_apart(OwnLoop())
    return _get()


def _set_running_loop(loop: Any) -> None:
    """Stand in for asyncio's function of this name."""
    _set(loop)
    if loop is None:
        fibre = current_fibre()
        if fibre is not None and fibre.own_loop is not None:
            fibre.own_loop.leave()
            fibre.keep_loops_apart(None)
