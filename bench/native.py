"""What the native core costs, next to greenlet, OpenSSL's own jobs and a generator, in one run.

    python bench/native.py [--json FILE] [--rounds N]

Every kind is measured in processes of its own (greenlet and native stacks do not share one), which
take turns, and the best of all counts. Ratios are to a raw greenlet's pair of switches and to
OpenSSL's C. (`cc` and OpenSSL's headers are needed for the latter.)
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

STEPS = ("start+finish", "full cycle", "pair")

#: (what, reference, at most): the limits of the project's issue for the native core.
GOALS = (
    ("pair", "greenlet", 0.20),
    ("start+finish", "greenlet", 0.30),
    ("full cycle", "greenlet", 0.45),
    ("pair", "libcrypto", 0.8),
    ("start+finish", "libcrypto", 1.2),
    ("full cycle", "libcrypto", 0.9),
)

C_PROGRAM = r"""
#include <openssl/async.h>
#include <stdio.h>
#include <time.h>
static double now(void) { struct timespec t; clock_gettime(CLOCK_MONOTONIC, &t);
                          return t.tv_sec * 1e9 + t.tv_nsec; }
static int nothing(void *a) { (void)a; return 1; }
static int once(void *a) { (void)a; ASYNC_pause_job(); return 1; }
static int for_ever(void *a) { (void)a; for (;;) ASYNC_pause_job(); return 1; }
int main(void) {
    ASYNC_WAIT_CTX *ctx = ASYNC_WAIT_CTX_new();
    double best[3] = {1e9, 1e9, 1e9};
    enum { COUNT = 20000 };
    ASYNC_JOB *paused = NULL; int ret;
    ASYNC_start_job(&paused, ctx, &ret, for_ever, NULL, 0);
    for (int round = 0; round < 40; round++) {
        double begin = now();
        for (int i = 0; i < COUNT; i++) { ASYNC_JOB *job = NULL;
            ASYNC_start_job(&job, ctx, &ret, nothing, NULL, 0); }
        double first = (now() - begin) / COUNT; begin = now();
        for (int i = 0; i < COUNT; i++) { ASYNC_JOB *job = NULL;
            ASYNC_start_job(&job, ctx, &ret, once, NULL, 0);
            ASYNC_start_job(&job, ctx, &ret, once, NULL, 0); }
        double second = (now() - begin) / COUNT; begin = now();
        for (int i = 0; i < COUNT; i++) ASYNC_start_job(&paused, ctx, &ret, for_ever, NULL, 0);
        double third = (now() - begin) / COUNT;
        if (first < best[0]) best[0] = first;
        if (second < best[1]) best[1] = second;
        if (third < best[2]) best[2] = third;
    }
    printf("{\"start+finish\": %f, \"full cycle\": %f, \"pair\": %f}\n", best[0], best[1], best[2]);
}
"""


def best_of(loops: dict[str, Callable[[int], None]], count: int = 2000) -> dict[str, float]:
    """Return nanoseconds for each loop, the best of some short repetitions."""
    best = dict.fromkeys(loops, float("inf"))
    for _ in range(30):
        for what, loop in loops.items():
            begin = time.perf_counter_ns()
            loop(count)
            best[what] = min(best[what], (time.perf_counter_ns() - begin) / count)
    return best


def below(levels: int, innermost: Callable[[], object]) -> object:
    """Call something so many Python frames further down."""
    return below(levels - 1, innermost) if levels else innermost()


def ours() -> dict[str, float]:
    """Measure jobs, of the backend that the environment names."""
    import pausable
    from pausable import pause, start

    if "greenlet" in sys.modules and os.environ["PAUSABLE_BACKEND"] == "native":
        raise RuntimeError("greenlet is here, and native jobs look out for it")

    def nothing():
        return 1

    def once():
        pause()
        return 1

    def for_ever():
        while True:
            pause()

    def for_ever_deep():
        while True:
            pause()

    job, deep = start(for_ever), start(below, 100, for_ever_deep)

    def start_finish(count):
        for _ in range(count):
            start(nothing)

    def full(count):
        for _ in range(count):
            start(once).resume()

    def pair(count):
        for _ in range(count):
            job.resume()

    def pair_deep(count):
        for _ in range(count):
            deep.resume()

    figures = best_of({
        "start+finish": start_finish, "full cycle": full, "pair": pair, "pair, 100 deep": pair_deep,
    })  # fmt: skip
    begin = time.perf_counter_ns()
    pausable.thread_pool().reserve(2000)
    figures["new stack"] = (time.perf_counter_ns() - begin) / 2000
    return figures


def raw_greenlet() -> dict[str, float]:
    """Measure pooled greenlets that do the same, without state, context or error handling."""
    from greenlet import getcurrent, greenlet

    main = getcurrent()

    def worker(fn):
        while True:
            fn = main.switch(fn())

    def nothing():
        return 1

    def once():
        main.switch()
        return 1

    def for_ever():
        while True:
            main.switch()

    def for_ever_deep():
        while True:
            main.switch()

    idle = [greenlet(worker)]
    idle[0].switch(nothing)
    paused, deep = greenlet(worker), greenlet(worker)
    paused.switch(for_ever)
    deep.switch(lambda: below(100, for_ever_deep))

    def start_finish(count):
        for _ in range(count):
            g = idle.pop()
            g.switch(nothing)
            idle.append(g)

    def full(count):
        for _ in range(count):
            g = idle.pop()
            g.switch(once)
            g.switch()
            idle.append(g)

    def pair(count):
        for _ in range(count):
            paused.switch()

    def pair_deep(count):
        for _ in range(count):
            deep.switch()

    return best_of({
        "start+finish": start_finish, "full cycle": full, "pair": pair, "pair, 100 deep": pair_deep,
    })  # fmt: skip


def generator() -> dict[str, float]:
    """Measure a generator's next."""

    def for_ever():
        while True:
            yield

    paused = for_ever()

    def pair(count):
        for _ in range(count):
            next(paused)

    return best_of({"pair": pair})


def memory(count: int) -> dict[str, float]:
    """Return KiB of resident memory for each of `count` paused jobs."""
    from pausable import pause, start

    def pausing(number):
        pause()
        return number

    def resident_kib() -> float:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") / 1024

    jobs: list[object] = [None] * count
    held = [start(pausing, number) for number in range(100)]
    before = resident_kib()
    for number in range(count):
        jobs[number] = start(pausing, number)
    used = (resident_kib() - before) / count
    for job in [*held, *jobs]:
        job.resume()
    return {"KiB": used}


def awaited() -> dict[str, float]:
    """Return nanoseconds for a task's await of a job, and of a coroutine, that wait once."""
    import asyncio

    import pausable

    async def main() -> dict[str, float]:
        loop = asyncio.get_running_loop()

        def soon() -> asyncio.Future[None]:
            future = loop.create_future()
            loop.call_soon(future.set_result, None)
            return future

        def job():
            pausable.wait_for(soon())

        async def coroutine():
            await soon()

        best = {"run": float("inf"), "coroutine": float("inf")}
        for _ in range(30):
            begin = time.perf_counter_ns()
            for _ in range(500):
                await pausable.run(job)
            middle = time.perf_counter_ns()
            for _ in range(500):
                await coroutine()
            end = time.perf_counter_ns()
            best["run"] = min(best["run"], (middle - begin) / 500)
            best["coroutine"] = min(best["coroutine"], (end - middle) / 500)
        return best

    return asyncio.run(main())


def endurance(count: int) -> dict[str, float]:
    """Return millions of jobs per second at the beginning and at the end of `count` jobs."""
    from pausable import start

    def nothing():
        return 1

    def chunk(jobs: int) -> float:
        begin = time.perf_counter()
        for _ in range(jobs):
            start(nothing)
        return jobs / (time.perf_counter() - begin) / 1e6

    first = max(chunk(100_000) for _ in range(5))
    chunk(count)
    return {"first": first, "last": max(chunk(100_000) for _ in range(5))}


def in_process(kind: str, backend: str = "native", *args: str) -> dict[str, float]:
    done = subprocess.run(
        [sys.executable, __file__, "--kind", kind, *args],
        env={**os.environ, "PAUSABLE_BACKEND": backend},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        sys.exit(f"{kind} on {backend}: {done.stderr}")
    return dict(json.loads(done.stdout))


def libcrypto(folder: str) -> Path | None:
    """Compile the program in C, if that can be done here."""
    program, source = Path(folder, "jobs"), Path(folder, "jobs.c")
    source.write_text(C_PROGRAM)
    if shutil.which("cc") is None:
        return None
    command = ["cc", "-O2", str(source), "-o", str(program), "-lcrypto"]
    return None if subprocess.run(command, check=False).returncode else program


KINDS = {"ours": ours, "greenlet": raw_greenlet, "generator": generator, "awaited": awaited}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5, help="processes of each kind (default: 5)")
    parser.add_argument("--json", type=Path, help="write the results to a file as well")
    parser.add_argument("--kind", help=argparse.SUPPRESS)
    parser.add_argument("--count", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.kind:
        if options.kind == "memory":
            print(json.dumps(memory(options.count)))
        elif options.kind == "endurance":
            print(json.dumps(endurance(options.count)))
        else:
            print(json.dumps(KINDS[options.kind]()))
        return

    best: dict[str, dict[str, float]] = {}

    def note(who: str, figures: dict[str, float]) -> None:
        known = best.setdefault(who, figures)
        for what, figure in figures.items():
            known[what] = min(known[what], figure)

    with tempfile.TemporaryDirectory() as folder:
        program = libcrypto(folder)
        for _ in range(options.rounds):
            note("native", in_process("ours"))
            note("greenlet", in_process("greenlet"))
            note("generator", in_process("generator"))
            if program is not None:
                note("libcrypto", json.loads(subprocess.check_output([program], text=True)))
        note("jobs on greenlet", in_process("ours", "greenlet"))
    print(f"CPython {platform.python_version()}, {os.cpu_count()} cores; nanoseconds\n")
    columns = [*STEPS, "pair, 100 deep", "new stack"]
    print(f"{'':18}" + "".join(f"{what:>16}" for what in columns))
    for who, figures in best.items():
        cells = [f"{figures[what]:16.0f}" if what in figures else f"{'':16}" for what in columns]
        print(f"{who:18}" + "".join(cells))
    print()
    raw = best["greenlet"]["pair"]
    for what, to, goal in GOALS:
        if to in best:
            of = raw if to == "greenlet" else best[to][what]
            name = "a greenlet's pair" if to == "greenlet" else "libcrypto's"
            ratio = best["native"][what] / of
            print(f"{what:14} {ratio:5.2f} of {name:18} goal {goal}")
    deep = best["native"]["pair, 100 deep"] / best["native"]["pair"]
    print(f"{'100 deep':14} {deep:5.2f} of the pair at 0 deep    goal 1.1")
    for count in (10_000, 100_000):
        kib = in_process("memory", "native", "--count", str(count))["KiB"]
        print(f"{'memory':14} {kib:5.2f} KiB for each of {count:,} paused jobs   goal 4.5")
    task = {backend: in_process("awaited", backend) for backend in ("native", "greenlet")}
    for backend, figures in task.items():
        ratio = figures["run"] / figures["coroutine"]
        print(f"{'await run':14} {ratio:5.2f} of a coroutine, on {backend}   goal 1.3")
    rates = in_process("endurance", "native", "--count", "10000000")
    print(
        f"{'10 million':14} {rates['first']:5.2f} million jobs/s before, {rates['last']:.2f} after"
    )
    if options.json:
        options.json.write_text(json.dumps(best, indent=2))


if __name__ == "__main__":
    main()
