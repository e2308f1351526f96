"""What each call costs that code makes all the time, native next to greenlet, in one run.

    python bench/calls.py [--rounds N] [--quick] [--json FILE] [--before SRC]

Every variant is measured in processes of its own, which take turns, and the best of all counts.
`--before` names the src folder of another checkout (with its native core compiled): its figures
are printed too, and what has become of them.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading

from _measure import Loop, in_turns
from _program import parser_of, rounds_option


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


def measured(backend: str, sources: str | None, rounds: int) -> dict[str, float]:
    """Return the best figures of one process."""
    paths = [*([sources] if sources else []), os.environ.get("PYTHONPATH", "")]
    done = subprocess.run(
        [sys.executable, __file__, "--measure", "--rounds", str(rounds)],
        env={
            **os.environ,
            "PAUSABLE_BACKEND": backend,
            "PYTHONPATH": os.pathsep.join(filter(None, paths)),
        },
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        sys.exit(f"{backend}: {done.stderr}")
    return dict(json.loads(done.stdout))


def main() -> None:
    parser = parser_of(__doc__)
    rounds_option(parser, default=5, quick=2)
    parser.add_argument("--before", metavar="SRC", help="the src folder of another checkout")
    parser.add_argument("--measure", action="store_true", help="be one of the processes")
    options = parser.parse_args()
    rounds = options.rounds or options.usual_rounds[options.quick]
    if options.measure:
        times = in_turns({**starting(), **asking(), **blocking()}, 10, number=1000)
        print(json.dumps({what: min(each) for what, each in times.items()}))
        return
    variants = {"native": ("native", None), "greenlet": ("greenlet", None)}
    if options.before:
        variants["before"] = ("native", options.before)
    best: dict[str, dict[str, float]] = {}
    for _ in range(rounds):
        for name, (backend, sources) in variants.items():
            for what, ns in measured(backend, sources, rounds).items():
                known = best.setdefault(what, {})
                known[name] = min(known.get(name, ns), ns)
    print(f"CPython {sys.version.split()[0]}; ns, and ratios in one run\n")
    print(f"{'':28}{'native':>8}{'greenlet':>10}{'ratio':>7}", end="")
    print(f"{'before':>9}{'ratio':>7}" if options.before else "")
    for what, ns in best.items():
        of_greenlet = ns["native"] / ns["greenlet"]
        print(f"{what:28}{ns['native']:8.0f}{ns['greenlet']:10.0f}{of_greenlet:7.2f}", end="")
        if options.before:
            print(f"{ns['before']:9.0f}{ns['native'] / ns['before']:7.2f}", end="")
        print()
    if options.json:
        options.json.write_text(json.dumps(best, indent=2))


if __name__ == "__main__":
    main()
