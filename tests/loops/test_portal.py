"""Portals: synchronous code that pauses in the task that calls it."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextvars
import gc

import anyio
import pytest
import trio

import pausable
from core._support import in_thread, pauses
from loops._kinds import gather, needs_3_11, needs_3_12, tick

VAR = contextvars.ContextVar("VAR", default="unset")


async def value(result):
    await tick()
    return result


def sync(result):
    """Stand in for synchronous code that waits somewhere below."""
    return pausable.wait_for(value(result))


def test_synchronous_code_waits_in_the_task(run_anywhere):
    async def main():
        async with pausable.portal():
            return [sync(1), await value(2), sync(3)]

    assert run_anywhere(main()) == [1, 2, 3]


def test_outside_the_block_it_is_refused_again(run_anywhere):
    async def main():
        async with pausable.portal():
            pass
        with pytest.raises(pausable.WouldDeadlock):
            sync(1)
        await tick(3)

    run_anywhere(main())


def test_other_tasks_go_on_meanwhile(run_anywhere):
    log = []

    async def waits():
        async with pausable.portal():
            while len(log) < 3:
                sync(None)
            log.append("seen")

    async def other():
        for n in range(3):
            await tick()
            log.append(n)

    run_anywhere(gather(waits(), other()))
    assert log == [0, 1, 2, "seen"]


def test_fifty_tasks_in_portals(run_anywhere):
    async def work(n):
        async with pausable.portal():
            return [sync(n), await value(n), sync(n)]

    assert run_anywhere(gather(*[work(n) for n in range(50)])) == [[n] * 3 for n in range(50)]


def test_portals_nest_and_are_used_again(run_anywhere):
    async def main():
        for _ in range(3):
            async with pausable.portal():
                async with pausable.portal():
                    sync(1)
                sync(2)
            await tick()

    run_anywhere(main())


def test_an_open_portal_is_refused_a_second_time(run_anywhere):
    async def main():
        portal = pausable.portal()
        async with portal:
            with pytest.raises(pausable.JobStateError, match="open already"):
                await portal.__aenter__()
            sync(1)
        async with portal:  # one after another it may be used
            sync(2)

    run_anywhere(main())


def test_run_and_executors_in_a_portal(run_anywhere):
    async def main():
        async with pausable.portal():
            results = [await pausable.run(sync, 1), sync(2)]
            results += await gather(pausable.run(sync, 3), pausable.run(pauses, 2, 4))
            pauses(2)
            return results

    assert run_anywhere(main()) == [1, 2, 3, 4]


def test_a_portal_in_what_a_job_awaits(run_anywhere):
    async def with_portal():
        async with pausable.portal():
            return sync(5)

    assert run_anywhere(pausable.run(lambda: pausable.wait_for(with_portal()))) == 5


def test_the_current_task_is_the_same_throughout(run_loop):
    async def main():
        task = asyncio.current_task()
        async with pausable.portal():
            seen = [asyncio.current_task()]
            sync(1)
            seen.append(asyncio.current_task())
            await tick()
            seen.append(asyncio.current_task())
        assert seen == [task] * 3
        assert asyncio.current_task() is task
        assert asyncio.get_running_loop() is task.get_loop()

    run_loop(main())


def test_context_variables_are_the_tasks(run_anywhere):
    async def main():
        VAR.set("before")
        async with pausable.portal():
            assert VAR.get() == "before"
            sync(1)
            VAR.set("inside")
            await tick()
            assert VAR.get() == "inside"
        return VAR.get()

    assert run_anywhere(main()) == "inside"


def test_an_exception_goes_through(run_anywhere):
    async def fails():
        async with pausable.portal():
            sync(1)
            raise OSError("x")

    async def main():
        with pytest.raises(OSError, match="x"):
            await fails()
        await tick()

    run_anywhere(main())


def test_a_task_that_ends_in_its_portal(run_anywhere):
    async def work():
        async with pausable.portal():
            await tick()
            return sync("returned")

    async def main():
        return await gather(work(), work())

    assert run_anywhere(main()) == ["returned"] * 2


def test_locks_queues_and_events_work(run_loop):
    async def main():
        queue, event = asyncio.Queue(), asyncio.Event()
        asyncio.get_running_loop().call_soon(queue.put_nowait, 1)
        asyncio.get_running_loop().call_soon(event.set)
        async with pausable.portal(), asyncio.Lock():
            await event.wait()
            return await queue.get()

    assert run_loop(main()) == 1


def test_a_cancellation_is_raised_once_where_the_task_waits(run_loop):
    log = []

    async def work(wait):
        async with pausable.portal():
            try:
                await wait()
            except asyncio.CancelledError:
                log.append("caught")
            sync(1)
            return await value("went on")

    async def awaits():
        await asyncio.sleep(60)

    async def waits():
        pausable.wait_for(asyncio.sleep(60))

    async def pauses_only():
        while True:
            pausable.pause()

    async def main():
        for wait in (awaits, waits, pauses_only):
            task = asyncio.ensure_future(work(wait))
            await tick(4)
            task.cancel()
            assert await task == "went on"

    run_loop(main())
    assert log == ["caught"] * 3


def test_a_cancellation_at_any_moment_ends_the_task(run_loop):
    async def work():
        async with pausable.portal():
            sync(1)
            await tick()
        await tick()
        await asyncio.sleep(60)

    async def main():
        for moment in range(12):
            task = asyncio.ensure_future(work())
            await tick(moment)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert task.cancelled()

    run_loop(main())


def test_scopes_and_timeouts_hold(run_anyio):
    async def main():
        async with pausable.portal():
            for _ in range(3):
                with anyio.move_on_after(0.001) as scope:
                    pausable.wait_for(anyio.sleep_forever())
                assert scope.cancelled_caught
                with anyio.move_on_after(0.001) as scope:
                    await anyio.sleep_forever()
                assert scope.cancelled_caught
            return sync("went on")

    assert run_anyio(main) == "went on"


@needs_3_11
def test_asyncios_timeouts_and_task_groups(run_loop):
    async def main():
        task = asyncio.current_task()
        async with pausable.portal():
            for _ in range(2):
                with pytest.raises(TimeoutError):
                    async with asyncio.timeout(0.001):
                        pausable.wait_for(asyncio.sleep(60))
                assert task.cancelling() == 0
            async with asyncio.TaskGroup() as tasks:
                made = [tasks.create_task(value(n)) for n in range(3)]
            return [made.result() for made in made]

    assert run_loop(main()) == [0, 1, 2]


def test_async_generators_and_generators(run_anywhere):
    async def numbers():
        for n in range(3):
            yield sync(n)
            await tick()

    def plain():
        for n in range(3):
            yield sync(n)

    async def main():
        async with pausable.portal():
            return [n async for n in numbers()], list(plain())

    assert run_anywhere(main()) == ([0, 1, 2], [0, 1, 2])


def test_nothing_is_left_afterwards(run_loop):
    async def main():
        async with pausable.portal():
            sync(1)
        await tick(3)
        assert asyncio.all_tasks() == {asyncio.current_task(), *tasks}
        return pausable.thread_pool().stats().paused

    async def bounded():
        tasks.update(asyncio.all_tasks())
        return await asyncio.ensure_future(main())

    tasks = set()
    assert run_loop(bounded()) == 0


def test_a_waker_fired_by_a_thread(run_anywhere):
    async def main():
        async with pausable.portal():
            with pausable.current_job().wait_ctx.waker() as waker:
                in_thread(waker.wake)
                while not waker.is_set():
                    pausable.pause()
            return "woken"

    assert run_anywhere(main()) == "woken"


def test_outside_a_loop_it_is_refused():
    async def main():
        async with pausable.portal():
            pass

    coroutine = main()
    with pytest.raises(RuntimeError, match="no running event loop"):
        coroutine.send(None)


def test_asyncio_run_ends_a_task_inside_a_portal():
    log = []

    async def work():
        async with pausable.portal():
            try:
                pausable.wait_for(asyncio.sleep(60))
            finally:
                sync(1)
                log.append("cleaned up")

    async def main():
        main.task = asyncio.ensure_future(work())
        await tick(5)

    asyncio.run(main())
    assert log == ["cleaned up"]


def test_a_portal_in_trio_that_is_cancelled():
    log = []

    async def work():
        async with pausable.portal():
            try:
                pausable.wait_for(trio.sleep_forever())
            finally:
                log.append("unwound")

    async def main():
        async with trio.open_nursery() as nursery:
            for moment in range(6):
                with trio.CancelScope() as scope:
                    nursery.start_soon(canceller, scope, moment)
                    await work()
                await trio.lowlevel.checkpoint()

    async def canceller(scope, moment):
        await tick(moment)
        scope.cancel()

    trio.run(main)
    assert len(log) <= 6


def test_another_asyncio_run_by_code_in_a_portal(run_anywhere):
    async def main():
        async with pausable.portal():
            result = asyncio.run(asyncio.sleep(0, 1))
            return result + sync(1)

    assert run_anywhere(main()) == 2


# -- every task ------------------------------------------------------------------------------------


@pytest.fixture
def run_with_factory(run_loop):
    def run(main):
        async def switched_on():
            asyncio.get_running_loop().set_task_factory(pausable.task_factory)
            return await asyncio.ensure_future(main())

        return run_loop(switched_on())

    return run


def test_the_factory_puts_every_task_in_a_portal(run_with_factory):
    async def work(n):
        task = asyncio.current_task()
        result = sync(n)
        assert asyncio.current_task() is task
        return result + await value(n)

    async def main():
        return await asyncio.gather(*[work(n) for n in range(20)])

    assert run_with_factory(main) == [2 * n for n in range(20)]


def test_the_factory_keeps_names_and_contexts(run_with_factory):
    async def work():
        sync(1)
        return VAR.get()

    async def main():
        task = asyncio.get_running_loop().create_task(work(), name="its name")
        assert task.get_name() == "its name"
        assert "work" in repr(task)
        assert task.get_coro().cr_code is work.__code__
        return await task

    assert run_with_factory(main) == "unset"


@needs_3_11
def test_the_factory_keeps_a_given_context(run_with_factory):
    async def work():
        sync(1)
        VAR.set("in the context")

    async def main():
        context = contextvars.copy_context()
        await asyncio.get_running_loop().create_task(work(), context=context)
        return context[VAR], VAR.get()

    assert run_with_factory(main) == ("in the context", "unset")


def test_the_factorys_tasks_fail_and_are_cancelled(run_with_factory):
    async def fails():
        sync(1)
        raise OSError("x")

    async def waits():
        pausable.wait_for(asyncio.sleep(60))

    async def main():
        with pytest.raises(OSError, match="x"):
            await asyncio.ensure_future(fails())
        for moment in range(4):
            task = asyncio.ensure_future(waits())
            await tick(moment)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
        gc.collect()  # a coroutine that was never awaited would warn

    run_with_factory(main)


@needs_3_12
def test_the_factory_with_eager_tasks(run_loop):
    log = []

    async def work(n):
        log.append(n)
        return sync(n)

    def eager(loop, coroutine, **options):
        return pausable.task_factory(loop, coroutine, **{**options, "eager_start": True})

    async def main():
        asyncio.get_running_loop().set_task_factory(eager)
        tasks = [asyncio.ensure_future(work(n)) for n in range(3)]
        assert log == [0, 1, 2]
        return await asyncio.gather(*tasks)

    assert run_loop(main()) == [0, 1, 2]


@needs_3_12
def test_a_portal_in_an_eager_task(run_loop):
    async def work(n):
        async with pausable.portal():
            return sync(n)

    def eager(loop, coroutine, **options):  # uvloop does not go with asyncio's own
        return asyncio.Task(coroutine, loop=loop, **{**options, "eager_start": True})

    async def main():
        asyncio.get_running_loop().set_task_factory(eager)
        return await asyncio.gather(*[work(n) for n in range(3)])

    assert run_loop(main()) == [0, 1, 2]


def test_another_task_cannot_leave_it(run_anywhere):
    async def main():
        portal = pausable.portal()

        async def leave():
            with pytest.raises(pausable.JobStateError, match="by the task that has entered it"):
                await portal.__aexit__(None, None, None)

        async with portal:
            await gather(leave())
            sync(1)
        return "left"

    assert run_anywhere(main()) == "left"


def test_a_trio_task_may_end_in_a_portal():
    async def main():
        await pausable.portal().__aenter__()
        return sync(1)

    assert trio.run(main) == 1


def test_an_asyncio_task_that_ends_in_a_portal_is_told_what_to_do(caplog):
    async def main():
        await pausable.portal().__aenter__()
        return sync(1)

    with pytest.raises(RuntimeError, match="already awaited"):
        asyncio.run(main())
    assert "async with pausable.portal()" in caplog.text


def test_a_second_cancellation_arrives_while_the_first_is_handled(run_anyio):
    log = []

    def waits():
        pausable.wait_for(concurrent.futures.Future())

    async def main():
        async with pausable.portal():
            with anyio.CancelScope() as outer:
                try:
                    with anyio.fail_after(0.01):
                        waits()
                except TimeoutError:
                    log.append("inner")
                    outer.deadline = anyio.current_time() + 0.01
                    waits()
        return log

    assert run_anyio(main) == ["inner"]


def test_the_job_of_a_portal_is_named_after_the_coroutine_and_can_be_cancelled(run_anywhere):
    async def request():
        async with pausable.portal():
            pausable.wait_for(concurrent.futures.Future())

    async def main():
        async def cancel():
            while not pausable.jobs():
                await tick()
            (job,) = pausable.jobs()
            assert "steps" not in job.name
            job.cancel()
            await tick(100)
            assert job.done()

        with pytest.raises(BaseException) as info:
            await gather(request(), cancel())
        raised = info.value
        while hasattr(raised, "exceptions"):
            (raised,) = raised.exceptions
        assert isinstance(raised, pausable.JobCancelled)

    run_anywhere(main())
