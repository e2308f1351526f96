"""Jobs in tasks of an event loop."""

from __future__ import annotations

import asyncio
import concurrent.futures
import os
import signal
import threading

import pytest

import pausable
from core._support import in_thread, one_pipe_after_another, pauses, readable
from loops._kinds import gather, needs_3_11, run_in_trio, tick


def test_run_returns_what_the_call_returns(run_anywhere):
    async def main():
        return await pausable.run(lambda a, b: (a, b), 1, b=2)

    assert run_anywhere(main()) == (1, 2)


def test_run_raises_what_the_call_raises(run_anywhere):
    def body():
        pausable.pause()
        raise OSError("x")

    async def main():
        await pausable.run(body)

    with pytest.raises(OSError, match="x"):
        run_anywhere(main())


def test_run_refuses_at_the_call_what_cannot_be_called():
    with pytest.raises(TypeError, match="fn has to be callable"):
        pausable.run(3)


def test_run_outside_a_loop_says_so_when_it_is_driven():
    coroutine = pausable.run(int)
    with pytest.raises(RuntimeError, match="no running event loop"):
        coroutine.send(None)


def test_five_hundred_jobs_pause_at_once_in_one_thread(run_anywhere):
    together = []

    def body(n):
        for _ in range(3):
            pausable.pause()
            together.append(pausable.thread_pool().stats().paused)
        return n

    async def main():
        return await gather(*[pausable.run(body, n) for n in range(500)])

    assert run_anywhere(main()) == list(range(500))
    assert max(together) >= 498


def test_other_tasks_go_on_while_a_job_is_paused(run_anywhere):
    log = []

    def body():
        while len(log) < 3:
            pausable.pause()
        return list(log)

    async def other():
        for n in range(3):
            log.append(n)
            await tick()

    async def main():
        return (await gather(pausable.run(body), other()))[0]

    assert run_anywhere(main()) == [0, 1, 2]


@pytest.mark.hazard("H10")
def test_the_job_is_in_the_task_that_awaits_it(run_loop):
    def body():
        seen = [asyncio.current_task()]
        pausable.pause()
        return [*seen, asyncio.current_task(), asyncio.get_running_loop()]

    async def main():
        task, loop = asyncio.current_task(), asyncio.get_running_loop()
        assert await pausable.run(body) == [task, task, loop]

    run_loop(main())


def test_executor_futures_are_waited_for_without_blocking_the_loop(run_anywhere):
    with concurrent.futures.ThreadPoolExecutor(4) as executor:

        def body(n):
            return pausable.wait_for(executor.submit(pow, n, 2))

        async def main():
            return await gather(*[pausable.run(body, n) for n in range(100)])

        assert run_anywhere(main()) == [n * n for n in range(100)]


def test_asyncio_futures_and_tasks_are_waited_for(run_loop):
    async def value():
        await asyncio.sleep(0)
        return 5

    def body():
        return pausable.wait_for(asyncio.ensure_future(value()))

    async def main():
        return await pausable.run(body)

    assert run_loop(main()) == 5


def test_a_wake_before_the_pause_is_not_lost(run_anywhere):
    def body():
        with pausable.current_job().wait_ctx.waker() as waker:
            in_thread(waker.wake)
            pausable.pause()
            return waker.is_set()

    async def main():
        return await pausable.run(body)

    assert run_anywhere(main()) is True


def test_an_engine_that_sets_a_descriptor_is_served(run_anywhere):
    def body(n):
        reader, writer = os.pipe()
        ctx = pausable.current_job().wait_ctx
        ctx.set_wait_fd("pipe", reader)
        writer_thread = threading.Thread(target=os.write, args=(writer, b"%d" % n))
        writer_thread.start()
        os.set_blocking(reader, False)
        while True:
            try:
                data = os.read(reader, 9)
                break
            except BlockingIOError:
                pausable.pause()
        writer_thread.join()
        ctx.clear_fd("pipe")
        os.close(reader)
        os.close(writer)
        return int(data)

    async def main():
        return await gather(*[pausable.run(body, n) for n in range(30)])

    assert run_anywhere(main()) == list(range(30))


def test_a_descriptor_that_was_closed_and_made_again_is_watched_again(run_anywhere):
    async def main():
        return await pausable.run(one_pipe_after_another, 5)

    assert len(run_anywhere(main())) == 1


def test_a_descriptor_that_was_set_before_another_wait_is_watched(run_anywhere):
    def body():
        reader, writer = os.pipe()
        ctx = pausable.current_job().wait_ctx
        with ctx.waker():  # a promise: nobody looks from time to time
            for _ in range(2):
                ctx.set_wait_fd("pipe", reader)
                pausable.wait_for(tick())
                writes = threading.Timer(0.001, os.write, (writer, b"x"))
                writes.start()
                while not readable(reader):
                    pausable.pause()
                os.read(reader, 1)
                ctx.clear_fd("pipe")
        os.close(reader)
        os.close(writer)
        return "served"

    assert run_anywhere(pausable.run(body)) == "served"


def test_an_engine_that_calls_back_is_served(run_anywhere):
    def body():
        ctx = pausable.current_job().wait_ctx
        ctx.status = pausable.Status.OK
        done = []
        threading.Thread(target=lambda: (done.append(1), ctx.callback())).start()
        while not done:
            pausable.pause()
        return ctx.fds()

    async def main():
        return await pausable.run(body)

    assert run_anywhere(main()) == []


@pytest.mark.parametrize("status", [pausable.Status.EAGAIN, pausable.Status.ERR])
def test_a_busy_engine_is_asked_again_although_a_descriptor_is_set(run_anywhere, status):
    def body():
        reader, writer = os.pipe()
        ctx = pausable.current_job().wait_ctx
        ctx.set_wait_fd("never", reader)
        ctx.status = status
        pauses(3)
        os.close(reader)
        os.close(writer)
        return "asked"

    async def main():
        return await pausable.run(body)

    assert run_anywhere(main()) == "asked"


def test_cancelling_the_task_unwinds_the_job_and_the_cancellation_goes_on(run_loop):
    log = []

    def body():
        try:
            while True:
                pausable.pause()
        finally:
            log.append("unwinding")
            pauses(3)
            log.append("unwound")

    async def main():
        task = asyncio.ensure_future(pausable.run(body))
        while not pausable.thread_pool().stats().paused:
            await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        log.append("cancelled")

    run_loop(main())
    assert log == ["unwinding", "unwound", "cancelled"]


def test_cancelling_twice_while_the_job_unwinds_does_not_cut_it_short(run_loop):
    log = []

    def body():
        try:
            pauses(1000)
        finally:
            pauses(5)
            log.append("unwound")

    async def main():
        task = asyncio.ensure_future(pausable.run(body))
        await asyncio.sleep(0)
        for _ in range(3):
            task.cancel()
            await asyncio.sleep(0)
        with pytest.raises(asyncio.CancelledError):
            await task

    run_loop(main())
    assert log == ["unwound"]


def test_a_job_that_ends_in_spite_of_the_cancellation_gives_its_value(run_loop):
    def body():
        try:
            pauses(1000)
        except pausable.JobCancelled:
            return "in spite"

    async def main():
        task = asyncio.ensure_future(pausable.run(body))
        await asyncio.sleep(0)
        task.cancel()
        return await task

    assert run_loop(main()) == "in spite"


def test_what_cleanup_raises_goes_before_the_cancellation(run_loop):
    def body():
        try:
            pauses(1000)
        finally:
            raise OSError("cleanup")

    async def main():
        task = asyncio.ensure_future(pausable.run(body))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(OSError, match="cleanup"):
            await task

    run_loop(main())


def test_a_task_cancelled_before_it_began_starts_nothing(run_loop):
    log = []

    async def main():
        task = asyncio.ensure_future(pausable.run(log.append, 1))
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    run_loop(main())
    assert log == []


def test_cancelling_a_wait_cancels_the_future(run_loop):
    future = concurrent.futures.Future()

    async def main():
        task = asyncio.ensure_future(pausable.run(pausable.wait_for, future))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    run_loop(main())
    assert future.cancelled()


def test_a_cancelled_asyncio_future_cancels_nobody_else(run_loop):
    async def main():
        future = asyncio.get_running_loop().create_future()

        def body():
            with pytest.raises(asyncio.CancelledError):
                pausable.wait_for(future)
            return "went on"

        asyncio.get_running_loop().call_soon(future.cancel)
        return await pausable.run(body)

    assert run_loop(main()) == "went on"


@pytest.mark.hazard("H10")
@needs_3_11
def test_a_timeout_around_run_unwinds_the_job():
    log = []

    def body():
        try:
            while True:
                pausable.pause()
        finally:
            log.append("unwound")

    async def main():
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01):
                await pausable.run(body)
        assert asyncio.current_task().cancelling() == 0
        await asyncio.sleep(0)

    asyncio.run(main())
    assert log == ["unwound"]


@pytest.mark.hazard("H10")
@needs_3_11
def test_a_timeout_entered_inside_a_job_cancels_that_job_only():
    async def entered():
        return await asyncio.timeout(0.01).__aenter__()

    def body():
        entering = entered()
        with pytest.raises(StopIteration):
            entering.send(None)
        while True:
            pausable.pause()

    async def main():
        bystander = asyncio.ensure_future(asyncio.sleep(0.05, "bystander"))
        task = asyncio.ensure_future(pausable.run(body))
        with pytest.raises(asyncio.CancelledError):
            await task
        return await bystander

    assert asyncio.run(main()) == "bystander"


def test_a_pool_limit_holds_and_is_served_first_come_first_served(run_loop):
    order, most = [], []

    def body(n):
        order.append(n)
        most.append(pausable.thread_pool().stats().size)
        pauses(2)
        return n

    async def main():
        pausable.init_thread(max_size=3)
        return await asyncio.gather(*[pausable.run(body, n) for n in range(30)])

    assert run_loop(main()) == list(range(30))
    assert order == list(range(30))
    assert max(most) == 3


def test_a_job_started_by_hand_in_between_takes_no_waiters_place(run_loop):
    order = []

    async def main():
        pool = pausable.init_thread(max_size=1)
        holder = pool.start(pauses, 1)
        waiting = [asyncio.ensure_future(pausable.run(order.append, n)) for n in range(3)]
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        holder.resume()
        intruder = pool.start(pauses, 1)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        intruder.resume()
        await asyncio.gather(*waiting)

    run_loop(main())
    assert order == [0, 1, 2]


def test_a_waiter_that_is_cancelled_passes_its_turn_on(run_loop):
    log = []

    async def main():
        pool = pausable.init_thread(max_size=1)
        holder = pool.start(pauses, 1)
        waiting = [asyncio.ensure_future(pausable.run(log.append, n)) for n in range(3)]
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        waiting[1].cancel()  # not its turn yet
        holder.resume()  # the turn is the first one's now
        waiting[0].cancel()
        done = await asyncio.gather(*waiting, return_exceptions=True)
        return [type(outcome) for outcome in done]

    cancelled = asyncio.CancelledError
    assert run_loop(main()) == [cancelled, cancelled, type(None)]
    assert log == [2]


def test_a_lost_job_makes_room_for_a_waiting_task(run_loop):
    async def main():
        pool = pausable.init_thread(max_size=1)
        jobs = [pool.start(pauses, 1)]
        task = asyncio.ensure_future(pausable.run(pauses, 1, "served"))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        with pytest.warns(ResourceWarning):
            jobs.clear()
        return await task

    assert run_loop(main()) == "served"


@pytest.mark.hazard("C7")
def test_a_worker_that_completes_after_the_loop_was_closed_disturbs_nobody(run_loop):
    future = concurrent.futures.Future()
    future.set_running_or_notify_cancel()
    wakers = []

    def body():
        wakers.append(pausable.current_job().wait_ctx.waker())
        pausable.wait_for(future)

    async def main():
        task = asyncio.ensure_future(pausable.run(body))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    run_loop(main())
    in_thread(lambda: future.set_result(1))
    in_thread(wakers[0].wake)


@pytest.mark.hazard("C7")
def test_jobs_of_a_loop_that_was_closed_are_unwound_at_the_next_start():
    loop = asyncio.new_event_loop()
    wakers, log = [], []

    def body():
        try:
            with pausable.current_job().wait_ctx.waker() as waker:
                wakers.append(waker)
                pausable.pause()
        finally:
            log.append("unwound")

    coroutine = pausable.run(body)

    async def main():
        loop.call_soon(loop.stop)
        await coroutine

    task = loop.create_task(main())
    loop.run_forever()
    with pytest.warns(ResourceWarning, match="the event loop of a paused job was closed"):
        loop.close()
    in_thread(wakers[0].wake)
    assert log == []
    pausable.start(int)
    assert log == ["unwound"]
    task._log_destroy_pending = False
    coroutine.close()


@pytest.mark.hazard("H17")
@pytest.mark.parametrize("run", [asyncio.run, run_in_trio])
def test_keyboard_interrupt_in_a_job_goes_through_run(run):
    def body():
        pausable.pause()
        raise KeyboardInterrupt

    async def main():
        await pausable.run(body)

    with pytest.raises(KeyboardInterrupt):
        run(main())


@pytest.mark.hazard("H7")
def test_stop_iteration_of_a_job_does_not_end_the_coroutine_in_silence(run_anywhere):
    def body():
        raise StopIteration(3)

    async def main():
        return await pausable.run(body)

    with pytest.raises(RuntimeError, match="StopIteration"):
        run_anywhere(main())


def test_a_job_may_be_cancelled_from_inside_without_cancelling_its_task(run_anywhere):
    def body():
        pausable.current_job().cancel("by itself")
        pausable.pause()

    async def main():
        with pytest.raises(pausable.JobCancelled, match="by itself"):
            await pausable.run(body)
        await tick()

    run_anywhere(main())


def test_nothing_of_the_loop_is_watched_afterwards():
    reader, writer = os.pipe()

    def body():
        pausable.current_job().wait_ctx.set_wait_fd("pipe", reader)
        pausable.pause()

    async def main():
        loop = asyncio.get_running_loop()
        loop.call_soon(os.write, writer, b"x")
        await pausable.run(body)
        assert loop.remove_reader(reader) is False

    asyncio.run(main())
    os.close(reader)
    os.close(writer)


def test_jobs_in_a_job_are_driven_by_hand_while_the_task_waits(run_anywhere):
    def outer():
        inner = pausable.start(pauses, 3, "inner")
        while not inner.resume():
            pausable.pause()
        return inner.result()

    async def main():
        return await gather(*[pausable.run(outer) for _ in range(5)])

    assert run_anywhere(main()) == ["inner"] * 5


@pytest.mark.hazard("H17")
def test_a_waker_fired_by_a_signal_handler_wakes_the_sleeping_loop(run_anywhere):
    woken = []

    def body():
        with pausable.current_job().wait_ctx.waker() as waker:
            signal.signal(signal.SIGUSR1, lambda *_: (woken.append(1), waker.wake()))
            loops_thread = threading.main_thread().ident
            kill = threading.Timer(0.01, signal.pthread_kill, (loops_thread, signal.SIGUSR1))
            kill.start()
            while not woken:
                pausable.pause()
        return "woken"

    before = signal.getsignal(signal.SIGUSR1)
    try:
        assert run_anywhere(pausable.run(body)) == "woken"
    finally:
        signal.signal(signal.SIGUSR1, before)


def test_a_future_of_another_threads_loop_is_refused_in_a_job():
    other = asyncio.new_event_loop()
    thread = threading.Thread(target=other.run_forever)
    thread.start()
    future = other.create_future()
    try:
        with pytest.raises(pausable.WouldDeadlock, match="run_coroutine_threadsafe"):
            asyncio.run(pausable.run(pausable.wait_for, future))
    finally:
        other.call_soon_threadsafe(other.stop)
        thread.join()
        other.close()


def test_a_waited_future_keeps_no_callback_after_a_timeout():
    async def main():
        future = asyncio.get_running_loop().create_future()
        for _ in range(3):
            with pytest.raises(TimeoutError):
                await pausable.run(pausable.wait_for, future, timeout_s=0)
        return future._callbacks

    assert not asyncio.run(main())


def test_a_coroutine_function_is_refused_with_what_to_do_instead():
    async def body():
        """Nothing to pause."""

    with pytest.raises(TypeError, match=r"is a coroutine function.*: await it"):
        pausable.run(body)
