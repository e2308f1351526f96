"""A slow key, and 200 jobs that use it at once: how the tests of all libraries run them."""

from __future__ import annotations

import asyncio
import threading
import time
from concurrent.futures import Executor, ThreadPoolExecutor

import trio

import pausable
from pausable.keys import pausing

JOBS = 200
OPERATION_S = 0.02  # what a key in an HSM or at a key service takes

THREADS = ThreadPoolExecutor(JOBS)  # of all engines: to make them takes longer than to sign


class SlowEngine(Executor):
    """Each operation takes 20 ms in a thread, once so many jobs are paused at once."""

    def __init__(self, jobs=JOBS):
        self.jobs = jobs
        self.paused = 0
        self.all_paused = threading.Event()

    def submit(self, fn, /, *args, **kwargs):
        return THREADS.submit(self._operate, fn, args, kwargs)

    def _operate(self, fn, args, kwargs):
        if not self.all_paused.wait(30):
            raise TimeoutError(f"only {self.paused} of {self.jobs} jobs have paused")
        time.sleep(OPERATION_S)
        return fn(*args, **kwargs)

    # hooks: called in the one thread that runs the jobs
    def on_pause(self, _job):
        self.paused += 1
        if self.paused == self.jobs:
            assert pausable.thread_pool().stats().running == 1  # this one is about to
            assert pausable.thread_pool().stats().paused == self.jobs - 1
            self.all_paused.set()

    def on_resume(self, _job):
        self.paused -= 1

    def __enter__(self):
        pausable.add_hooks(self)
        return self

    def __exit__(self, *_exc):
        pausable.remove_hooks(self)
        self.all_paused.set()


def map_jobs(fn, count):
    with pausable.map(fn, range(count), jobs=count) as results:
        return list(results)


def asyncio_jobs(fn, count):
    async def main():
        return await asyncio.gather(*[pausable.run(fn, i) for i in range(count)])

    return asyncio.run(main())


def trio_jobs(fn, count):
    results = [None] * count

    async def one(i):
        results[i] = await pausable.run(fn, i)

    async def main():
        async with trio.open_nursery() as nursery:
            for i in range(count):
                nursery.start_soon(one, i)

    trio.run(main)
    return results


DRIVERS = {"map": map_jobs, "asyncio": asyncio_jobs, "trio": trio_jobs}


def jobs_with_slow_key(local_key, make, driver="map", jobs=JOBS):
    """Return what make(key, i) returned in 200 jobs that were all paused at once, for each i."""
    with SlowEngine(jobs) as engine:
        key = pausing(local_key, engine)
        results = DRIVERS[driver](lambda i: make(key, i), jobs)
        assert engine.all_paused.is_set()
    return results
