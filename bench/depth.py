"""What a pause costs with a deep call stack under it: ours next to greenlet's own.

    python bench/depth.py [--speed] [--memory] [--rounds N] [--quick] [--json FILE]

A call goes down so many frames and pauses there, again and again. Python frames: a function that
calls itself. C frames: one that calls itself through `functools.reduce`, `sorted(key=)` or a ctypes
callback, so that there is a frame of C under each of Python's.

Speed: one pause and resume. The C stack that was used below is copied away and back if another
stack needs the same place, here the one that resumes; Python's own frames are elsewhere and stay,
since 3.11. Memory: KB of resident memory for each of 500 calls that are paused at that depth, each
figure in a process of its own. A ratio is raw greenlet's cost divided by ours.
"""

from __future__ import annotations

import argparse
import ctypes
import functools
import gc
import json
import sys
from collections.abc import Callable

from _measure import fresh, in_fresh_process, in_turns, resident_kb
from _program import expect, parser_of, rounds_option, run
from _results import Results, ratio_of

from pausable import thread_pool

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


PEERS = {"job": Job, "greenlet": Greenlet}


def depths(frames: str) -> tuple[int, ...]:
    return PYTHON_DEPTHS if frames == "Python" else C_DEPTHS


def speed(options: argparse.Namespace, results: Results) -> None:
    table = results.table(
        "a pause above frames, speed", plot="lines", axis="frames under the pause"
    )
    going = [True]
    paused = {
        (who, frames, depth): peer(fn, depth, going)
        for frames, fn in FRAMES.items()
        for depth in depths(frames)
        for who, peer in PEERS.items()
    }
    loops = {which: resuming(call.resume) for which, call in paused.items()}
    times = in_turns(loops, options.rounds)
    going.clear()
    for which, call in paused.items():
        expect(VALUE in {call.resume(), call.result()}, f"{which}")
    for (who, frames, depth), figures in times.items():
        ratio = ratio_of(figures, times["job", frames, depth])
        table.add(f"{who}, {frames}", f"{depth:,}", figures, ratio)


def resuming(resume: Callable[[], object]) -> Callable[[int], None]:
    def pairs(count):
        for _ in range(count):
            resume()

    return fresh(pairs)


def memory(_options: argparse.Namespace, results: Results) -> None:
    table = results.table(
        "a pause above frames, memory", unit="KB", plot="lines", axis="frames under the pause"
    )
    for frames in FRAMES:
        for depth in depths(frames):
            found = {}
            for who in PEERS:
                arguments = "--of", who, "--frames", frames, "--depth", depth
                found[who] = [in_fresh_process(__file__, *arguments)["kb"]]
            for who, figures in found.items():
                ratio = ratio_of(figures, found["job"])
                table.add(f"{who}, {frames}", f"{depth:,}", figures, ratio)


def memory_of(who: str, frames: str, depth: int) -> dict:
    def paused(count: int) -> list:
        return [PEERS[who](FRAMES[frames], depth, going) for _ in range(count)]

    def end(calls: list) -> None:
        going.clear()
        for call in calls:
            expect(VALUE in {call.resume(), call.result()}, f"{who}, {frames}, {depth}")
        going.append(True)

    going = [True]
    end(paused(WARM_UP))
    if who == "job":
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
        parser.add_argument("--of", choices=PEERS)
        parser.add_argument("--frames", choices=FRAMES)
        parser.add_argument("--depth", type=int)
        options = parser.parse_args()
        print(json.dumps(memory_of(options.of, options.frames, options.depth)))
        return 0
    parts = {"speed": speed, "memory": memory}
    parser = parser_of(__doc__, parts)
    rounds_option(parser, 40, 10)
    return run("depth", parser, parts)


if __name__ == "__main__":
    sys.exit(main())
