"""Jobs whose code runs an event loop of its own."""

from __future__ import annotations

import asyncio
import signal
import sys

import pytest

import pausable
from core._support import finish, pauses
from loops._kinds import ASYNCIO, gather, needs_3_11, run_in, tick, until_paused

pytestmark = [pytest.mark.hazard("H10"), pytest.mark.hazard("C10")]

try:
    import uvloop
except ImportError:
    uvloop = None


async def inner(n=0):
    loop, task = asyncio.get_running_loop(), asyncio.current_task()
    for _ in range(3):
        pausable.pause()
        assert asyncio.get_running_loop() is loop
        assert asyncio.current_task() is task
        await asyncio.sleep(0)
    return n


def by_run(coroutine):
    return asyncio.run(coroutine)


def by_runner(coroutine):
    with asyncio.Runner() as runner:
        return runner.run(coroutine)


def by_loop(coroutine):
    return run_in(asyncio.new_event_loop, coroutine)


def by_uvloop_run(coroutine):
    return uvloop.run(coroutine)


WAYS = [by_run, pytest.param(by_runner, marks=needs_3_11), by_loop]
if uvloop is not None:
    WAYS.append(by_uvloop_run)


@pytest.fixture(params=WAYS)
def way(request):
    """Run a coroutine in a loop of one's own, in each way."""
    return request.param


def test_in_jobs_of_tasks(run_anywhere, way):
    def body(n):
        result = way(inner(n))
        pausable.pause()
        return result, way(inner(n))

    async def main():
        return await gather(*[pausable.run(body, n) for n in range(20)])

    assert run_anywhere(main()) == [(n, n) for n in range(20)]


def test_in_jobs_of_map(way):
    assert list(pausable.map(lambda n: way(inner(n)), range(20))) == list(range(20))


def test_in_a_job_that_is_resumed_by_hand(way):
    jobs = [pausable.start(lambda n=n: way(inner(n))) for n in range(5)]
    assert [finish(job) for job in jobs] == list(range(5))


def test_in_a_job_that_a_task_starts_by_hand(run_loop, way):
    async def main():
        task = asyncio.current_task()
        job = pausable.start(lambda: way(inner(5)))
        while not job.done():
            await asyncio.sleep(0)
            assert asyncio.current_task() is task
            job.resume()
        return job.result()

    assert run_loop(main()) == 5


def surroundings():
    loop = asyncio._get_running_loop()
    task = asyncio.current_task() if loop is not None else None
    return loop, task, sys.get_asyncgen_hooks(), signal.getsignal(signal.SIGINT)


def test_whoever_goes_on_meanwhile_finds_its_own_surroundings(run_loop, way):
    async def main():
        before = surroundings()
        task = asyncio.ensure_future(pausable.run(lambda: way(inner())))
        seen = 0
        while not task.done():
            assert surroundings() == before
            seen += 1
            await asyncio.sleep(0)
        await task
        return seen

    assert run_loop(main()) > 3


def test_whoever_starts_and_resumes_finds_no_loop(way):
    before = surroundings()
    assert before[:2] == (None, None)
    job = pausable.start(lambda: way(inner()))
    while not job.done():
        assert surroundings() == before
        job.resume()
    assert surroundings() == before
    assert asyncio.run(inner(7)) == 7


def test_a_plain_script_that_runs_a_loop_while_a_job_is_paused_in_its_own(way):
    job = pausable.start(lambda: way(inner(1)))
    assert way(inner(2)) == 2
    assert finish(job) == 1


def test_the_job_finds_its_task_again_when_its_own_loop_has_ended(run_loop):
    def body():
        before = surroundings()
        asyncio.run(inner())
        assert surroundings() == before
        pausable.pause()
        assert surroundings() == before
        return pausable.wait_for(asyncio.sleep(0, "awaited by the task"))

    assert run_loop(pausable.run(body)) == "awaited by the task"


def test_the_job_finds_its_task_again_although_its_own_loop_failed(run_loop, way):
    async def fails():
        pausable.pause()
        raise OSError("x")

    def body():
        with pytest.raises(OSError, match="x"):
            way(fails())
        pausable.pause()
        return asyncio.current_task()

    async def main():
        assert await pausable.run(body) is asyncio.current_task()

    run_loop(main())


def test_a_second_run_inside_the_first_is_refused_as_ever(run_loop):
    async def nested():
        coroutine = inner()
        try:
            with pytest.raises(RuntimeError, match="cannot be called from a running event loop"):
                asyncio.run(coroutine)
        finally:
            coroutine.close()
        return "refused"

    assert run_loop(pausable.run(lambda: asyncio.run(nested()))) == "refused"


@pytest.mark.parametrize("run_it", ASYNCIO)
def test_code_outside_jobs_is_refused_as_ever(run_it):
    async def main():
        await pausable.run(lambda: asyncio.run(inner()))
        coroutine = inner()
        with pytest.raises(RuntimeError, match="cannot be called from a running event loop"):
            asyncio.run(coroutine)
        coroutine.close()
        assert asyncio.events._get_running_loop() is asyncio.get_running_loop()

    run_it(main())
    assert asyncio.events._get_running_loop() is None


def test_a_job_that_only_asks_keeps_its_loop(run_loop):
    def body():
        loop = asyncio.get_running_loop()
        lock, queue = asyncio.Lock(), asyncio.Queue()
        queue.put_nowait(1)
        assert pausable.wait_for(lock.acquire()) is True
        assert pausable.wait_for(queue.get()) == 1
        return asyncio.get_running_loop() is loop

    assert run_loop(pausable.run(body)) is True


def test_run_in_the_jobs_own_loop(run_loop, way):
    async def middle(depth):
        return await gather(*[pausable.run(outer, depth - 1) for _ in range(2)])

    def outer(depth):
        pausable.pause()
        return way(middle(depth)) if depth else 1

    assert run_loop(pausable.run(outer, 2)) == [[1, 1], [1, 1]]


def test_wait_for_in_the_jobs_own_loop_refuses_what_it_would_stop(run_loop, way):
    async def stuck():
        future = asyncio.get_running_loop().create_future()
        for awaitable in (future, asyncio.sleep(0)):
            for timeout_s in (None, 1):
                with pytest.raises(pausable.WouldDeadlock):
                    pausable.wait_for(awaitable, timeout_s)
        return "refused"

    assert run_loop(pausable.run(lambda: way(stuck()))) == "refused"


def test_cancelled_while_it_is_paused_in_its_own_loop(run_loop, way):
    log = []

    async def for_ever():
        try:
            while True:
                pausable.pause()
                await asyncio.sleep(0)
        finally:
            pauses(2)
            await asyncio.sleep(0)
            log.append("unwound")

    async def work():
        await pausable.run(lambda: way(for_ever()))

    async def main():
        task = asyncio.ensure_future(work())
        await until_paused()
        [job] = pausable.thread_pool().jobs()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert job.done()
        await tick(3)

    run_loop(main())
    assert log == ["unwound"]


def test_cancelled_by_hand_while_it_is_paused_in_its_own_loop(run_anywhere, way):
    log = []

    async def for_ever():
        try:
            while True:
                pausable.pause()
                await asyncio.sleep(0)
        finally:
            log.append("unwound")

    async def work():
        with pytest.raises(pausable.JobCancelled):
            await pausable.run(lambda: way(for_ever()))

    async def cancel():
        await until_paused()
        [job] = pausable.thread_pool().jobs()
        job.cancel()

    async def main():
        await gather(work(), cancel())
        await tick(3)

    run_anywhere(main())
    assert log == ["unwound"]


def test_async_generators_of_both_loops_are_closed_by_their_own(run_loop, way):
    closed = []

    async def numbers(name):
        try:
            yield 1
            yield 2
        finally:
            closed.append((name, asyncio.get_running_loop()))

    async def inside():
        loop = asyncio.get_running_loop()
        left = numbers("inner")
        await anext_of(left)
        pausable.pause()
        return loop, left

    async def anext_of(generator):
        return await generator.__anext__()

    async def main():
        left = numbers("outer")
        await anext_of(left)
        loop, inner_left = await pausable.run(lambda: way(inside()))
        del inner_left
        await left.aclose()
        return loop, asyncio.get_running_loop()

    inner_loop, outer_loop = run_loop(main())
    assert closed == [("inner", inner_loop), ("outer", outer_loop)]


@pytest.mark.skipif(sys.version_info < (3, 11), reason="asyncio takes Ctrl-C since 3.11")
def test_ctrl_c_while_a_job_is_paused_in_its_own_loop_is_the_outer_loops():
    log = []

    async def waits():
        try:
            while True:
                pausable.pause()
                await asyncio.sleep(0)
        finally:
            log.append("unwound")

    async def main():
        task = asyncio.ensure_future(pausable.run(lambda: asyncio.run(waits())))
        await until_paused()
        try:
            signal.raise_signal(signal.SIGINT)
            await task
        except asyncio.CancelledError:
            log.append("main is cancelled")
            raise

    with pytest.raises(KeyboardInterrupt):
        asyncio.run(main())
    assert log[0] == "unwound"
    assert "main is cancelled" in log
