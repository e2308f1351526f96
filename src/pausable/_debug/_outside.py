"""Pauses and waits where there is no job."""

from __future__ import annotations

import sys

from pausable._debug._places import place_of, warn
from pausable.errors import BlockedLoopWarning, PauseOutsideJobWarning

__all__ = ["warn_blocking", "warn_outside"]


def warn_outside() -> bool:
    """Be a pause outside of jobs: warn of it, and do nothing."""
    warn(
        PauseOutsideJobWarning,
        "pause() was called outside of jobs, where it does nothing; start what calls it with"
        " pausable.start(), run() or map(), or ask pausable.can_pause() first",
        place_of(sys._getframe(1)),
    )
    return False


def warn_blocking(awaited: object) -> None:
    """Warn of a wait that blocks an event loop's thread: it is hardly ever meant."""
    asyncio, trio = sys.modules.get("asyncio"), sys.modules.get("trio")
    in_asyncio = asyncio is not None and asyncio._get_running_loop() is not None
    if in_asyncio or (trio is not None and trio.lowlevel.in_trio_task()):
        warn(
            BlockedLoopWarning,
            f"wait_for({awaited!r}) blocks the event loop that runs in this thread, with all its"
            " tasks: call this code with `await pausable.run(fn, ...)` or in an `async with"
            " pausable.portal():`, and not inside pause_blocked()",
            place_of(sys._getframe(1)),
        )
