"""Debug mode: what costs time, and tells of each job what it does that it had better not do."""

from __future__ import annotations

import os
import threading
from typing import Final

from pausable import _watch
from pausable._pool import watch_all_pools

__all__ = ["SLOW_SEGMENT_S", "get_debug", "set_debug"]

#: A thread that serves others should come back to its loop in less.
SLOW_SEGMENT_S: Final = 0.1

_changing = threading.Lock()


def set_debug(enable: bool, *, slow_segment_s: float = SLOW_SEGMENT_S) -> None:
    """Have every job that is started from now on, in any thread, watched closely, or not any more.

    Each of them keeps where it was started (`dump`, warnings and errors show it), and there is a
    `DebugWarning`, once for each place, when a job

    * pauses while it holds a lock (`LockHeldWarning`). Seen are locks that were made by
      `threading.Lock()` and `RLock()` and what builds on them since debug mode was set; these two
      names mean classes of ours meanwhile.
    * pauses with native frames on its stack (`NativeFrameWarning`; from Python 3.11 on). It comes
      when the job is resumed.
    * holds its thread for longer than `slow_segment_s` (`SlowSegmentWarning`). It comes from
      another thread, with the stack where the job is stuck; if C code let no other thread run
      meanwhile, it comes at the job's next pause or end, and says so.

    and when `pause()` is called outside of jobs (`PauseOutsideJobWarning`), or `wait_for` blocks
    the thread of a running event loop (`BlockedLoopWarning`). In a signal handler, a
    `__del__`, a garbage collection or an import a pause raises `PauseRefused`. Trace functions
    belong to the job that set them, as with hooks.

    The environment variable PAUSABLE_DEBUG=1 sets debug mode when pausable is imported. Setting it
    again forgets which places were reported. Jobs that are under way stay as they were started.

    Threads: any.

    Args:
        enable: whether to watch.
        slow_segment_s: seconds, more than 0.

    Raises:
        ValueError: `slow_segment_s` is no positive number.
    """
    if not slow_segment_s > 0:
        raise ValueError(
            f"slow_segment_s has to be a number of seconds above 0, not {slow_segment_s!r}"
        )
    with _changing:
        _set(enable, slow_segment_s)


def _set(enable: bool, slow_segment_s: float) -> None:
    # Not with pausable: most who import that do without debug mode.
    from pausable._debug import _locks, _outside, _places, _refusals, _segments  # noqa: PLC0415
    from pausable._debug._probe import JobProbe  # noqa: PLC0415

    _places.forget()
    if enable:
        _segments.watch(slow_segment_s)
        _locks.wrap()
        _refusals.watch_collections()
        _watch.outside_jobs = _outside.warn_outside
        _watch.before_blocking = _outside.warn_blocking
        _watch.wanted.probe = JobProbe
    else:
        _watch.wanted.probe = None
        _watch.outside_jobs = _watch.do_nothing
        _watch.before_blocking = _watch.say_nothing
        _refusals.forget_collections()
        _locks.unwrap()
        _segments.stop()
    watch_all_pools()


def get_debug() -> bool:
    """Tell whether jobs are started in debug mode. Any thread."""
    return _watch.wanted.probe is not None


if os.environ.get("PAUSABLE_DEBUG", "0") not in {"", "0"}:
    set_debug(True)
