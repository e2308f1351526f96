"""run_blocking: one job, and a thread that waits for it."""

from __future__ import annotations

import asyncio
import concurrent.futures
import threading
from pathlib import Path

import pytest

import pausable
from core._support import in_thread, one_pipe_after_another, pauses
from loops._kinds import after

FDS = Path("/proc/self/fd")


def test_it_returns_what_the_call_returns():
    assert pausable.run_blocking(pauses, 3, value=5) == 5
    assert pausable.run_blocking(len, "four") == 4


def test_it_raises_what_the_call_raises():
    def body():
        pausable.pause()
        raise OSError("x")

    with pytest.raises(OSError, match="x"):
        pausable.run_blocking(body)


def test_descriptors_wakers_and_executors_are_served():
    def body():
        one_pipe_after_another(2)
        with concurrent.futures.ThreadPoolExecutor(1) as executor:
            value = pausable.wait_for(executor.submit(int, "5"))
        with pausable.current_job().wait_ctx.waker() as waker:
            in_thread(waker.wake)
            while not waker.is_set():
                pausable.pause()
        return value

    assert pausable.run_blocking(body) == 5


@pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit])
def test_ctrl_c_in_the_job_ends_it(kind):
    def body():
        pausable.pause()
        raise kind

    with pytest.raises(kind):
        pausable.run_blocking(body)


def test_a_job_cancelled_by_another_thread():
    started, jobs = threading.Event(), []

    def body():
        jobs.append(pausable.current_job())
        with pausable.current_job().wait_ctx.waker():
            started.set()
            while True:
                pausable.pause()

    canceller = after(started, lambda: jobs[0].cancel("enough"))
    with pytest.raises(pausable.JobCancelled, match="enough"):
        pausable.run_blocking(body)
    canceller.join()


def test_a_full_pool_is_refused():
    pool = pausable.init_thread(max_size=1)
    with pool.start(pauses, 1), pytest.raises(pausable.NoJobsAvailable):
        pausable.run_blocking(pauses, 1)


def test_inside_a_job_and_inside_a_loop(run_anywhere):
    def body():
        return pausable.run_blocking(pauses, 2, "inner")

    assert pausable.run_blocking(body) == "inner"
    assert run_anywhere(pausable.run(body)) == "inner"


def test_bad_functions_are_refused():
    async def coroutine_function():
        """Nothing to pause."""

    with pytest.raises(TypeError, match="is a coroutine function"):
        pausable.run_blocking(coroutine_function)
    with pytest.raises(TypeError, match="fn has to be callable"):
        pausable.run_blocking(3)


@pytest.mark.skipif(not FDS.is_dir(), reason="no /proc here")
def test_it_leaves_nothing_open():
    before = len(list(FDS.iterdir()))
    for _ in range(3):
        pausable.run_blocking(one_pipe_after_another, 1)
    assert len(list(FDS.iterdir())) == before


def test_a_future_of_the_loop_that_it_blocks_is_refused(run_loop):
    async def main():
        future = asyncio.get_running_loop().create_future()
        with pytest.raises(pausable.WouldDeadlock):
            pausable.run_blocking(pausable.wait_for, future)

    run_loop(main())
