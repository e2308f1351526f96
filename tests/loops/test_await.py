"""wait_for of what only an event loop can await."""

from __future__ import annotations

import asyncio
import concurrent.futures
import gc
import threading
import traceback

import anyio
import pytest
import trio

import pausable
from core._support import in_thread
from loops._kinds import run_in_trio, tick, until_paused


async def value(result, steps=1):
    await tick(steps)
    return result


async def failing(exc):
    await tick()
    raise exc


class Awaitable:
    """Awaitable, but neither coroutine nor future; with a close() that has another meaning."""

    closed = False

    def __await__(self):
        yield from value("awaited").__await__()
        return "of the object"

    def close(self):
        self.closed = True


def test_a_coroutine_is_awaited(run_anywhere):
    assert run_anywhere(pausable.run(lambda: pausable.wait_for(value(5)))) == 5


def test_a_coroutine_that_never_suspends_is_awaited_too(run_anywhere):
    assert run_anywhere(pausable.run(pausable.wait_for, value(5, 0))) == 5


def test_any_awaitable_object_is_awaited_and_not_closed(run_anywhere):
    awaitable = Awaitable()
    assert run_anywhere(pausable.run(pausable.wait_for, awaitable)) == "of the object"
    with pytest.raises(pausable.WouldDeadlock):
        pausable.wait_for(awaitable)
    assert not awaitable.closed


def test_a_hundred_waits_one_after_another(run_anywhere):
    def body():
        return [pausable.wait_for(value(n)) for n in range(100)]

    assert run_anywhere(pausable.run(body)) == list(range(100))


def test_what_is_awaited_runs_in_the_jobs_own_task(run_loop):
    async def task():
        return asyncio.current_task()

    async def main():
        assert await pausable.run(lambda: pausable.wait_for(task())) is asyncio.current_task()

    run_loop(main())


def test_what_is_awaited_runs_in_the_jobs_own_trio_task():
    async def task():
        return trio.lowlevel.current_task()

    async def main():
        here = trio.lowlevel.current_task()
        assert await pausable.run(lambda: pausable.wait_for(task())) is here

    trio.run(main)


def test_an_exception_comes_out_of_wait_for_with_its_own_traceback(run_anywhere):
    def body():
        try:
            pausable.wait_for(failing(OSError("x")))
        except OSError as exc:
            return [frame.name for frame in traceback.extract_tb(exc.__traceback__)]

    names = run_anywhere(pausable.run(body))
    assert names[0] == "body"
    assert names[-1] == "failing"


@pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit])
def test_exceptions_that_are_no_errors_come_out_too(run_anywhere, kind):
    def body():
        with pytest.raises(kind):
            pausable.wait_for(failing(kind()))
        return "went on"

    assert run_anywhere(pausable.run(body)) == "went on"


def test_stop_iteration_in_a_coroutine_is_no_end_of_anything(run_anywhere):
    def body():
        with pytest.raises(RuntimeError, match="raised StopIteration"):
            pausable.wait_for(failing(StopIteration(3)))
        return "went on"

    assert run_anywhere(pausable.run(body)) == "went on"


def test_tasks_and_futures_of_the_loop_are_awaited(run_loop):
    def body():
        loop = asyncio.get_running_loop()
        future = loop.create_future()
        loop.call_soon(future.set_result, 1)
        task = asyncio.ensure_future(value(2))
        both = asyncio.gather(value(3), value(4))
        return [pausable.wait_for(awaited) for awaited in (future, task, both)]

    assert run_loop(pausable.run(body)) == [1, 2, [3, 4]]


def test_a_complete_future_does_not_pause(run_loop):
    def body():
        futures = [asyncio.get_running_loop().create_future() for _ in range(2)]
        futures[0].set_result("at once")
        futures[1].set_exception(OSError("x"))
        with pausable.pause_blocked(), pytest.raises(OSError, match="x"):
            pausable.wait_for(futures[1])
        return pausable.wait_for(futures[0])

    coroutine = pausable.run(body)

    async def main():
        with pytest.raises(StopIteration) as info:
            coroutine.send(None)  # no step of the loop is needed
        return info.value.value

    assert run_loop(main()) == "at once"


def test_a_coroutine_that_takes_too_long_is_cancelled(run_anywhere):
    log = []

    async def slow():
        try:
            await anyio.sleep(60)
        finally:
            log.append("cancelled")

    def body():
        with pytest.raises(TimeoutError, match=r"was not complete after 0\.01 s"):
            pausable.wait_for(slow(), timeout_s=0.01)
        log.append("went on")
        return pausable.wait_for(value(5), timeout_s=60)

    assert run_anywhere(pausable.run(body)) == 5
    assert log == ["cancelled", "went on"]


def test_a_future_that_takes_too_long_goes_on(run_loop):
    def body():
        future = asyncio.get_running_loop().create_future()
        with pytest.raises(TimeoutError):
            pausable.wait_for(future, timeout_s=0)
        asyncio.get_running_loop().call_soon(future.set_result, 7)
        return pausable.wait_for(future, timeout_s=60)

    assert run_loop(pausable.run(body)) == 7


def test_an_executors_future_that_takes_too_long_goes_on(run_anywhere):
    future = concurrent.futures.Future()

    def body():
        with pytest.raises(TimeoutError):
            pausable.wait_for(future, timeout_s=0.001)
        in_thread(lambda: future.set_result(7))
        return pausable.wait_for(future)

    assert run_anywhere(pausable.run(body)) == 7


@pytest.mark.parametrize("timeout_s", [None, 1])
def test_a_coroutine_is_refused_and_closed_where_nobody_can_await_it(run_anywhere, timeout_s):
    def body():
        with pausable.pause_blocked(), pytest.raises(pausable.WouldDeadlock, match="pause_blocked"):
            pausable.wait_for(value(1), timeout_s)
        job = pausable.start(pausable.wait_for, value(2), timeout_s)
        assert isinstance(job.exception(), pausable.WouldDeadlock)
        with pytest.raises(pausable.WouldDeadlock, match=r"pausable\.map"):
            list(pausable.map(lambda c: pausable.wait_for(c, timeout_s), [value(3)]))
        with pytest.raises(pausable.WouldDeadlock):
            pausable.run_blocking(pausable.wait_for, value(4), timeout_s)
        gc.collect()  # an unawaited coroutine would warn

    run_anywhere(pausable.run(body))
    with pytest.raises(pausable.WouldDeadlock, match=r"await pausable\.run"):
        pausable.wait_for(value(5), timeout_s)


@pytest.mark.parametrize("timeout_s", [None, 1])
def test_a_coroutine_that_a_cancelled_job_did_not_begin_is_closed(run_anywhere, timeout_s):
    def body():
        pausable.current_job().cancel()
        pausable.wait_for(value(1), timeout_s)

    async def main():
        with pytest.raises(pausable.JobCancelled):
            await pausable.run(body)
        gc.collect()

    run_anywhere(main())


def test_a_bad_timeout_is_refused(run_anywhere):
    awaited = Awaitable()

    def body():
        for timeout_s in (-1, float("nan")):
            with pytest.raises(ValueError, match="timeout_s has to be"):
                pausable.wait_for(awaited, timeout_s)
        return "refused"

    assert run_anywhere(pausable.run(body)) == "refused"


def test_what_is_nothing_to_wait_for_is_refused(run_anywhere):
    def body():
        with pytest.raises(TypeError, match="cannot wait for 3"):
            pausable.wait_for(3)
        with pytest.raises(TypeError, match="cannot wait for 3"):
            pausable.wait_for(3, timeout_s=1)
        return "refused"

    assert run_anywhere(pausable.run(body)) == "refused"


def test_a_future_of_another_threads_asyncio_is_refused_in_trio():
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        with pytest.raises(pausable.WouldDeadlock, match="run_coroutine_threadsafe"):
            run_in_trio(pausable.run(pausable.wait_for, loop.create_future()))
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


def test_a_future_of_a_loop_that_was_closed_is_waited_for_as_any_other(run_loop):
    other = asyncio.new_event_loop()
    futures = [other.create_future(), other.create_future()]
    futures[0].set_result("complete")
    other.close()
    assert run_loop(pausable.run(pausable.wait_for, futures[0])) == "complete"
    with pytest.raises(TimeoutError):
        run_loop(pausable.run(pausable.wait_for, futures[1], timeout_s=0))


def test_an_executors_future_that_is_awaitable_is_not_awaited(run_anywhere):
    class Dasks(concurrent.futures.Future):
        def __await__(self):
            raise AssertionError("for a loop of its own")

    future = Dasks()

    async def main():
        future.set_running_or_notify_cancel()
        in_thread(lambda: future.set_result("by callback"))
        return await pausable.run(pausable.wait_for, future)

    assert run_anywhere(main()) == "by callback"


def test_a_job_resumed_by_hand_goes_on_waiting_for_its_coroutine(run_anywhere):
    jobs = []

    def body():
        jobs.append(pausable.current_job())
        return pausable.wait_for(value("complete", 10))

    async def main():
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(hints)
            assert await pausable.run(body) == "complete"

    async def hints():
        await until_paused()
        for _ in range(3):
            assert jobs[0].resume() is False
            await tick()

    run_anywhere(main())


def test_run_in_what_a_job_of_run_awaits(run_anywhere):
    def outer(depth):
        if depth == 0:
            return pausable.wait_for(value("bottom"))
        return pausable.wait_for(pausable.run(outer, depth - 1))

    assert run_anywhere(pausable.run(outer, 5)) == "bottom"
