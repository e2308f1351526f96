"""What a job costs, next to a raw pooled greenlet that does the same, in one run.

    python bench/core.py [--json FILE] [--rounds N]

The raw greenlet is the floor: a worker from a list used as a stack, which calls what it is sent
with its arguments and goes back on the list. No state, no context, no error handling. A ratio is
ours divided by that. Each variant has functions of its own: shared code objects would make the
interpreter's inline caches polymorphic and slow both sides. Times are the best of many short
repetitions, taken in turns.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

#: What is aimed at: ours at most so many times the raw greenlet, and KB per paused job.
GOALS = {"start+finish": 2.6, "start+pause+resume+finish": 2.3, "pause/resume pair": 1.9}
GOAL_KB = 7.0
PAUSED_JOBS = 10_000


def raw_variants() -> dict[str, Callable[[int], None]]:
    """Return the loops over raw greenlets."""
    from greenlet import getcurrent, greenlet

    main = getcurrent()

    def worker(fn, args):
        while True:
            result = fn(*args)
            fn, args = main.switch(result)

    def raw_nothing():
        return 1

    def raw_once():
        main.switch()
        return 1

    def raw_for_ever():
        while True:
            main.switch()

    idle = [greenlet(worker)]
    idle[0].switch(raw_nothing, ())
    paused = greenlet(worker)
    paused.switch(raw_for_ever, ())

    def start_finish(count):
        for _ in range(count):
            g = idle.pop()
            g.switch(raw_nothing, ())
            idle.append(g)

    def full(count):
        for _ in range(count):
            g = idle.pop()
            g.switch(raw_once, ())
            g.switch()
            idle.append(g)

    def pair(count):
        for _ in range(count):
            paused.switch()

    return dict(zip(GOALS, (start_finish, full, pair), strict=True))


def our_variants() -> dict[str, Callable[[int], None]]:
    """Return the loops over jobs."""
    from pausable import pause, start

    def our_nothing():
        return 1

    def our_once():
        pause()
        return 1

    def our_for_ever():
        while True:
            pause()

    job = start(our_for_ever)

    def start_finish(count):
        for _ in range(count):
            start(our_nothing)

    def full(count):
        for _ in range(count):
            start(our_once).resume()

    def pair(count):
        for _ in range(count):
            job.resume()

    return dict(zip(GOALS, (start_finish, full, pair), strict=True))


def measure(rounds: int, count: int = 2000) -> dict[str, tuple[float, float]]:
    """Return {what: (raw, ours)} in nanoseconds, the best of `rounds`, taken in turns."""
    raw, ours = raw_variants(), our_variants()
    best = {what: [float("inf"), float("inf")] for what in GOALS}
    for _ in range(rounds):
        for what in GOALS:
            for i, loop in enumerate((raw[what], ours[what])):
                begin = time.perf_counter_ns()
                loop(count)
                best[what][i] = min(best[what][i], (time.perf_counter_ns() - begin) / count)
    return {what: (times[0], times[1]) for what, times in best.items()}


def resident_kb() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1024


def memory(which: str) -> float:
    """Return KB of resident memory per paused call, in this process (a fresh one)."""
    held = []
    if which == "raw":
        from greenlet import getcurrent, greenlet

        main = getcurrent()

        def pausing(number):
            main.switch()
            return number

        for number in range(100):
            held.append(greenlet(pausing))
            held[-1].switch(number)
        before = resident_kb()
        for number in range(PAUSED_JOBS):
            held.append(greenlet(pausing))
            held[-1].switch(number)
    else:
        from pausable import pause, start

        def pausing(number):
            pause()
            return number

        held += [start(pausing, number) for number in range(100)]
        before = resident_kb()
        for number in range(PAUSED_JOBS):
            held.append(start(pausing, number))
    used = (resident_kb() - before) / PAUSED_JOBS
    if which == "ours":
        for job in held:
            job.resume()
    return used


def memory_in_fresh_process(which: str) -> float:
    command = [sys.executable, __file__, "--memory", which]
    return float(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=100, help="repetitions (default: 100)")
    parser.add_argument("--json", type=Path, help="write the results to a file as well")
    parser.add_argument("--memory", choices=("raw", "ours"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.memory:
        print(memory(options.memory))
        return

    print(
        f"CPython {platform.python_version()}, greenlet {version('greenlet')}, "
        f"{os.cpu_count()} cores\n"
    )
    print(f"{'':28}{'raw':>9}{'ours':>9}{'ratio':>8}{'goal':>8}")
    results = {}
    for what, (raw, ours) in measure(options.rounds).items():
        results[what] = {"raw_ns": raw, "ours_ns": ours, "ratio": ours / raw, "goal": GOALS[what]}
        print(f"{what:28}{raw:6.0f} ns{ours:6.0f} ns{ours / raw:7.2f}x{GOALS[what]:7.1f}x")
    raw, ours = memory_in_fresh_process("raw"), memory_in_fresh_process("ours")
    what = f"per paused job of {PAUSED_JOBS:,}"
    results["memory"] = {"raw_kb": raw, "ours_kb": ours, "ratio": ours / raw, "goal_kb": GOAL_KB}
    print(f"{what:28}{raw:6.2f} KB{ours:6.2f} KB{ours / raw:7.2f}x{GOAL_KB:5.1f} KB")
    if options.json:
        options.json.write_text(json.dumps(results, indent=2))


if __name__ == "__main__":
    main()
