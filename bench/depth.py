"""What a pause costs with a deep call stack under it: ours next to greenlet's own.

    python bench/depth.py [--speed] [--memory] [--rounds N] [--quick] [--json FILE]

A call goes down so many frames and pauses there, again and again. Python frames: a function that
calls itself. C frames: one that calls itself through `functools.reduce`, `sorted(key=)` or a ctypes
callback, so that there is a frame of C under each of Python's.

Speed: one pause and resume. The C stack that was used below is copied away and back if another
stack needs the same place, here the one that resumes; Python's own frames are elsewhere and stay,
since 3.11. A native job's stack stays where it is. Memory: KB of resident memory for each of 500
calls that are paused at that depth, each figure in a process of its own. A ratio is a cost divided
by that of a job on greenlet.
"""

from __future__ import annotations

import argparse
import ctypes
import functools
import gc
import json
import os
import sys
from collections.abc import Callable
from itertools import repeat

from _asked import elsewhere
from _measure import Absent, Loop, fresh, in_fresh_process, in_turns, resident_kb
from _program import expect, parser_of, rounds_option, run
from _results import Results, backend_of, is_ours, ratio_of

PYTHON_DEPTHS = (0, 100, 300, 1000)
C_DEPTHS = (0, 100)
VALUE = 7
MANY = 500
WARM_UP = 10

sys.setrecursionlimit(10_000)


def python_frames(depth: int, pause: Callable[[], object], going: list) -> int:
    """Go down `depth` frames and pause there as long as there is something in `going`."""
    if depth:
        return python_frames(depth - 1, pause, going)
    while going:
        pause()
    return VALUE


def through_reduce(depth: int, pause: Callable[[], object], going: list) -> int:
    if depth:
        return functools.reduce(
            lambda _a, _b: through_reduce(depth - 1, pause, going), (None, None)
        )
    return python_frames(0, pause, going)


def through_sorted(depth: int, pause: Callable[[], object], going: list) -> int:
    if depth:
        values: list = []
        sorted((0,), key=lambda _: values.append(through_sorted(depth - 1, pause, going)))
        return values[0]
    return python_frames(0, pause, going)


CALLBACK = ctypes.CFUNCTYPE(ctypes.c_int)


def through_ctypes(depth: int, pause: Callable[[], object], going: list) -> int:
    if depth:
        return CALLBACK(lambda: through_ctypes(depth - 1, pause, going))()
    return python_frames(0, pause, going)


FRAMES: dict[str, Callable] = {
    "Python": python_frames,
    "functools.reduce": through_reduce,
    "sorted(key=)": through_sorted,
    "ctypes callback": through_ctypes,
}


class Job:
    """Ours."""

    def __init__(self, fn: Callable, depth: int, going: list) -> None:
        from pausable import pause, start

        job = start(fn, depth, pause, going)
        self.resume, self.result = job.resume, job.result


class Greenlet:
    def __init__(self, fn: Callable, depth: int, going: list) -> None:
        from greenlet import getcurrent, greenlet

        self.resume = greenlet(fn).switch
        self.resume(depth, getcurrent().switch, going)

    def result(self) -> None:
        """Return nothing: a greenlet's value is what its last switch returns."""


NATIVE = "job, native"
CALLS = {"job": Job, NATIVE: Job, "greenlet": Greenlet}


def depths(frames: str) -> tuple[int, ...]:
    return PYTHON_DEPTHS if frames == "Python" else C_DEPTHS


def all_depths() -> list[tuple[str, int]]:
    return [(frames, depth) for frames in FRAMES for depth in depths(frames)]


def native_pairs() -> dict[str, Loop]:
    """Return {frames and depth: loop} of jobs on the backend of this process."""
    return {
        f"{frames} {depth}": resuming(Job(FRAMES[frames], depth, [True]).resume)
        for frames, depth in all_depths()
    }


PEERS = {NATIVE: native_pairs}


def speed(options: argparse.Namespace, results: Results) -> None:
    table = results.table(
        "a pause above frames, speed", plot="lines", axis="frames under the pause"
    )
    going = [True]
    paused = {
        (who, frames, depth): CALLS[who](FRAMES[frames], depth, going)
        for frames, depth in all_depths()
        for who in ("job", "greenlet")
    }
    loops = {which: resuming(call.resume) for which, call in paused.items()}
    try:
        native = elsewhere("depth", NATIVE)
    except Absent as exc:
        results.absent[NATIVE] = str(exc)
    else:
        loops |= {(NATIVE, fr, depth): native[f"{fr} {depth}"] for fr, depth in all_depths()}
    times = in_turns(loops, options.rounds)
    going.clear()
    for which, call in paused.items():
        expect(VALUE in {call.resume(), call.result()}, f"{which}")
    for frames, depth in all_depths():
        for who in CALLS:
            if (figures := times.get((who, frames, depth))) is not None:
                ratio = ratio_of(figures, times["job", frames, depth])
                table.add(f"{who}, {frames}", f"{depth:,}", figures, ratio)


def resuming(resume: Callable[[], object]) -> Callable[[int], None]:
    def pairs(count):
        for _ in repeat(None, count):
            resume()

    return fresh(pairs)


def memory(_options: argparse.Namespace, results: Results) -> None:
    table = results.table(
        "a pause above frames, memory", unit="KB", plot="lines", axis="frames under the pause"
    )
    for frames, depth in all_depths():
        found = {}
        for who in CALLS:
            arguments = "--of", who, "--frames", frames, "--depth", depth
            try:
                used = in_fresh_process(__file__, *arguments, backend=backend_of(who))
            except Absent as exc:
                results.absent[f"{who}, {frames}, {depth}"] = str(exc)
            else:
                found[who] = [used["kb"]]
        for who, figures in found.items():
            ratio = ratio_of(figures, found["job"])
            table.add(f"{who}, {frames}", f"{depth:,}", figures, ratio)


def memory_of(who: str, frames: str, depth: int) -> dict:
    def paused(count: int) -> list:
        return [CALLS[who](FRAMES[frames], depth, going) for _ in range(count)]

    def end(calls: list) -> None:
        going.clear()
        for call in calls:
            expect(VALUE in {call.resume(), call.result()}, f"{who}, {frames}, {depth}")
        going.append(True)

    going = [True]
    end(paused(WARM_UP))
    if is_ours(who):
        from pausable import thread_pool

        thread_pool().shrink()
    gc.collect()
    before = resident_kb()
    held = paused(MANY)
    gc.collect()
    used = resident_kb() - before
    end(held)
    return {"kb": used / MANY}


def main() -> int:
    if "--of" in sys.argv:
        parser = argparse.ArgumentParser()
        parser.add_argument("--of", choices=CALLS)
        parser.add_argument("--frames", choices=FRAMES)
        parser.add_argument("--depth", type=int)
        options = parser.parse_args()
        print(json.dumps(memory_of(options.of, options.frames, options.depth)))
        return 0
    os.environ["PAUSABLE_BACKEND"] = "greenlet"  # of this process; pausable is not imported yet
    parts = {"speed": speed, "memory": memory}
    parser = parser_of(__doc__, parts)
    rounds_option(parser, 40, 10)
    return run("depth", parser, parts)


if __name__ == "__main__":
    sys.exit(main())
