"""Very many jobs: nobody is starved, nobody is forgotten. Orders and counts, never times."""

from __future__ import annotations

import asyncio
import concurrent.futures
import threading

import anyio
import pytest
import trio

import pausable
from core._support import in_thread, pauses
from loops._kinds import gather, needs_3_11, tick, until_paused
from pausable.loops._hub import TURNS

MANY = 1000


def waits_for_a_waker(wakers, n, log):
    with pausable.current_job().wait_ctx.waker() as waker:
        wakers[n] = waker
        while not waker.is_set():
            pausable.pause()
    log.append(n)


async def until_blocked(count):
    await until_paused(count)
    await tick(count // TURNS + 5)  # those that pause have had their look


def longest_run(log):
    """Return how many jobs at most went on between two ticks of another task."""
    longest = run = 0
    for entry in log:
        run = 0 if entry == "tick" else run + 1
        longest = max(longest, run)
    return longest


async def ticking(log, tasks):
    """Note every tick of the loop until `tasks` jobs have gone on."""
    while len(log) - log.count("tick") < tasks:
        log.append("tick")
        await tick()


def test_others_go_on_between_the_turns_of_jobs_that_are_woken_at_once(run_anywhere):
    log, wakers = [], {}

    async def wake():
        await until_blocked(MANY)
        in_thread(lambda: [wakers[n].wake() for n in range(MANY)])
        await ticking(log, MANY)

    async def main():
        jobs = [pausable.run(waits_for_a_waker, wakers, n, log) for n in range(MANY)]
        await gather(wake(), *jobs)

    run_anywhere(main())
    order = [entry for entry in log if entry != "tick"]
    assert sorted(order) == list(range(MANY))
    assert longest_run(log) <= 2 * TURNS


def test_woken_jobs_go_on_in_the_order_of_their_wakes(run_loop):
    log, wakers = [], {}
    order = [n * 7 % MANY for n in range(MANY)]

    async def wake():
        await until_blocked(MANY)
        for n in order:
            wakers[n].wake()

    async def main():
        jobs = [pausable.run(waits_for_a_waker, wakers, n, log) for n in range(MANY)]
        await gather(wake(), *jobs)

    run_loop(main())
    assert log == order


def test_others_go_on_between_the_turns_of_jobs_that_await_one_event(run_anywhere):
    log, events = [], []

    def body(n):
        pausable.wait_for(events[0].wait())
        log.append(n)

    async def fire():
        await until_blocked(MANY)
        events[0].set()
        await ticking(log, MANY)

    async def main():
        events.append(anyio.Event())
        await gather(fire(), *[pausable.run(body, n) for n in range(MANY)])

    run_anywhere(main())
    assert longest_run(log) <= 2 * TURNS


def test_others_go_on_between_the_turns_of_jobs_that_await_futures(run_loop):
    log, futures = [], []

    def body(n):
        log.append(pausable.wait_for(futures[n]))

    async def fire():
        await until_blocked(MANY)
        for n, future in enumerate(futures):
            future.set_result(n)
        await ticking(log, MANY)

    async def main():
        futures.extend(asyncio.get_running_loop().create_future() for _ in range(MANY))
        await gather(fire(), *[pausable.run(body, n) for n in range(MANY)])

    run_loop(main())
    assert [entry for entry in log if entry != "tick"] == list(range(MANY))
    assert longest_run(log) <= 2 * TURNS


def test_others_go_on_between_the_turns_of_jobs_that_poll(run_anywhere):
    log = []

    def body(n):
        for _ in range(3):
            pausable.pause()
            log.append(n)

    async def main():
        await gather(ticking(log, 3 * MANY), *[pausable.run(body, n) for n in range(MANY)])

    run_anywhere(main())
    # The first pause of each: a new task is as eager as any of the loop's.
    assert longest_run(log[2 * MANY :]) <= 2 * TURNS


def test_no_wake_is_lost_with_ten_thousand_jobs_and_four_threads(run_anywhere):
    many, wakers, log = 10_000, {}, []

    def wake(first):
        for n in range(first, many, 4):
            wakers[n].wake()

    async def main():
        async def fire():
            await until_paused(many)
            threads = [threading.Thread(target=wake, args=(first,)) for first in range(4)]
            for thread in threads:
                thread.start()

        await gather(
            fire(), *[pausable.run(waits_for_a_waker, wakers, n, log) for n in range(many)]
        )

    run_anywhere(main())
    assert sorted(log) == list(range(many))


def test_no_wake_is_lost_when_futures_complete_before_and_while_jobs_pause(run_anywhere):
    with concurrent.futures.ThreadPoolExecutor(4) as executor:

        def body(n):
            return sum(pausable.wait_for(executor.submit(int, n)) for _ in range(5))

        async def main():
            return await gather(*[pausable.run(body, n) for n in range(MANY)])

        assert run_anywhere(main()) == [5 * n for n in range(MANY)]


class CountingLoop(asyncio.SelectorEventLoop):
    """Counts what other threads schedule."""

    def __init__(self):
        super().__init__()
        self.counted = []

    def call_soon_threadsafe(self, callback, *args, **options):
        self.counted.append(callback)
        return super().call_soon_threadsafe(callback, *args, **options)


def test_many_wakes_in_one_tick_are_one_call_of_the_loop():
    loop, wakers, log = CountingLoop(), {}, []

    async def wake():
        await until_blocked(TURNS)
        loop.counted.clear()
        in_thread(lambda: [wakers[n].wake() for n in range(TURNS) for _ in range(3)])
        assert len(loop.counted) == 1

    async def main():
        jobs = [pausable.run(waits_for_a_waker, wakers, n, log) for n in range(TURNS)]
        await gather(wake(), *jobs)

    try:
        loop.run_until_complete(main())
    finally:
        loop.close()
    assert log == list(range(TURNS))


def test_a_value_that_a_job_in_a_crowd_waited_for_is_not_lost_when_it_is_cancelled(run_anyio):
    held = []

    def body():
        pausable.wait_for(locks[0].acquire())
        held.append("held")
        try:
            pausable.pause()
        finally:
            locks[0].release()

    async def work():
        with anyio.CancelScope() as scope:
            scopes.append(scope)
            await pausable.run(body)

    locks, scopes = [], []

    async def main():
        locks.append(anyio.Lock())
        async with anyio.create_task_group() as tasks:
            for _ in range(TURNS + 10):
                tasks.start_soon(pausable.run, pauses, 20)
            await until_paused(TURNS + 1)
            for moment in range(20):
                async with anyio.create_task_group() as cancelled:
                    cancelled.start_soon(work)
                    await tick(moment)
                    for scope in scopes:
                        scope.cancel()
            with anyio.fail_after(10):
                await locks[0].acquire()

    run_anyio(main)


def test_a_cancellation_at_any_moment_ends_a_task_in_a_crowd(run_loop):
    def body():
        for _ in range(3):
            pausable.wait_for(asyncio.sleep(0))

    async def main():
        crowd = [asyncio.ensure_future(pausable.run(pauses, 10_000)) for _ in range(TURNS + 1)]
        await until_paused(TURNS + 1)
        for moment in range(9):
            task = asyncio.ensure_future(pausable.run(body))
            await tick(moment)
            if not task.done():
                task.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await task
        for other in crowd:
            other.cancel()
        await asyncio.gather(*crowd, return_exceptions=True)

    run_loop(main())


def test_a_task_that_a_job_in_a_crowd_waits_for_ends_before_the_job_is_cancelled(run_loop):
    log = []

    async def slow_to_end():
        try:
            await asyncio.sleep(60)
        finally:
            await tick(5)
            log.append("task ended")

    def body():
        try:
            pausable.wait_for(asyncio.ensure_future(slow_to_end()))
        finally:
            log.append("job ends")

    async def main():
        crowd = [asyncio.ensure_future(pausable.run(forever)) for _ in range(TURNS + 1)]
        await until_paused(TURNS)
        task = asyncio.ensure_future(pausable.run(body))
        await tick(5)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        for other in crowd:
            other.cancel()
        await asyncio.gather(*crowd, return_exceptions=True)

    def forever():
        with pausable.current_job().wait_ctx.waker():
            while True:
                pausable.pause()

    run_loop(main())
    assert log == ["task ended", "job ends"]


@needs_3_11
def test_a_crowd_that_times_out_leaves_no_mark_on_its_tasks(run_loop):
    async def work(n):
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.001 * (n % 5)):
                await pausable.run(lambda: pausable.wait_for(asyncio.sleep(60)))
        assert asyncio.current_task().cancelling() == 0
        return await pausable.run(pauses, 2, n)

    async def main():
        return await asyncio.gather(*[work(n) for n in range(300)])

    assert run_loop(main()) == list(range(300))


def test_a_crowd_in_trio_that_is_cancelled():
    async def main():
        async with trio.open_nursery() as nursery:
            for n in range(300):
                if n % 2:
                    nursery.start_soon(pausable.run, pauses, 10_000)
                else:
                    nursery.start_soon(pausable.run, lambda: pausable.wait_for(trio.sleep(60)))
            await until_paused(300)
            nursery.cancel_scope.cancel()
        await pausable.run(pauses, 2)

    trio.run(main)


def test_in_a_crowd_a_cancellation_keeps_its_message(run_loop):
    raised = []

    async def one():
        future = asyncio.get_running_loop().create_future()
        try:
            await pausable.run(pausable.wait_for, future)
        except asyncio.CancelledError as exc:
            raised.append(exc.args)

    async def main():
        tasks = [asyncio.ensure_future(one()) for _ in range(TURNS + 10)]
        await tick(2)
        for task in tasks:
            task.cancel("why")
        await asyncio.gather(*tasks)

    run_loop(main())
    assert raised == [("why",)] * (TURNS + 10)


def test_in_a_crowd_scopes_in_jobs_know_their_own_cancellation(run_anyio):
    def body():
        with anyio.move_on_after(0.01) as scope:
            pausable.wait_for(anyio.sleep_forever())
        return scope.cancelled_caught

    async def main():
        return await gather(*[pausable.run(body) for _ in range(TURNS + 10)])

    assert run_anyio(main) == [True] * (TURNS + 10)
