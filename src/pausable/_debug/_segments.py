"""Jobs that hold their thread for too long.

Rules:

* A segment is the time from a start or resume to the next pause or end. While a job drives another
  one, its own clock stands still, so that only the slow one of the two is reported.
* A daemon thread looks at the segments that run, and sees a slow one where it is stuck. C code that
  keeps the interpreter to itself stops that thread too; then the segment's end reports it.
"""

from __future__ import annotations

import os
import sys
import threading
import time
import traceback
from typing import Final

from pausable._debug._places import place_of, warn_later
from pausable._frames import visible
from pausable._thread_local import get_ident
from pausable.errors import SlowSegmentWarning

__all__ = ["Segment", "begin", "end", "stop", "watch"]

#: How often the watchdog looks, as a part of the limit; but not more often than the second one.
LOOK: Final = 1 / 4
LEAST_S: Final = 0.001  # more often would slow down what it measures


class Segment:
    """A stretch of a job between two switches."""

    __slots__ = ("begun", "name", "since", "told")

    def __init__(self, name: str) -> None:
        self.name = name
        self.told = False
        self.begun = self.since = time.monotonic()


class _Watchdog:
    def __init__(self) -> None:
        self.limit_s = 0.0
        self._on = False
        self._stop: threading.Event | None = None
        #: The segments that run in each thread, the innermost last.
        self.running: dict[int, list[Segment]] = {}

    def watch(self, limit_s: float) -> None:
        self.limit_s = limit_s
        self._on = True

    def stop(self) -> None:
        self._on = False
        if self._stop is not None:
            self._stop.set()
            self._stop = None

    def ensure(self) -> None:
        """Have the thread running: with the first job only, and anew in a forked child."""
        if self._on and self._stop is None:
            self._stop = threading.Event()
            threading.Thread(
                target=self._run, args=(self._stop,), name="pausable-watchdog", daemon=True
            ).start()

    def after_fork(self) -> None:
        self._stop = None
        here = get_ident()
        self.running = {thread: each for thread, each in self.running.items() if thread == here}

    def _run(self, stop: threading.Event) -> None:
        while not stop.wait(max(self.limit_s * LOOK, LEAST_S)):
            for thread, segments in list(self.running.items()):
                self._look(thread, segments)

    def _look(self, thread: int, segments: list[Segment]) -> None:
        try:
            segment = segments[-1]
        except IndexError:
            return
        if segment.told or time.monotonic() - segment.since <= self.limit_s:
            return
        frame = sys._current_frames().get(thread)
        if frame is None or segments[-1:] != [segment]:
            return  # it went on in between, and the frame is another's
        segment.told = True
        held_s = time.monotonic() - segment.since
        stack = traceback.StackSummary.extract(reversed(visible(frame)))
        warn_later(
            SlowSegmentWarning,
            f"job {segment.name!r} has held its thread for {held_s:.3f} s without pausing, and goes"
            f" on; meanwhile no other job of the thread runs. {REMEDY} It is stuck at\n"
            f"{''.join(stack.format())}",
            place_of(frame),
            frame.f_code,
        )


#: What can be done about a slow segment.
REMEDY: Final = "Let it wait with pausable.wait_for(executor.submit(...)), or pause() in between."

_watchdog = _Watchdog()
watch = _watchdog.watch
stop = _watchdog.stop


def begin(name: str) -> Segment:
    """Begin a segment of the running job."""
    _watchdog.ensure()
    segment = Segment(name)
    _watchdog.running.setdefault(get_ident(), []).append(segment)
    return segment


def end(segment: Segment) -> None:
    """End a segment, and report it if it was slow and nobody has seen it."""
    now = time.monotonic()
    thread = get_ident()
    segments = _watchdog.running.get(thread, [])
    if segment in segments:
        del segments[segments.index(segment) :]  # and what an exception left behind above it
    if segments:
        segments[-1].since += now - segment.begun
    else:
        _watchdog.running.pop(thread, None)
    held_s = now - segment.since
    if held_s > _watchdog.limit_s and not segment.told:
        place = place_of(sys._getframe(1))
        warn_later(
            SlowSegmentWarning,
            f"job {segment.name!r} held its thread for {held_s:.3f} s without pausing; meanwhile no"
            f" other job of the thread ran. {REMEDY} Nobody could look where it was stuck, but then"
            f" it paused or ended at\n{''.join(traceback.format_stack(sys._getframe(1)))}",
            place,
        )


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_watchdog.after_fork)
