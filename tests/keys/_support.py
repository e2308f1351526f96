"""A slow key, and 200 jobs that use it at once: how the tests of all libraries run them."""

from __future__ import annotations

import asyncio
import threading
import time
from concurrent.futures import Executor, ThreadPoolExecutor

import pausable
from pausable.keys import pausing

JOBS = 200
OPERATION_S = 0.02  # what a key in an HSM or at a key service takes


class SlowEngine(Executor):
    """Each operation takes 20 ms in a thread, once so many jobs are paused at once."""

    def __init__(self, jobs=JOBS):
        self.jobs = jobs
        self.paused = 0
        self.threads = ThreadPoolExecutor(jobs)
        self.all_paused = threading.Event()

    def submit(self, fn, /, *args, **kwargs):
        return self.threads.submit(self._operate, fn, args, kwargs)

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
        self.threads.shutdown()


def map_jobs(fn):
    with pausable.map(fn, range(JOBS), jobs=JOBS) as results:
        return list(results)


def asyncio_jobs(fn):
    async def main():
        return await asyncio.gather(*[pausable.run(fn, i) for i in range(JOBS)])

    return asyncio.run(main())


DRIVERS = {"map": map_jobs, "asyncio": asyncio_jobs}


def jobs_with_slow_key(local_key, make, driver="map"):
    """Return what make(key, i) returned in 200 jobs that were all paused at once, for each i."""
    with SlowEngine() as engine:
        key = pausing(local_key, engine)
        results = DRIVERS[driver](lambda i: make(key, i))
        assert engine.all_paused.is_set()
    return results
