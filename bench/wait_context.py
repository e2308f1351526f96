"""What the operations of a wait context cost with 1 to 10,000 descriptors in it.

    python bench/wait_context.py [--rounds N] [--quick] [--json FILE]

Each operation is done in a context that holds that many unchanged descriptors. A ratio is the cost
with that many divided by the cost with one: near 1.0 means that it does not grow. `naive` is a
list that is walked, as OpenSSL's own, for comparison.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable

from _measure import Loop, fresh, in_turns
from _program import parser_of, rounds_option, run
from _results import Results, ratio_of

import pausable

SIZES = (1, 10, 100, 1000, 10_000)
NAIVE = "naive get_fd"
GOAL = "<= 1.5"


def filled(size: int) -> pausable.Job:
    """Return a paused job whose context holds `size` descriptors and no changes."""

    def body():
        ctx = pausable.current_job().wait_ctx
        for key in range(size):
            ctx.set_wait_fd(key, key)
        while True:
            pausable.pause()

    job = pausable.start(body)
    job.resume()
    return job


def operations(job: pausable.Job, size: int) -> dict[str, Loop]:
    ctx = job.wait_ctx
    oldest = 0
    entries = [[key, key, False, False] for key in range(size)]

    def set_and_clear(count):
        for _ in range(count):
            ctx.set_wait_fd("new", 5)
            ctx.clear_fd("new")

    def get_oldest(count):
        for _ in range(count):
            ctx.get_fd(oldest)

    def changed(count):
        for _ in range(count):
            ctx.changed_fds()

    def resume_with_a_change(count):
        for _ in range(count):
            ctx.set_wait_fd("new", 5)
            job.resume()
            ctx.clear_fd("new")
            job.resume()

    def naive_get_oldest(count):
        for _ in range(count):
            for key, fd, _added, deleted in reversed(entries):
                if key == oldest and not deleted:
                    fd.bit_length()
                    break

    loops: dict[str, Callable] = {
        "set_wait_fd + clear_fd": set_and_clear,
        "get_fd": get_oldest,
        "changed_fds": changed,
        "set, resume, clear, resume": resume_with_a_change,
        NAIVE: naive_get_oldest,
    }
    return {what: fresh(loop) for what, loop in loops.items()}


def descriptors(options: argparse.Namespace, results: Results) -> None:
    table = results.table(
        "a wait context",
        ratio="the cost with that many descriptors / with one",
        worse="higher",
        plot="lines",
        axis="descriptors in the context",
    )
    jobs = {size: filled(size) for size in SIZES}
    loops = {size: operations(job, size) for size, job in jobs.items()}
    times = in_turns(
        {(what, s): loops[s][what] for what in loops[1] for s in SIZES}, options.rounds
    )
    for (what, size), figures in times.items():
        goal = GOAL if what != NAIVE and size != 1 else None
        table.add(what, f"{size:,}", figures, ratio_of(figures, times[what, 1]), goal)
    for job in jobs.values():
        job.close()


def main() -> int:
    parser = parser_of(__doc__)
    rounds_option(parser, 30, 10)
    return run("wait_context", parser, {"descriptors": descriptors})


if __name__ == "__main__":
    sys.exit(main())
