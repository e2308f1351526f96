"""One measurement: an operation, over and over, so many at once, in one way."""

from __future__ import annotations

import sys
import threading
import time
import traceback
from array import array
from collections.abc import Awaitable, Callable
from typing import Any, Final

import pausable
from pausable.cli._outcome import reason_of
from pausable.cli.speed._algorithms import Algorithm, Call
from pausable.cli.speed._result import Figures
from pausable.cli.speed._watchdog import Stopped, Watchdog
from pausable.cli.speed._ways import WAY_FUNCTIONS
from pausable.cli.speed._window import Heartbeat

__all__ = ["Failure", "Measurement", "WrongResult"]

#: Results that are checked when the time is up, besides the first one: some, for with a thousand
#: jobs, checking all could take longer than the measurement.
_CHECKED: Final = 8

#: The innermost calls tell where something is stuck.
_SHOWN_FRAMES: Final = 12

_OPERATIONS: Final = "operation", "operations"


class Failure(Exception):
    """There is nothing to measure: an operation failed."""


class WrongResult(Failure):
    """An operation's result is wrong."""


class _Window:
    """The time in which operations count: so many seconds, and at least one of each slot.

    From one completion to another, so that operations that complete all together every 20 ms are
    neither cut off nor counted twice.

    Args:
        slots: how many there are.
        seconds: how long.
        opened: called when it begins.
    """

    def __init__(self, slots: int, seconds: float, opened: Callable[[], object]) -> None:
        self.over = False
        self.durations_s = array("d")
        self.heartbeat = Heartbeat()
        self._seconds = seconds
        self._opened = opened
        self._missing = slots  # before it begins, then in it
        self._slots = slots
        self._first: list[int | None] = []
        self._began_s: float | None = None
        self._last_s = 0.0

    @property
    def elapsed_s(self) -> float:
        """How long it was."""
        return self._last_s - (self._began_s or 0.0)


class Measurement:
    """Operations that are being done and timed.

    Args:
        algorithm: what they are.
        call: does one.
        jobs: how many are under way at once.
        way: a key of WAYS.
        title: the measurement's name, for people.

    Threads: `idle_s` and `describe` any, the rest its own.
    """

    def __init__(self, algorithm: Algorithm, call: Call, jobs: int, way: str, title: str) -> None:
        self.title = title
        self._algorithm = algorithm
        self._jobs = jobs
        self._way = way
        self._call = self._noting(call)
        self._last_s = time.monotonic()
        # By slot: each has one operation at a time.
        self._began: list[float | None] = [None] * jobs
        self._results: list[bytes] = [b""] * jobs
        self._where: list[pausable.Job[Any] | int | None] = [None] * jobs

    # -- for the watchdog --------------------------------------------------------------------------

    def idle_s(self) -> float:
        """Return for how long no operation has completed."""
        return time.monotonic() - self._last_s

    def describe(self, idle_s: float) -> str:
        """Say which operations are under way, and where the oldest one is."""
        began = [(start, slot) for slot, start in enumerate(self._began) if start is not None]
        headline = f"{self.title}: stuck, no operation has completed for {idle_s:.1f} s"
        if not began:
            return f"{headline}, and none is under way"
        start, slot = min(began)
        return (
            f"{headline}; {len(began)} {_OPERATIONS[len(began) != 1]} under way, the oldest for"
            f" {time.monotonic() - start:.1f} s, {_place(self._where[slot])}"
        )

    # -- measuring ---------------------------------------------------------------------------------

    def run(
        self,
        seconds: float,
        watchdog: Watchdog,
        workers: int,
        most_paused: Callable[[], int] | None,
        forget: Callable[[], object],
    ) -> Figures:
        """Measure.

        Args:
            seconds: for how long operations are begun.
            watchdog: may stop it.
            workers: threads of the way that has its own.
            most_paused: returns how many jobs were paused at once; None: there are no jobs.
            forget: called when the warm-up is over.

        Raises:
            Stopped: the watchdog has.
            Failure, WrongResult: an operation failed, or its result is wrong.
        """
        import asyncio

        with watchdog.watching(self):
            try:
                window = asyncio.run(self._measure(seconds, watchdog, workers, forget))
            except (Stopped, Failure, asyncio.CancelledError):
                watchdog.check()
                raise
            except Exception as exc:
                watchdog.check()  # then that is why
                raise Failure(reason_of(exc)) from exc
            watchdog.check()
        for result in self._results[:_CHECKED]:
            self._check(result)
        return Figures.of(
            window.durations_s,
            window.elapsed_s,
            window.heartbeat.stall_s,
            None if most_paused is None else most_paused(),
        )

    async def _measure(
        self, seconds: float, watchdog: Watchdog, workers: int, forget: Callable[[], object]
    ) -> _Window:
        """Do operations in every slot until the window of time that counts is over.

        It begins when every slot has done one, so that threads are there, say. Slots do not wait
        for each other then: a thousand operations that begin at once would be a stall of our own.
        """
        import asyncio

        window = _Window(self._jobs, seconds, forget)
        with WAY_FUNCTIONS[self._way](workers) as call, watchdog.closing(self._canceller()):
            slots = [self._fill(slot, call, window, watchdog) for slot in range(self._jobs)]
            tasks = [asyncio.create_task(slot) for slot in slots]
            try:
                await asyncio.gather(*tasks)
            finally:
                window.close()
                for task in tasks:
                    task.cancel()
                await asyncio.wait(tasks)
        return window

    async def _fill(
        self,
        slot: int,
        call: Callable[[Call], Awaitable[bytes]],
        window: _Window,
        watchdog: Watchdog,
    ) -> None:
        """Do one operation after the other."""
        do, number = self._call(slot), 0
        while not window.over:
            self._began[slot] = began = time.monotonic()
            result = self._results[slot] = await call(do)
            self._last_s = now = time.monotonic()
            if watchdog.stopped.is_set():
                raise Stopped
            if slot == number == 0:
                self._check(result)
            window.note(number, began, now)
            number += 1
        self._began[slot] = None

    def _canceller(self) -> Callable[[], None]:
        """Return what cancels this task, from any thread."""
        import asyncio

        loop, task = asyncio.get_running_loop(), asyncio.current_task()
        assert task is not None

        def cancel() -> None:
            try:
                loop.call_soon_threadsafe(task.cancel)
            except RuntimeError:  # the loop is closed: it is over
                pass

        return cancel

    def _noting(self, call: Call) -> Callable[[int], Call]:
        """Return what makes a slot's call, which keeps where it is being done."""
        where_now: Callable[[], Any] = (
            pausable.current_job if self._way == "pausable" else threading.get_ident
        )

        def for_slot(slot: int) -> Call:
            def operation() -> bytes:
                self._where[slot] = where_now()
                return call()

            operation.__name__ = self._algorithm.name  # the job's name
            return operation

        return for_slot

    def _check(self, result: bytes) -> None:
        if not self._algorithm.is_right(result):
            raise WrongResult("the result of an operation is wrong, and its speed is not told")


def _place(where: pausable.Job[Any] | int | None) -> str:
    """Say where an operation is: the innermost calls of its job or thread."""
    if where is None:
        return "not begun yet"
    if isinstance(where, int):
        what = f"in thread {where}, which is at"
        frame = sys._current_frames().get(where)
        stack = traceback.StackSummary.extract(traceback.walk_stack(frame))
        stack.reverse()
    else:
        what, stack = f"in job {where.name!r}, which is paused at", where.stack()
        if not stack:
            return f"in job {where.name!r}, which is not paused"
    lines = traceback.StackSummary.from_list(stack[-_SHOWN_FRAMES:]).format()
    return f"{what}\n{''.join(lines).rstrip()}"
