"""How late an event loop is for its other tasks."""

from __future__ import annotations

import time
from typing import Any, Final

__all__ = ["Heartbeat"]

#: A stall is seen but for at most this much of it; beats twice as often slow down what is measured.
_BEAT_S: Final = 0.002


class Heartbeat:
    """A task that wants to run every 2 ms, and keeps the longest time by which it ran late.

    An idle loop shows about 1 ms, the resolution of its timers.
    """

    def __init__(self) -> None:
        #: The longest lateness so far.
        self.stall_s = 0.0
        self._due = 0.0
        self._task: Any = None

    def start(self) -> None:
        """Begin, in the running loop."""
        import asyncio

        self._due = time.monotonic() + _BEAT_S
        self._task = asyncio.create_task(self._beat())

    def stop(self) -> None:
        """End. Once more than once is once."""
        if self._task is not None:
            self._task.cancel()
            self._task = None
            self._note()  # the stall that lasts until now

    async def _beat(self) -> None:
        import asyncio

        while True:
            await asyncio.sleep(max(0.0, self._due - time.monotonic()))
            self._note()
            self._due = time.monotonic() + _BEAT_S

    def _note(self) -> None:
        self.stall_s = max(self.stall_s, time.monotonic() - self._due)
