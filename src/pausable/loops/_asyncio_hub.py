"""What the jobs of one asyncio loop share, and how they learn that it was closed."""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING, Any, Final
from weakref import ref

from pausable import _report
from pausable._pool import all_pools
from pausable.loops._asyncio_fields import HubFields
from pausable.loops._hub import Hub

__all__ = ["AsyncioHub", "Turn", "current_hub"]

if TYPE_CHECKING:
    from pausable.loops._asyncio import AsyncioDrive

#: Later than any program runs.
NEVER_S: Final = 1e9


class AsyncioHub(HubFields, Hub):
    """The drivers of one asyncio loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__()
        self.loop = loop
        # A loop that is closed forgets its calls to come: so this one's end tells that it was.
        loop.call_later(NEVER_S, never := lambda: None)
        self._closing = ref(never, self._loop_closed)

    def _loop_closed(self, _ref: object) -> None:
        """Take over the jobs that this loop will not go on with. Any thread."""
        if not sys.is_finalizing():
            for pool in all_pools():
                for fibre in list(pool._fibres):
                    if getattr(fibre.driver, "hub", None) is self:
                        pool.adopt_lost(fibre, _report.loop_closed)

    def _schedule_from_anywhere(self) -> None:
        # Also in the loop's own thread: a signal handler runs there while the loop sleeps.
        try:
            self.loop.call_soon_threadsafe(self.turn)
        except RuntimeError:  # the loop is closed: nobody waits any more
            pass

    def _schedule(self) -> None:
        self.loop.call_soon(self.turn)

    def _register(self, fd: int) -> bool:
        try:
            self.loop.add_reader(fd, self.readable, fd)
        except (OSError, ValueError, RuntimeError):  # closed, a plain file, a transport's, Windows
            return False
        return True

    def _unregister(self, fd: int) -> None:
        if not self.loop.is_closed():
            self.loop.remove_reader(fd)


def current_hub() -> AsyncioHub:
    """Return the hub of the running loop.

    Raises:
        RuntimeError: no loop is running.
    """
    try:
        loop: Any = asyncio.get_running_loop()
    except RuntimeError:
        raise RuntimeError(
            "no running event loop: await this in an asyncio or a trio task; in a script use"
            " pausable.run_blocking or pausable.map"
        ) from None
    try:
        hub: AsyncioHub = loop._pausable_hub
    except AttributeError:
        # On the loop itself: it has to live as long, and a weak table would be in the way of that.
        hub = loop._pausable_hub = AsyncioHub(loop)
    return hub


class Turn(asyncio.Future[Any]):
    """Ends as another future does, but in its driver's turn."""

    __slots__ = ("_awaited", "_drive")

    def __init__(self, drive: AsyncioDrive, awaited: asyncio.Future[Any]) -> None:
        super().__init__(loop=drive.hub.loop)
        self._awaited = awaited
        self._drive = drive
        drive.set_waiter(self)
        awaited.add_done_callback(drive.wake_here)

    def cancel(self, msg: Any = None) -> bool:
        return self._awaited.cancel(msg)

    def set_result(self, _none: object) -> None:
        """Take over the outcome: it is the driver's turn (or a wake that means nothing here)."""
        awaited = self._awaited
        if not awaited.done():
            return
        self._drive.called = False
        if awaited.cancelled():
            super().cancel(getattr(awaited, "_cancel_message", None))  # scopes know theirs by it
        elif (exc := awaited.exception()) is not None:
            super().set_exception(exc)
        else:
            super().set_result(awaited.result())
