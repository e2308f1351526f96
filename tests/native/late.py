"""Random jobs in several threads, while one of them imports greenlet; every job has to be unwound.

    python tests/native/late.py [--programs N] [--seed N]

Each program is a process of its own, on the backend `auto`. Jobs pause, start and resume others,
block pausing, use greenlets of their own; threads start, resume, cancel, close, drop and look at
jobs in three pools each, give fibres back and reserve some. The n-th step of all imports greenlet.
In the end each job's `finally` has to have run once, nothing may be logged, and only jobs may have
refused what they were told to do (the one resumes itself, or one of the other kind). The seed
repeats the choices, not the timing of the threads.
"""

from __future__ import annotations

import argparse
import faulthandler
import gc
import itertools
import logging
import os
import random
import subprocess
import sys
import threading
import traceback
import warnings

import pausable

HANG_S = 90.0  # a program takes 0.1 s; a busy machine's a few seconds


class World:
    """What the threads share."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.jobs = itertools.count()
        self.alive: set[int] = set()
        self.wrong: list[str] = []
        self.steps = itertools.count()
        self.imports_at = random.Random(seed).randrange(5, 200)

    def step(self) -> None:
        """Be one of the steps that are counted."""
        if next(self.steps) == self.imports_at:
            import greenlet  # noqa: F401


class Worker:
    """What one thread has."""

    def __init__(self, world: World, number: int) -> None:
        self.world = world
        self.random = random.Random(world.seed * 100 + number)
        self.pools = [pausable.thread_pool(), pausable.JobPool(max_size=4), pausable.JobPool()]
        self.jobs: list[pausable.Job] = []

    def start(self, depth: int, most: int) -> None:
        try:
            pool = self.random.choice(self.pools)
            self.jobs.append(pool.start(self.body, depth, self.random.randrange(most)))
        except pausable.NoJobsAvailable:
            pass

    def body(self, depth: int, acts: int) -> None:
        me = next(self.world.jobs)
        self.world.alive.add(me)
        try:
            for _ in range(acts):
                self.act(depth)
        finally:
            self.world.alive.remove(me)

    def act(self, depth: int) -> None:
        """Do one thing inside of a job."""
        choice = self.random.random()
        if choice < 0.5:
            pausable.pause()
        elif choice < 0.6 and depth < 3:
            self.start(depth + 1, 4)
        elif choice < 0.75 and self.jobs:
            self.treat(inside=True)
        elif choice < 0.8:
            gc.collect(0)
        elif choice < 0.85:
            with pausable.pause_blocked():
                assert pausable.pause() is False
        elif choice < 0.95:
            sorted([2, 1], key=lambda item: (pausable.pause(), item)[1])
        else:
            self.use_a_greenlet()

    def use_a_greenlet(self) -> None:
        known = sys.modules.get("greenlet")
        if known is None or not hasattr(known, "getcurrent"):
            return
        # Elsewhere the addresses of stacks are in any order: see backends.md, "Beside greenlet".
        in_main = threading.current_thread() is threading.main_thread()
        if in_main or known.getcurrent().parent is None:
            assert known.greenlet(lambda: 5).switch() == 5

    def treat(self, *, inside: bool) -> None:
        """Do something with one of the jobs."""
        job, choice = self.random.choice(self.jobs), self.random.random()
        try:
            if choice < 0.7:
                job.resume()
            elif choice < 0.8:
                job.cancel()
            elif choice < 0.87:
                job.close()
            elif choice < 0.93:
                self.jobs = [other for other in self.jobs if other is not job]
            else:
                assert job.done() or repr(job) + str(job.stack())
        except pausable.JobStateError as exc:
            if not inside and not job.done():
                self.world.wrong.append(f"{type(exc).__name__}: {exc}")

    def run(self) -> None:
        try:
            for _ in range(self.random.randrange(50, 250)):
                self.world.step()
                choice = self.random.random()
                if choice < 0.4 or not self.jobs:
                    self.start(0, 8)
                elif choice < 0.9:
                    self.treat(inside=False)
                elif choice < 0.93:
                    self.random.choice(self.pools).shrink(self.random.randrange(3))
                elif choice < 0.96:
                    self.random.choice(self.pools).reserve(self.random.randrange(5))
                elif choice < 0.97:
                    gc.collect()
                self.jobs = [job for job in self.jobs if not job.done()]
            for pool in self.pools[1:]:
                pool.close(cancel=True)
            pausable.cleanup_thread(cancel=True)
        except BaseException as exc:
            self.world.wrong.append("".join(traceback.format_exception(exc)))


def run(seed: int) -> list[str]:
    """Run one program in this process; return what went wrong."""
    faulthandler.dump_traceback_later(HANG_S, exit=True)
    faulthandler.enable()
    warnings.simplefilter("ignore")
    world = World(seed)
    logged = logging.Handler()
    logged.emit = lambda record: world.wrong.append(record.getMessage())
    logging.getLogger("pausable").addHandler(logged)

    def work(number: int) -> None:  # made in its own thread, as its pools are
        Worker(world, number).run()

    threads = [
        threading.Thread(target=work, args=(number,))
        for number in range(1, random.Random(seed).randrange(2, 5))
    ]
    for thread in threads:
        thread.start()
    work(0)
    for thread in threads:
        thread.join()
    if world.alive:
        world.wrong.append(f"{len(world.alive)} jobs were never unwound")
    return world.wrong


def run_programs(seeds: range) -> list[str]:
    """Run each in a process of its own; return what went wrong."""
    wrong = []
    for seed in seeds:
        done = subprocess.run(
            [sys.executable, __file__, "--one", str(seed)],
            env={**os.environ, "PAUSABLE_BACKEND": "auto"},
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode != 0:
            wrong.append(f"seed {seed}: status {done.returncode}\n{done.stdout}{done.stderr}")
    return wrong


def main() -> None:
    """Be the command."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--programs", type=int, default=300, help="how many (default: 300)")
    parser.add_argument("--seed", type=int, default=0, help="the first one's (default: 0)")
    parser.add_argument("--one", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one is not None:
        sys.exit("\n".join(run(options.one)) or 0)
    wrong = run_programs(range(options.seed, options.seed + options.programs))
    print(*wrong, f"{options.programs} programs, {len(wrong)} went wrong", sep="\n")
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
