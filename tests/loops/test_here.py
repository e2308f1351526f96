"""Which loop a job is driven by, where two of them run in one thread.

Not trio in uvloop: in the main thread, trio itself refuses a loop that watches signals.
"""

from __future__ import annotations

import asyncio

import trio

import pausable
from core._support import pauses


def kind():
    """Tell which loop drives this job."""
    driver = pausable.current_job()._fibre.driver
    pausable.pause()
    return type(driver).__module__.rpartition("_")[2]


async def in_asyncio():
    await asyncio.sleep(0)
    return await pausable.run(kind)


async def in_trio():
    await trio.lowlevel.checkpoint()
    return await pausable.run(kind)


def test_asyncio_run_by_a_job_of_a_trio_task():
    def body():
        before = pausable.wait_for(in_trio())
        return [before, asyncio.run(in_asyncio()), pausable.wait_for(in_trio())]

    assert trio.run(pausable.run, body) == ["trio", "asyncio", "trio"]


def test_trio_run_by_a_job_of_an_asyncio_task():
    def body():
        before = pausable.wait_for(in_asyncio())
        return [before, trio.run(in_trio), pausable.wait_for(in_asyncio())]

    assert asyncio.run(pausable.run(body)) == ["asyncio", "trio", "asyncio"]


def test_asyncio_run_by_a_trio_task_itself():
    async def main():
        return [asyncio.run(in_asyncio()), await in_trio()]

    assert trio.run(main) == ["asyncio", "trio"]


def test_trio_run_by_an_asyncio_task_itself():
    async def main():
        return [trio.run(in_trio), await in_asyncio()]

    assert asyncio.run(main()) == ["trio", "asyncio"]


def test_three_deep():
    def innermost():
        return [asyncio.run(in_asyncio()), pausable.wait_for(in_trio())]

    async def middle():
        return [*await pausable.run(innermost), await in_trio()]

    def body():
        return [*trio.run(middle), pausable.wait_for(in_asyncio())]

    assert asyncio.run(pausable.run(body)) == ["asyncio", "trio", "trio", "asyncio"]


def test_trio_that_was_imported_and_does_not_run_is_out_of_the_way(run_loop):
    assert run_loop(in_asyncio()) == "asyncio"
    assert trio.run(in_trio) == "trio"


def test_jobs_of_both_loops_one_thread_one_pool():
    def body(n):
        return pauses(1, n) + trio.run(pausable.run, pauses, 2, n)

    async def main():
        return await asyncio.gather(*[pausable.run(body, n) for n in range(10)])

    assert asyncio.run(main()) == [2 * n for n in range(10)]
