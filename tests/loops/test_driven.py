"""How a run of asyncio awaits what its job waits for: the coroutine's methods, and what is left.

The native core does a part of that in C (src/native/until.c) and hands over to Python what is rare;
nobody is to notice where.
"""

from __future__ import annotations

import asyncio
import gc
import inspect
import os
import sys
import threading
import weakref

import pytest

import pausable
from core._support import Canary
from loops._kinds import run_in, tick
from pausable._fibre import NATIVE


def soon(result=None, exc=None):
    """Return a future that completes in the loop's next turn."""
    loop = asyncio.get_running_loop()
    future = loop.create_future()
    if exc is not None:
        loop.call_soon(future.set_exception, exc)
    else:
        loop.call_soon(future.set_result, result)
    return future


def a_future():
    return pausable.wait_for(soon("future"))


def a_coroutine():
    async def value():
        await tick()
        return "coroutine"

    return pausable.wait_for(value())


def a_task():
    async def value():
        return "task"

    return pausable.wait_for(asyncio.ensure_future(value()))


def a_subclass():
    class Future(asyncio.Future):
        pass

    future = Future()
    asyncio.get_running_loop().call_soon(future.set_result, "subclass")
    return pausable.wait_for(future)


def a_poll():
    pausable.pause()
    return "poll"


def a_waker():
    with pausable.current_job().wait_ctx.waker() as waker:
        asyncio.get_running_loop().call_soon(waker.wake)
        while not waker.is_set():
            pausable.pause()
    return "waker"


WAYS = [a_future, a_coroutine, a_task, a_subclass, a_poll, a_waker]


def driven():
    """Return how many jobs the running loop is said to drive."""
    return asyncio.get_running_loop()._pausable_hub.driven


def test_a_job_may_wait_for_one_kind_of_thing_after_another(run_loop):
    order = [each for first in WAYS for second in WAYS for each in (first, second)]

    async def main():
        assert await pausable.run(lambda: [way() for way in order]) == [
            way.__name__[2:] for way in order
        ]
        assert driven() == 0

    run_loop(main())


@pytest.mark.parametrize("way", WAYS)
def test_a_job_is_counted_until_it_has_ended_however_it_ends(run_loop, way):
    counts = []

    def body(end):
        way()
        counts.append(driven())
        if end == "raises":
            raise OSError
        if end == "cancelled":
            asyncio.current_task().cancel()
            way()
        if end == "left":
            pausable.wait_for(asyncio.get_running_loop().create_future())

    async def main():
        await pausable.run(body, "returns")
        with pytest.raises(OSError):
            await pausable.run(body, "raises")
        task = asyncio.ensure_future(pausable.run(body, "cancelled"))
        with pytest.raises(asyncio.CancelledError):
            await task
        task = asyncio.ensure_future(pausable.run(body, "left"))
        while len(counts) < 4:
            await tick()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert driven() == 0
        assert counts == [1, 1, 1, 1]

    run_loop(main())


@pytest.mark.parametrize("hand", [0, 1])
def test_the_coroutine_yields_what_the_job_waits_for(run_loop, hand):
    async def main():
        future = asyncio.get_running_loop().create_future()
        coroutine = pausable.run(pausable.wait_for, future)
        step = [lambda: coroutine.send(None), coroutine.__await__().__next__][hand]
        assert step() is future
        assert future._asyncio_future_blocking
        future._asyncio_future_blocking = False
        future.set_result((1, 2))
        with pytest.raises(StopIteration) as end:
            step()
        assert end.value.value == (1, 2)

    run_loop(main())


@pytest.mark.parametrize("result", [None, (), (1, 2), ValueError("a value"), StopIteration(3)])
def test_any_object_may_be_what_a_job_returns(run_loop, result):
    def body(pauses):
        return pausable.wait_for(soon(result)) if pauses else result

    async def main():
        assert await pausable.run(body, 1) is result
        assert await pausable.run(body, 0) is result

    run_loop(main())


def test_what_is_thrown_into_a_run_is_raised_in_its_job(run_loop):
    def body(future):
        try:
            pausable.wait_for(future)
        except OSError as exc:
            return [exc, pausable.wait_for(future)]

    async def main():
        future = asyncio.get_running_loop().create_future()
        coroutine = pausable.run(body, future)
        coroutine.send(None)
        future._asyncio_future_blocking = False
        thrown = OSError("x")
        assert coroutine.throw(thrown) is future
        future._asyncio_future_blocking = False
        future.set_result(7)
        with pytest.raises(StopIteration) as end:
            coroutine.send(None)
        assert end.value.value == [thrown, 7]
        assert driven() == 0

    run_loop(main())


def test_what_a_coroutine_returns_when_something_is_thrown_into_it_is_its_result(run_loop):
    async def catches():
        try:
            await asyncio.get_running_loop().create_future()
        except OSError as exc:
            return exc

    async def main():
        coroutine = pausable.run(lambda: pausable.wait_for(catches()))
        coroutine.send(None)
        thrown = OSError("x")
        with pytest.raises(StopIteration) as end:
            coroutine.throw(thrown)
        assert end.value.value is thrown

    run_loop(main())


def test_a_run_that_is_closed_unwinds_its_job_once(run_loop):
    log = []

    def body():
        try:
            pausable.wait_for(asyncio.get_running_loop().create_future())
        finally:
            log.append("unwound")

    async def main():
        coroutine = pausable.run(body)
        coroutine.send(None)
        assert driven() == 1
        coroutine.close()
        coroutine.close()
        assert (log, driven()) == (["unwound"], 0)
        with pytest.raises(RuntimeError, match="cannot reuse"):
            coroutine.send(None)

    run_loop(main())


def test_what_a_coroutine_raises_when_it_is_closed_is_raised_in_the_job(run_loop):
    seen = []

    async def refuses():
        try:
            await asyncio.get_running_loop().create_future()
        except GeneratorExit:
            raise OSError("not now") from None

    def body(again):
        try:
            pausable.wait_for(refuses())
        except OSError as exc:
            seen.append(str(exc))
        if again:
            pausable.wait_for(asyncio.get_running_loop().create_future())

    async def main():
        coroutine = pausable.run(body, 0)
        coroutine.send(None)
        coroutine.close()
        coroutine = pausable.run(body, 1)
        coroutine.send(None)
        with pytest.raises(RuntimeError, match="ignored GeneratorExit"):
            coroutine.close()
        del coroutine
        gc.collect()
        assert seen == ["not now"] * 2
        assert driven() == 0

    run_loop(main())


def test_generator_exit_of_what_is_awaited_is_the_runs_own(run_loop):
    seen = []

    async def gives_up():
        raise GeneratorExit

    def body():
        try:
            pausable.wait_for(gives_up())
        except BaseException as exc:
            seen.append(type(exc))
            raise

    async def main():
        with pytest.raises(GeneratorExit):
            pausable.run(body).send(None)
        assert seen == [pausable.JobCancelled]
        assert driven() == 0

    run_loop(main())


def test_a_coroutine_that_is_not_begun_when_its_job_is_closed_is_closed_too(run_loop):
    jobs = []

    def body(coroutine):
        jobs.append(pausable.current_job())
        pausable.pause()
        pausable.wait_for(coroutine)

    async def main():
        coroutine = tick()
        task = asyncio.ensure_future(pausable.run(body, coroutine))
        await tick()
        jobs[0].resume()  # not by its driver, which does not know yet
        assert inspect.getcoroutinestate(coroutine) == inspect.CORO_CREATED
        jobs[0].close()
        assert inspect.getcoroutinestate(coroutine) == inspect.CORO_CLOSED
        with pytest.raises(pausable.JobCancelled):
            await task

    run_loop(main())


def test_a_coroutine_that_somebody_else_awaits_is_refused_and_left_alone(run_loop):
    async def value(future):
        return await future

    async def main():
        future = asyncio.get_running_loop().create_future()
        coroutine = value(future)
        task = asyncio.ensure_future(coroutine)
        await tick()
        with pytest.raises(RuntimeError, match="awaited already"):
            await pausable.run(pausable.wait_for, coroutine)
        future.set_result(5)
        assert await task == 5

    run_loop(main())


def test_a_coroutine_that_was_awaited_is_refused(run_loop):
    async def main():
        coroutine = tick()
        await coroutine
        with pytest.raises(RuntimeError, match="cannot reuse already awaited"):
            await pausable.run(pausable.wait_for, coroutine)

    run_loop(main())


def test_a_failed_future_raises_its_exception_without_a_context(run_loop):
    async def main():
        failed = OSError("x")
        with pytest.raises(OSError, match="x") as caught:
            await pausable.run(lambda: pausable.wait_for(soon(exc=failed)))
        assert caught.value is failed
        assert (failed.__context__, failed.__cause__) == (None, None)

    run_loop(main())


def test_an_exception_that_is_being_handled_in_the_job_becomes_the_context(run_loop):
    def body():
        try:
            raise KeyError
        except KeyError:
            pausable.wait_for(soon(exc=OSError("x")))

    async def main():
        with pytest.raises(OSError, match="x") as caught:
            await pausable.run(body)
        assert isinstance(caught.value.__context__, KeyError)

    run_loop(main())


@pytest.mark.parametrize("switch_on", [sys.setprofile, sys.settrace])
def test_a_run_that_is_traced_does_the_same(run_loop, switch_on):
    async def main():
        return await pausable.run(lambda: [a_future(), a_coroutine(), a_future()])

    before = sys.getprofile() if switch_on is sys.setprofile else sys.gettrace()
    switch_on(lambda *_event: None)
    try:
        result = run_loop(main())
    finally:
        switch_on(before)
    assert result == ["future", "coroutine", "future"]


def test_two_loops_in_two_threads_do_not_get_mixed_up():
    def body(n):
        loop = asyncio.get_running_loop()
        future = loop.create_future()
        loop.call_soon(future.set_result, n)
        return pausable.wait_for(future), asyncio.get_running_loop() is loop

    async def main():
        for n in range(500):
            assert await pausable.run(body, n) == (n, True)
        return driven()

    results = []
    threads = [
        threading.Thread(target=lambda: results.append(run_in(asyncio.new_event_loop, main())))
        for _ in range(2)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [0, 0]


def test_a_loop_that_is_gone_is_not_taken_for_the_next(run_loop):
    async def main():
        loop = asyncio.get_running_loop()
        await pausable.run(a_future)
        assert loop._pausable_hub.loop is loop
        return weakref.ref(loop._pausable_hub)

    hubs = []
    for _ in range(5):
        hubs.append(run_loop(main()))
        gc.collect()
    assert [hub() for hub in hubs] == [None] * 5


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_the_child_of_a_fork_is_in_no_loop(run_loop):
    async def main():
        assert await pausable.run(a_future) == "future"
        pid = os.fork()
        if pid == 0:
            try:
                pausable.run(int).send(None)
            except RuntimeError as exc:
                os._exit(7 if "no running event loop" in str(exc) else 1)
            except BaseException:
                os._exit(2)
            os._exit(3)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 7
        assert await pausable.run(a_future) == "future"

    run_loop(main())


def test_a_run_leaves_no_cycle_of_what_it_was_given_or_returned(run_loop):
    def body(given, fails):
        pausable.wait_for(soon())
        if fails:
            raise OSError(given)
        return given

    async def main():
        given = Canary()
        dead = weakref.ref(given)
        assert await pausable.run(body, given, 0) is given
        try:
            await pausable.run(body, given, 1)
        except OSError:
            pass
        await tick()
        del given
        return dead()

    gc.collect()
    gc.disable()
    try:
        assert run_loop(main()) is None
    finally:
        gc.enable()


@pytest.mark.skipif(not NATIVE, reason="what is awaited is a coroutine")
def test_the_result_is_not_to_be_had_before_the_wait_for_it_is_over(run_loop):
    jobs = []

    def body(future):
        jobs.append(pausable.current_job())
        pausable.wait_for(future)

    async def main():
        await pausable.run(int)
        future = asyncio.get_running_loop().create_future()
        coroutine = pausable.run(body, future)
        coroutine.send(None)
        jobs[0].close()  # it has ended, and its driver does not know yet
        with pytest.raises(RuntimeError, match="no result"):
            coroutine.cr_await.result()
        future.set_result(1)
        with pytest.raises(pausable.JobCancelled):
            coroutine.send(None)
        assert driven() == 0

    run_loop(main())


def test_a_task_that_its_closed_loop_forgets_ends_without_a_collection():
    log = []

    async def ticks():
        for _ in range(5):
            await tick()

    def body():
        try:
            pausable.wait_for(ticks())
        finally:
            log.append("unwound")

    async def main():
        await pausable.run(int)
        asyncio.get_running_loop().create_task(pausable.run(body))
        await tick()

    gc.collect()
    gc.disable()
    try:
        loop = asyncio.new_event_loop()
        loop.run_until_complete(main())
        assert log == []
        loop.close()
        assert log == ["unwound"]
    finally:
        gc.enable()


def test_a_task_may_be_of_another_class(run_loop):
    def body():
        asyncio.current_task().cancel()
        return a_future()

    async def main():
        loop = asyncio.get_running_loop()
        for way in WAYS:
            task = asyncio.tasks._PyTask(pausable.run(way), loop=loop)
            assert await task == way.__name__[2:]
        task = asyncio.tasks._PyTask(pausable.run(body), loop=loop)
        with pytest.raises(asyncio.CancelledError):
            await task
        task = asyncio.tasks._PyTask(
            pausable.run(lambda: jobs.append(pausable.current_job()) or a_future()), loop=loop
        )
        jobs = []
        await tick()
        jobs[0].cancel()
        with pytest.raises(pausable.JobCancelled):
            await task
        assert driven() == 0

    run_loop(main())


def test_a_job_is_started_as_it_was_called(run_loop):
    def body(*args, **kwargs):
        return args, kwargs

    async def main():
        assert await pausable.run(body) == ((), {})
        assert await pausable.run(body, 1, [2], fn=3, self=4) == ((1, [2]), {"fn": 3, "self": 4})
        many = {f"name{n}": n for n in range(50)}
        assert await pausable.run(body, *range(50), **many) == (tuple(range(50)), many)

    run_loop(main())


@pytest.mark.parametrize("call", [pausable.run, lambda: pausable.run(fn=int)])
def test_run_without_a_function_is_refused(call):
    with pytest.raises(TypeError, match="missing 1 required positional argument: 'fn'"):
        call()


@pytest.mark.parametrize(
    ("args", "kwargs"), [((), {}), ((1, 2, 3), {}), ((1,), {"nonsense": 1}), ((1,), {"awaited": 1})]
)
def test_wait_for_with_other_arguments_is_refused(run_loop, args, kwargs):
    async def main():
        with pytest.raises(TypeError, match=r"wait_for\(\)"):
            await pausable.run(lambda: pausable.wait_for(*args, **kwargs))

    run_loop(main())


def test_wait_for_takes_its_arguments_by_name_too(run_loop):
    async def main():
        assert await pausable.run(lambda: pausable.wait_for(awaited=soon(3))) == 3
        assert await pausable.run(lambda: pausable.wait_for(soon(4), timeout_s=20)) == 4

    run_loop(main())
