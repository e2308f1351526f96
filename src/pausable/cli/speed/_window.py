"""The time in which operations count, and how late the event loop is in it."""

from __future__ import annotations

import time
from array import array
from collections.abc import Callable
from typing import Any, Final

__all__ = ["Window"]

#: A stall is seen but for at most this much of it; beats twice as often slow down what is measured.
_BEAT_S: Final = 0.002

#: More turns in a round than this, and one that has had none is stuck: queues are fair.
_TURNS: Final = 20


class Window:
    """Whole rounds of operations; in a round, each slot completes one or more.

    The first round does not count: threads are started in it. From the end of one round to that of
    another, so that operations that complete all together every 20 ms are not cut off.

    Slots do not wait for each other between rounds: a thousand operations that begin at once would
    be a stall of our own.

    Args:
        slots: how many there are; each has one operation at a time.
        seconds: how long it is, or a round longer.
        opened: called when it begins.

    Threads: the loop's; `last_s` may be read by any.
    """

    def __init__(self, slots: int, seconds: float, opened: Callable[[], object]) -> None:
        #: No more operations are to begin.
        self.over = False
        #: Of the operations that count.
        self.durations_s = array("d")
        #: The longest time by which the loop was late for another task; about 1 ms when it is idle.
        self.stall_s = 0.0
        #: When something went on last; others than a slot that is stuck do not count.
        self.last_s = time.monotonic()
        self._seconds = seconds
        self._opened = opened
        self._in_round = bytearray(slots)  # 1: has completed one
        self._missing = slots
        self._turns_left = slots * _TURNS
        self._began_s: float | None = None
        self._ended_s = 0.0
        self._due_s = 0.0
        self._heart: Any = None

    @property
    def elapsed_s(self) -> float:
        """How long it was, now that it is over."""
        assert self._began_s is not None
        return self._ended_s - self._began_s

    def note(self, slot: int, began_s: float) -> None:
        """Count an operation that is complete now."""
        now_s = time.monotonic()
        if self._began_s is not None and not self.over:
            self.durations_s.append(now_s - began_s)
        self._turns_left -= 1
        if self._turns_left >= 0:
            self.last_s = now_s
        if not self._in_round[slot]:
            self._in_round[slot] = 1
            self._missing -= 1
            if not self._missing:
                self._end_round(now_s)

    def close(self) -> None:
        """End; more than once is once."""
        self.over = True
        if self._heart is not None:
            self._heart.cancel()
            self._heart = None
            self._note_stall()  # the one that lasts until now

    def _end_round(self, now_s: float) -> None:
        slots = len(self._in_round)
        self._in_round, self._missing, self._turns_left = bytearray(slots), slots, slots * _TURNS
        self.last_s = now_s
        if self._began_s is None:
            self._began_s = now_s
            self._opened()
            self._start_heart()
        elif now_s - self._began_s >= self._seconds and not self.over:
            self._ended_s = now_s
            self.close()

    def _start_heart(self) -> None:
        import asyncio

        self._due_s = time.monotonic() + _BEAT_S
        self._heart = asyncio.create_task(self._beat())

    async def _beat(self) -> None:
        import asyncio

        while True:
            await asyncio.sleep(max(0.0, self._due_s - time.monotonic()))
            self._note_stall()
            self._due_s = time.monotonic() + _BEAT_S

    def _note_stall(self) -> None:
        self.stall_s = max(self.stall_s, time.monotonic() - self._due_s)
