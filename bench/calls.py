"""What each call costs that code makes all the time, native next to greenlet, in one run.

    python bench/calls.py [--starting] [--asking] [--blocking] [--before SRC]
                          [--rounds N] [--quick] [--json FILE]

Each backend has a process of its own, and they take turns. A ratio is native's cost divided by the
other's, so less than 1 is in its favour. `--before` names the src folder of another checkout (with
its native core compiled), whose native jobs take their turns too.
"""

from __future__ import annotations

import argparse
import sys
import threading
from pathlib import Path

from _asked import elsewhere
from _measure import Absent, Loop, in_turns
from _program import Part, parser_of, rounds_option, run
from _results import Results, ratio_of

NATIVE, GREENLET, BEFORE = "native", "greenlet", "before"
NUMBER = 1000  # of operations in a repetition: some are done by the hundred


def starting() -> dict[str, Loop]:
    from pausable import JobPool, WaitContext, current_job, pause, start

    pool, ctx = JobPool(), WaitContext()

    def nothing():
        return 1

    def once():
        pause()

    def in_own_context():
        current_job().wait_ctx  # noqa: B018  # made on first use
        pause()

    def starts(count):
        for _ in range(count):
            start(nothing)

    def pool_starts(count):
        for _ in range(count):
            pool.start(nothing)

    def pauses(count):
        for _ in range(count):
            pool.start(once).resume()

    def pauses_in_context(count):
        for _ in range(count):
            pool.start_in(ctx, once).resume()

    def pauses_in_own_context(count):
        for _ in range(count):
            pool.start(in_own_context).resume()

    def scopes(count):
        for _ in range(count):
            with start(nothing):
                pass

    def raises(count):
        for _ in range(count):
            start(int, "x").exception()

    def cancels(count):
        for _ in range(count):
            start(once).cancel()

    return {
        "start()": starts,
        "pool.start()": pool_starts,
        "pool.start(), one pause": pauses,
        "pool.start_in(), one pause": pauses_in_context,
        "the same with job.wait_ctx": pauses_in_own_context,
        "with start()": scopes,
        "start(), it raises": raises,
        "start(), cancel()": cancels,
    }


def asking() -> dict[str, Loop]:
    from pausable import start

    ended, failed = start(int), start(int, "x")

    def result(count):
        for _ in range(count):
            ended.result()

    def states(count):
        for _ in range(count):
            ended.done()
            ended.paused  # noqa: B018  # a property

    def failure(count):
        for _ in range(count):
            try:
                failed.result()
            except ValueError:
                pass

    return {"result()": result, "result(), it raises": failure, "done(), paused": states}


def blocking() -> dict[str, Loop]:
    from pausable import guarded, openssl, pause, pause_blocked, start

    lock = threading.Lock()

    def outside(count):
        for _ in range(count):
            pause()

    def hundred_blocks():
        for _ in range(100):
            with pause_blocked():
                pass

    def hundred_guards():
        for _ in range(100):
            with guarded(lock):
                pass

    def hundred_of_openssl():
        for _ in range(100):
            openssl.ASYNC_block_pause()
            openssl.ASYNC_unblock_pause()

    def in_jobs(hundred):
        def loop(count):
            for _ in range(max(1, count // 100)):
                start(hundred)

        return loop

    return {
        "pause() outside of jobs": outside,
        "with pause_blocked()": in_jobs(hundred_blocks),
        "with guarded(lock)": in_jobs(hundred_guards),
        "ASYNC_block_pause, unblock": in_jobs(hundred_of_openssl),
    }


PEERS = {"starting": starting, "asking": asking, "blocking": blocking}


def part_of(kind: str) -> Part:
    def part(options: argparse.Namespace, results: Results) -> None:
        variants = {NATIVE: (NATIVE, {}), GREENLET: (GREENLET, {})}
        if options.before is not None:
            variants[BEFORE] = (NATIVE, {"PYTHONPATH": str(options.before.resolve())})
        made = {}
        for what, (backend, environment) in variants.items():
            try:
                made[what] = elsewhere("calls", kind, backend, **environment)
            except Absent as exc:
                results.absent[f"{what}, {kind}"] = str(exc)
        loops = {(what, who): loop for what in made for who, loop in made[what].items()}
        times = in_turns(loops, options.rounds, NUMBER)
        table = results.table(kind, ratio="native's cost / its", worse="higher", plot=None)
        for (what, who), figures in times.items():
            native = times.get((NATIVE, who))
            table.add(who, what, figures, ratio_of(native, figures) if native else None)

    return part


def main() -> int:
    parts = {kind: part_of(kind) for kind in PEERS}
    parser = parser_of(__doc__, parts)
    rounds_option(parser, 100, 10)
    parser.add_argument("--before", type=Path, metavar="SRC", help="the src of another checkout")
    return run("calls", parser, parts)


if __name__ == "__main__":
    sys.exit(main())
