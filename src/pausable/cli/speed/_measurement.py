"""One measurement: an operation, over and over, so many at once, in one way."""

from __future__ import annotations

import sys
import threading
import time
import traceback
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final

import pausable
from pausable.cli._outcome import reason_of
from pausable.cli.speed._algorithms import Algorithm, Call
from pausable.cli.speed._place import SpeedEngine
from pausable.cli.speed._result import WAYS, Figures
from pausable.cli.speed._watchdog import Stopped, Watchdog
from pausable.cli.speed._ways import WAY_FUNCTIONS
from pausable.cli.speed._window import Window

__all__ = ["Failure", "Measurement", "Step", "WrongResult"]

#: The last results of so many slots are checked, and the very first one: with a thousand, to check
#: all could take longer than the measurement.
_CHECKED: Final = 8

#: The innermost calls tell where something is stuck.
_SHOWN_FRAMES: Final = 12


class Failure(Exception):
    """There is nothing to measure: an operation failed."""


class WrongResult(Failure):
    """An operation's result is wrong."""


@dataclass(frozen=True)
class Step:
    """What is to be measured."""

    algorithm: Algorithm
    #: At once.
    jobs: int
    #: A key of WAYS.
    way: str

    @property
    def title(self) -> str:
        """Its name, for people."""
        jobs = "" if self.way == "blocking" else f", {self.jobs} at once"
        return f"{self.algorithm.title}, {WAYS[self.way]}{jobs}"


class Measurement:
    """Operations that are being done and timed.

    Args:
        step: what they are.
        call: does one.
        seconds: for how long operations are begun.
        engine: what does them for jobs; says how many of these are paused.

    Threads: `idle_s` and `describe` any, the rest its own.
    """

    def __init__(self, step: Step, call: Call, seconds: float, engine: SpeedEngine) -> None:
        self._step = step
        self._call = call
        self._engine = engine
        self._window = Window(step.jobs, seconds, engine.forget)
        # By slot: each has one operation at a time.
        self._began: list[float | None] = [None] * step.jobs
        self._results: dict[int, bytes] = {}  # of some
        self._where: list[pausable.Job[Any] | int | None] = [None] * step.jobs

    # -- for the watchdog --------------------------------------------------------------------------

    def idle_s(self) -> float:
        """Return for how long nothing has gone on."""
        return time.monotonic() - self._window.last_s

    def describe(self) -> str:
        """Say what is stuck: which operation, for how long, and where it is."""
        began = [(start, slot) for slot, start in enumerate(self._began) if start is not None]
        if not began:
            return f"{self._step.title}: stuck, and no operation is under way"
        start, slot = min(began)
        age_s = time.monotonic() - start
        which = "an operation" if len(began) == 1 else f"the oldest of {len(began)} operations"
        return (
            f"{self._step.title}: stuck; {which} has not completed for {age_s:.1f} s,"
            f" {_place_of(self._where[slot])}"
        )

    # -- measuring ---------------------------------------------------------------------------------

    def run(self, watchdog: Watchdog, workers: int) -> Figures:
        """Measure.

        Args:
            watchdog: may stop it.
            workers: threads of the way that has its own.

        Raises:
            Stopped: the watchdog has.
            Failure, WrongResult: an operation failed, or its result is wrong.
        """
        import asyncio

        window = self._window
        with watchdog.watching(self):
            try:
                asyncio.run(self._measure(watchdog, workers))
            except (Stopped, Failure, asyncio.CancelledError):
                watchdog.check()
                raise
            except Exception as exc:
                watchdog.check()  # then that is why
                raise Failure(reason_of(exc)) from exc
            watchdog.check()
        for result in self._results.values():
            self._check(result)
        paused = self._engine.most_paused if self._step.way == "pausable" else None
        return Figures.of(window.durations_s, window.elapsed_s, window.stall_s, paused)

    async def _measure(self, watchdog: Watchdog, workers: int) -> None:
        import asyncio

        with (
            WAY_FUNCTIONS[self._step.way](workers) as call,
            watchdog.closing(_canceller_of_this_task()),
        ):
            slots = range(self._step.jobs)
            tasks = [asyncio.create_task(self._fill(slot, call, watchdog)) for slot in slots]
            try:
                await asyncio.gather(*tasks)
            finally:
                self._window.close()
                for task in tasks:
                    task.cancel()
                await asyncio.wait(tasks)

    async def _fill(
        self, slot: int, call: Callable[[Call], Awaitable[bytes]], watchdog: Watchdog
    ) -> None:
        """Do one operation after the other."""
        do = self._noting(slot)
        while not self._window.over:
            self._began[slot] = began_s = time.monotonic()
            result = await call(do)
            watchdog.check()
            if slot < _CHECKED:
                if not self._results:
                    self._check(result)
                self._results[slot] = result
            self._window.note(slot, began_s)
        self._began[slot] = None

    def _noting(self, slot: int) -> Call:
        """Return the slot's call, which keeps where it is being done."""
        in_job = self._step.way == "pausable"
        where_now: Callable[[], Any] = pausable.current_job if in_job else threading.get_ident

        def operation() -> bytes:
            self._where[slot] = where_now()
            return self._call()

        operation.__name__ = self._step.algorithm.name  # the job's name
        return operation

    def _check(self, result: bytes) -> None:
        if not self._step.algorithm.is_right(result):
            raise WrongResult("the result of an operation is wrong, and its speed is not told")


def _canceller_of_this_task() -> Callable[[], None]:
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


def _place_of(where: pausable.Job[Any] | int | None) -> str:
    """Say where an operation is: the innermost calls of its job or thread."""
    if where is None:
        return "and has not begun in earnest"
    if isinstance(where, int):
        frame = sys._current_frames().get(where)
        if frame is None:
            return f"in thread {where}, which has ended"
        what = f"in thread {where}, which is at"
        stack = traceback.StackSummary.extract(traceback.walk_stack(frame))
        stack.reverse()
    else:
        what, stack = f"in job {where.name!r}, which is paused at", where.stack()
        if not stack:
            return f"in job {where.name!r}, which is not paused"
    lines = traceback.StackSummary.from_list(stack[-_SHOWN_FRAMES:]).format()
    return f"{what}\n{''.join(lines).rstrip()}"
