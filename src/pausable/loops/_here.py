"""Which event loop runs the code that asks. No loop's module is imported before it is needed."""

from __future__ import annotations

import sys
from types import FrameType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pausable.loops._drive import Drive
    from pausable.loops._portal import Takeover

__all__ = ["drive_here", "is_trio", "takeover_here"]

_asyncio: Any = None
_trio: Any = None


def drive_here() -> Drive:
    """Return a new driver for the running task.

    Raises:
        RuntimeError: no event loop is running.
    """
    global _asyncio, _trio
    drive: Drive
    if "trio" in sys.modules and is_trio():
        if _trio is None:
            from pausable.loops import _trio
        drive = _trio.new_drive()
    else:
        if _asyncio is None:
            from pausable.loops import _asyncio
        drive = _asyncio.new_drive()
    return drive


def takeover_here() -> Takeover:
    """Return the means to open a portal in the running task.

    Raises:
        RuntimeError: no event loop is running.
    """
    if is_trio():
        from pausable.loops import _trio_portal

        return _trio_portal.TrioTakeover()
    from pausable.loops import _asyncio_portal

    return _asyncio_portal.AsyncioTakeover()


def is_trio() -> bool:
    """Tell whether trio runs the code that asks, and no loop of asyncio inside of it."""
    trio = sys.modules.get("trio")
    return trio is not None and trio.lowlevel.in_trio_task() and not _asyncio_is_innermost()


def _asyncio_is_innermost() -> bool:
    """Tell which of two loops that both run a task in this thread was entered last."""
    asyncio = sys.modules.get("asyncio")
    if asyncio is None or asyncio._get_running_loop() is None or asyncio.current_task() is None:
        return False
    frame: FrameType | None = sys._getframe()
    while frame is not None:
        module = frame.f_globals.get("__name__", "")
        if module == "trio._core._run" and frame.f_code.co_name == "unrolled_run":
            return False
        if module in {"asyncio.events", "asyncio.runners", "uvloop"}:
            return True
        frame = frame.f_back
    return True
