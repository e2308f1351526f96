"""What jobs on the native backend cost, and whether that is what the native core aims at.

    python bench/native.py [--speed] [--depth] [--memory] [--stacks] [--endurance]
                           [--rounds N] [--quick] [--json FILE]

Each table tells of each goal whether it is met. Every kind runs in processes of its own, for native
jobs and greenlet do not share one; those take turns. A ratio is native's cost divided by that of
the other, so less than 1 is in our favour. bench/core.py, memory.py and depth.py have native jobs
beside all peers.

Speed: next to the pair of switches of raw greenlets, without state, context or error handling, and
to OpenSSL's jobs in C. Depth: a pair with 100 Python frames under the pause. Memory: KB for each
paused job, guards on. Stacks: the first start of a job on a new stack less that of one on a used
one, page faults and guard included. Endurance: jobs per second, and resident memory, before and
after ten million jobs. What `await pausable.run(fn)` aims at is in bench/loops.py --floor.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import sys
import time
from collections.abc import Iterator
from itertools import repeat

import memory as memory_script
from _asked import elsewhere
from _measure import Absent, Loop, available, in_fresh_process, in_turns, resident_kb, timed
from _peers_plain import FULL, NATIVE, PAIR, START
from _program import parser_of, rounds_option, run
from _results import Results, ratio_of

WHATS = START, FULL, PAIR
RATIO = "native's cost / its"
RAW_PAIR = "a pair of raw greenlets"
GOALS = {
    RAW_PAIR: dict(zip(WHATS, ("<= 0.3", "<= 0.45", "<= 0.2"), strict=True)),
    "libcrypto (C)": dict(zip(WHATS, ("<= 1.2", "<= 0.9", "<= 0.8"), strict=True)),
}
GOAL_DEPTH = "<= 1.1"
GOAL_MEMORY = "<= 4.5 KB"
GOAL_STACK = "<= 6000 ns"
GOAL_FLAT = ">= 0.95"
GOAL_GROWTH = "<= 256 KB"

DEEP = 100
COUNTS = 10_000, 100_000
NEW_STACKS, BATCH = 2_048, 64  # that many are mapped at once
JOBS, QUICK_JOBS = 10_000_000, 1_000_000
SLICES = 400  # of the endurance, short enough for the best to be undisturbed


# -- what runs in other processes ------------------------------------------------------------------


def deep_pairs() -> dict[str, Loop]:
    """Return pairs of jobs that are paused below no frames and below many."""
    from depth import python_frames, resuming

    from pausable import pause, start

    return {str(n): resuming(start(python_frames, n, pause, [True]).resume) for n in (0, DEEP)}


PEERS = {"depth": deep_pairs}


def new_stacks() -> dict:
    """Return the ns by which the first start on a stack is longer than the next, in batches."""
    from pausable import JobPool, pause, start

    def once():
        pause()

    def paused() -> list[float]:
        """Start jobs on all stacks; return ns for each, by batch."""
        jobs, spent = [None] * NEW_STACKS, []
        for first in range(0, NEW_STACKS, BATCH):
            begin = time.perf_counter_ns()
            for i in range(first, first + BATCH):
                jobs[i] = pool.start(once)
            spent.append((time.perf_counter_ns() - begin) / BATCH)
        for job in jobs:
            job.resume()
        return spent

    start(once).resume()
    gc.disable()  # a collection is no part of a stack
    pool = JobPool()
    first, again = paused(), min(paused())
    return {"ns": [ns - again for ns in first]}


def endurance_of(count: int) -> dict:
    """Return jobs per second in slices of `count` jobs, and resident KB before and after."""
    from pausable import start

    def nothing():
        return 1

    def jobs(number):
        for _ in repeat(None, number):
            start(nothing)

    jobs(count // 100)
    before = resident_kb()
    rates = [1e9 / timed(jobs, count // SLICES) for _ in range(SLICES)]
    return {"rates": rates, "before": before, "after": resident_kb()}


# -- measuring -------------------------------------------------------------------------------------


def native_only(results: Results, who: str) -> dict[str, Loop] | None:
    """Return the loops of one of PEERS on the native backend, or None if there is none."""
    try:
        return elsewhere("native", who)
    except Absent as exc:
        results.absent[f"native, {who}"] = str(exc)
        return None


def speed(options: argparse.Namespace, results: Results) -> None:
    from _peers_plain import PEERS as PLAIN  # PEERS is ours here

    raw = "greenlet, pooled"
    whos = NATIVE, "job", raw, "libcrypto (C)", "generator"
    made, absent = available({who: PLAIN[who] for who in whos})
    results.absent.update(absent)
    if NATIVE not in made:
        return
    loops = {(who, what): made[who][what] for what in WHATS for who in made}
    times = in_turns(loops, options.rounds)
    table = results.table("native jobs", ratio=RATIO, worse="higher", tells="all")
    for what in WHATS:
        rows = {who: times[who, what] for who in made}
        if raw in made:
            rows[RAW_PAIR] = times[raw, PAIR]
        for who, figures in rows.items():
            ratio = ratio_of(times[NATIVE, what], figures)
            table.add(who, what, figures, ratio, GOALS.get(who, {}).get(what))


def depth(options: argparse.Namespace, results: Results) -> None:
    loops = native_only(results, "depth")
    if loops is None:
        return
    table = results.table(
        "a pair below Python frames", ratio="its cost / that below none", worse="higher",
        plot=None, tells="all",
    )  # fmt: skip
    times = in_turns(loops, options.rounds)
    for what, figures in times.items():
        goal = GOAL_DEPTH if what == str(DEEP) else None
        table.add(NATIVE, what, figures, ratio_of(figures, times["0"]), goal)


def memory(options: argparse.Namespace, results: Results) -> None:
    found = {}
    for count in COUNTS[: 1 if options.quick else 2]:
        try:
            found[count] = [memory_script.of(NATIVE, count)]
        except Absent as exc:
            results.absent[f"{NATIVE}, {count:,} paused"] = str(exc)
    if found:
        table = results.table("memory of paused native jobs", unit="KB", plot=None, tells="all")
    for count, figures in found.items():
        table.add(NATIVE, f"{count:,}", figures, goal=GOAL_MEMORY)


def stacks(options: argparse.Namespace, results: Results) -> None:
    found = fresh_figures("stacks", 3 if options.quick else 10, results)
    figures = [ns for each in found for ns in each["ns"]]
    if figures:
        table = results.table("a new stack", plot=None, tells="all")
        table.add(NATIVE, "more than a used one", figures, goal=GOAL_STACK)


def endurance(options: argparse.Namespace, results: Results) -> None:
    jobs = QUICK_JOBS if options.quick else JOBS
    for found in fresh_figures(f"endurance-{jobs}", 1, results):
        rates, quarter = found["rates"], SLICES // 4
        first, last = rates[:quarter], rates[-quarter:]
        ratio = max(last) / max(first)
        table = results.table(
            f"{jobs:,} jobs, one after another", unit="/s", ratio="the last quarter / the first",
            plot=None, tells="all",
        )  # fmt: skip
        table.add(NATIVE, "first quarter", first)
        table.add(NATIVE, "last quarter", last, (ratio, ratio, ratio), GOAL_FLAT)
        table = results.table(
            f"memory of {jobs:,} jobs, one after another", unit="KB", plot=None, tells="all"
        )
        table.add(NATIVE, "resident before", [found["before"]])
        table.add(NATIVE, "more after", [found["after"] - found["before"]], goal=GOAL_GROWTH)


def fresh_figures(part: str, times: int, results: Results) -> Iterator[dict]:
    for _ in range(times):
        try:
            yield in_fresh_process(__file__, "--of", part, backend="native")
        except Absent as exc:
            results.absent[f"{NATIVE}, {part}"] = str(exc)
            return


def main() -> int:
    if "--of" in sys.argv:
        part, _, count = sys.argv[-1].partition("-")
        print(json.dumps(endurance_of(int(count)) if part == "endurance" else new_stacks()))
        return 0
    os.environ["PAUSABLE_BACKEND"] = "greenlet"  # of this process; pausable is not imported yet
    parts = {
        "speed": speed, "depth": depth, "memory": memory, "stacks": stacks, "endurance": endurance,
    }  # fmt: skip
    parser = parser_of(__doc__, parts)
    rounds_option(parser, 100, 10)
    return run("native", parser, parts)


if __name__ == "__main__":
    sys.exit(main())
