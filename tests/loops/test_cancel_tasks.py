"""Cancelling a task that waits for a job, and cancelling the job that a task waits for."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextvars
import ctypes
import functools
import gc
import os
import signal
import threading

import anyio
import pytest
import trio

import pausable
from core._support import in_thread, pauses
from loops._kinds import gather, needs_3_11, tick, until_paused
from pausable.loops._asyncio_cancel import TaskCancelled

CALLBACK = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p)


def through_c(fn):
    """Call fn() in a C function's callback, where every exception is swallowed."""
    compare = CALLBACK(lambda *_: fn() or 0)
    ctypes.CDLL(None).qsort((ctypes.c_int * 2)(2, 1), 2, 4, compare)


def for_ever():
    while True:
        pausable.pause()


def nobody_fires():
    with pausable.current_job().wait_ctx.waker():
        for_ever()


def a_coroutine():
    pausable.wait_for(anyio.sleep_forever())


def an_executors_future():
    pausable.wait_for(concurrent.futures.Future())


def a_slow_coroutine_with_a_timeout():
    pausable.wait_for(anyio.sleep_forever(), timeout_s=60)


WAITS = [for_ever, nobody_fires, a_coroutine, an_executors_future, a_slow_coroutine_with_a_timeout]


@pytest.fixture(params=WAITS, ids=lambda wait: wait.__name__)
def wait(request):
    """Wait for ever, in each way."""
    return request.param


async def cancelled(body, *, times=1):
    """Run `body` as a job and cancel its task, as the loop does that; tell what came of it."""
    if trio.lowlevel.in_trio_task():
        with trio.CancelScope() as scope:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(pausable.run, body)
                await until_paused()
                scope.cancel()
        return scope.cancelled_caught
    task = asyncio.ensure_future(pausable.run(body))
    await until_paused()
    for _ in range(times):
        task.cancel()
        await asyncio.sleep(0)
    with pytest.raises(asyncio.CancelledError):
        await task
    return task.cancelled()


# -- the task is cancelled -------------------------------------------------------------------------


def test_a_cancellation_reaches_the_job_wherever_it_waits(run_anywhere, wait):
    log = []

    def body():
        try:
            wait()
        except BaseException as exc:
            log.append(isinstance(exc, anyio.get_cancelled_exc_class()))
            raise

    assert run_anywhere(cancelled(body)) is True
    assert log == [True]


def test_asyncios_is_both_asyncios_and_ours(run_loop, wait):
    seen = []

    def body():
        try:
            wait()
        except pausable.JobCancelled as exc:
            seen.append(exc)
            raise

    async def main():
        task = asyncio.ensure_future(pausable.run(body))
        await until_paused()
        task.cancel("why")
        with pytest.raises(asyncio.CancelledError) as info:
            await task
        return info.value

    outside = run_loop(main())
    assert type(seen[0]) is TaskCancelled
    assert isinstance(seen[0], asyncio.CancelledError)
    assert seen[0].args == ("why",)
    assert type(outside) is asyncio.CancelledError


def test_python_code_that_swallows_it_gets_it_again(run_anywhere, wait):
    log = []

    def body():
        for _ in range(2):
            try:
                wait()
            except BaseException:
                log.append("swallowed")
        wait()

    with pytest.warns(RuntimeWarning, match="caught JobCancelled and went on"):
        assert run_anywhere(cancelled(body)) is True
    assert log == ["swallowed"] * 2


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_c_callback_that_swallows_it_gets_it_again(run_anywhere, wait):
    log = []

    def body():
        through_c(wait)
        log.append("C went on")
        wait()

    with pytest.warns(RuntimeWarning, match="caught JobCancelled and went on"):
        assert run_anywhere(cancelled(body)) is True
    assert log == ["C went on"]


def test_swallowed_ten_times_is_an_error_of_run(run_anywhere):
    enough = []

    def body():
        while not enough:
            try:
                pausable.pause()
            except BaseException:
                pass

    async def main():
        try:
            await cancelled(body)
        except BaseException as exc:
            told = exc
            while not isinstance(told, pausable.CancelSwallowed):
                [told] = told.exceptions  # trio's groups
            return str(told)

    def run_and_collect():
        told = run_anywhere(main())
        gc.collect()
        return told

    with pytest.warns(Warning, match=r"caught JobCancelled|was dropped"):
        assert "caught JobCancelled 10 times" in run_and_collect()
    enough.append(True)
    pausable.start(int).result()  # unwinds the lost one


def cleanup_pause():
    pauses(3)


def cleanup_coroutine():
    pausable.wait_for(anyio.sleep(0.001))


def cleanup_coroutine_with_a_timeout():
    with pytest.raises(TimeoutError):
        pausable.wait_for(anyio.sleep_forever(), timeout_s=0.001)


def cleanup_executor():
    with concurrent.futures.ThreadPoolExecutor(1) as executor:
        pausable.wait_for(executor.submit(int))


def cleanup_waker():
    with pausable.current_job().wait_ctx.waker() as waker:
        in_thread(waker.wake)
        while not waker.is_set():
            pausable.pause()


def cleanup_run():
    pausable.wait_for(pausable.run(pauses, 3))


CLEANUPS = [
    cleanup_pause,
    cleanup_coroutine,
    cleanup_coroutine_with_a_timeout,
    cleanup_executor,
    cleanup_waker,
    cleanup_run,
]


@pytest.mark.parametrize("wait", [for_ever, a_coroutine], ids=lambda wait: wait.__name__)
@pytest.mark.parametrize("cleanup", CLEANUPS, ids=lambda fn: fn.__name__)
def test_cleanup_may_pause_and_is_not_cut_short_by_more_cancellations(run_anywhere, wait, cleanup):
    log = []

    def body():
        try:
            wait()
        finally:
            cleanup()
            cleanup()
            log.append("cleaned up")

    assert run_anywhere(cancelled(body, times=5)) is True
    assert log == ["cleaned up"]


@pytest.mark.parametrize("wait", [for_ever, a_coroutine], ids=lambda wait: wait.__name__)
@pytest.mark.parametrize("cleanup", [for_ever, a_coroutine, nobody_fires, an_executors_future])
def test_cleanup_that_takes_too_long_is_cut_short_and_logged(run_anywhere, wait, cleanup, caplog):
    log = []

    def body():
        try:
            wait()
        finally:
            try:
                cleanup()
            finally:
                log.append("cut short")

    async def main():
        pausable.thread_pool().cleanup_timeout_s = 0.01
        return await cancelled(body)

    assert run_anywhere(main()) is True
    assert log == ["cut short"]
    assert "its cleanup takes longer" in caplog.text


def test_a_job_that_ends_with_a_value_in_spite_of_it(run_anywhere, wait):
    results = []

    def body():
        try:
            wait()
        except BaseException:
            return "in spite"

    async def keep():
        results.append(await pausable.run(body))

    async def main():
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(keep)
            await until_paused()
            tasks.cancel_scope.cancel()

    run_anywhere(main())
    assert results == ["in spite"]


# -- the job is cancelled --------------------------------------------------------------------------


async def cancelled_by_hand(body, cancel):
    """Run `body` as a job, and call cancel(job) once it is paused."""
    jobs, outcome = [], []

    def noted():
        jobs.append(pausable.current_job())
        return body()

    async def work():
        try:
            outcome.append(await pausable.run(noted))
        except BaseException as exc:
            outcome.append(exc)
        if hasattr(asyncio.Task, "cancelling") and not trio.lowlevel.in_trio_task():
            assert asyncio.current_task().cancelling() == 0
        await tick(3)  # the task itself is not cancelled

    async def other():
        await until_paused()
        cancel(jobs[0])

    await gather(work(), other())
    return outcome[0]


def by_another_task(job):
    job.cancel("by hand")


def by_another_thread(job):
    in_thread(lambda: job.cancel("by hand"))


def by_closing(job):
    job.close()


HANDS = [by_another_task, by_another_thread, by_closing]


@pytest.mark.parametrize("hand", HANDS, ids=lambda hand: hand.__name__)
def test_a_job_that_is_cancelled_ends_and_its_task_goes_on(run_anywhere, wait, hand):
    exc = run_anywhere(cancelled_by_hand(wait, hand))
    assert type(exc) is pausable.JobCancelled


def test_a_job_that_waits_for_a_future_of_the_loop_is_cancelled(run_loop):
    futures = []

    def body():
        futures.append(asyncio.get_running_loop().create_future())
        pausable.wait_for(futures[0])

    for hand in (by_another_task, by_another_thread):
        assert type(run_loop(cancelled_by_hand(body, hand))) is pausable.JobCancelled
        assert futures.pop().cancelled()


@pytest.mark.parametrize("wait", [for_ever, a_coroutine], ids=lambda wait: wait.__name__)
@pytest.mark.parametrize("cleanup", CLEANUPS, ids=lambda fn: fn.__name__)
def test_cleanup_of_a_job_cancelled_by_hand_is_served(run_anywhere, wait, cleanup):
    log = []

    def body():
        try:
            wait()
        finally:
            cleanup()
            log.append("cleaned up")

    exc = run_anywhere(cancelled_by_hand(body, by_another_task))
    assert type(exc) is pausable.JobCancelled
    assert log == ["cleaned up"]


def test_a_coroutine_that_refuses_to_be_cancelled_leaves_no_mark_on_the_task(run_anywhere):
    async def stubborn():
        try:
            await anyio.sleep_forever()
        except BaseException:
            return "stubborn"

    body = functools.partial(pausable.wait_for, stubborn())
    exc = run_anywhere(cancelled_by_hand(body, by_another_task))
    assert type(exc) is pausable.JobCancelled


def test_a_coroutine_that_fails_when_it_is_cancelled_leaves_no_mark_on_the_task(run_anywhere):
    async def fails():
        try:
            await anyio.sleep_forever()
        finally:
            raise OSError("x")

    def body():
        pausable.wait_for(fails())

    exc = run_anywhere(cancelled_by_hand(body, by_another_task))
    assert type(exc) is pausable.JobCancelled


def test_a_cancel_that_meets_the_end_of_the_wait_does_not_hit_the_cleanup(run_anywhere, caplog):
    log, events = [], []

    def body():
        events.append(anyio.Event())
        try:
            pausable.wait_for(events[0].wait())
        finally:
            pausable.wait_for(anyio.sleep(0.001))
            log.append("cleaned up")

    def complete_and_cancel(job):
        events[0].set()
        job.cancel()

    exc = run_anywhere(cancelled_by_hand(body, complete_and_cancel))
    assert type(exc) is pausable.JobCancelled
    assert log == ["cleaned up"]
    assert caplog.records == []


def test_a_job_cancelled_by_hand_and_then_its_task_too(run_loop, wait):
    log = []

    def body():
        try:
            wait()
        finally:
            cleanup_coroutine()
            log.append("cleaned up")

    async def main():
        task = asyncio.ensure_future(pausable.run(body))
        await until_paused()
        [job] = pausable.thread_pool().jobs()
        job.cancel()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    run_loop(main())
    assert log == ["cleaned up"]


@pytest.mark.parametrize("first", ["job", "scope"])
def test_a_job_cancelled_by_hand_in_a_scope_of_its_own_that_is_cancelled_too(
    run_anywhere, wait, first
):
    scopes = []

    def body():
        with anyio.CancelScope() as scope:
            scopes.append(scope)
            wait()
        for_ever()

    def cancel(job):
        for call in (job.cancel, scopes[0].cancel)[:: 1 if first == "job" else -1]:
            call()

    exc = run_anywhere(cancelled_by_hand(body, cancel))
    assert type(exc) is pausable.JobCancelled


def test_a_job_cancelled_by_hand_in_a_scope_around_run_that_is_cancelled_too(run_anyio, wait):
    async def work(scope):
        with scope:
            try:
                await pausable.run(wait)
            except pausable.JobCancelled:
                pass
        await tick(3)

    async def main():
        for order in (1, -1):
            scope = anyio.CancelScope()
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(work, scope)
                await until_paused()
                [job] = pausable.thread_pool().jobs()
                for call in (job.cancel, scope.cancel)[::order]:
                    call()

    run_anyio(main)


def test_close_from_another_task_cannot_wait_for_cleanup_that_needs_the_loop(run_anywhere):
    log = []

    def body():
        try:
            a_coroutine()
        finally:
            try:
                cleanup_coroutine()
            except pausable.WouldDeadlock:
                log.append("refused")

    exc = run_anywhere(cancelled_by_hand(body, by_closing))
    assert type(exc) is pausable.JobCancelled
    assert log == ["refused"]


def test_close_that_times_out_leaves_the_job_to_its_driver(run_anywhere):
    log = []

    def body():
        try:
            for_ever()
        finally:
            with concurrent.futures.ThreadPoolExecutor(1) as executor:
                pausable.wait_for(executor.submit(closed.wait))
            cleanup_coroutine()
            log.append("cleaned up")

    def close(job):
        with pytest.raises(TimeoutError):
            job.close(timeout_s=0)
        closed.set()

    closed = threading.Event()
    exc = run_anywhere(cancelled_by_hand(body, close))
    assert type(exc) is pausable.JobCancelled
    assert log == ["cleaned up"]


@needs_3_11
def test_a_future_that_somebody_else_cancels_does_not_cancel_the_job(run_loop):
    def body():
        loop = asyncio.get_running_loop()
        for _ in range(3):
            future = loop.create_future()
            loop.call_soon(future.cancel)
            with pytest.raises(asyncio.CancelledError) as info:
                pausable.wait_for(future)
            assert not isinstance(info.value, pausable.JobCancelled)
            pauses(2)
        return "went on"

    assert run_loop(pausable.run(body)) == "went on"


def test_an_executors_future_that_somebody_else_cancels(run_anywhere):
    def body():
        future = concurrent.futures.Future()
        timer = threading.Timer(0.001, future.cancel)
        timer.start()
        with pytest.raises(concurrent.futures.CancelledError):
            pausable.wait_for(future)
        timer.join()
        pauses(2)
        return "went on"

    assert run_anywhere(pausable.run(body)) == "went on"


# -- nobody goes on with the task ------------------------------------------------------------------


def begun(body):
    """Return a coroutine of run that was left in the middle, its task, and its loop."""
    loop = asyncio.new_event_loop()
    coroutine = pausable.run(body)

    async def main():
        loop.call_soon(loop.stop)
        await coroutine

    task = loop.create_task(main())
    loop.run_forever()
    task._log_destroy_pending = False
    return coroutine, task, loop


def close_under_jobs(loop):
    with pytest.warns(ResourceWarning, match="the event loop of a paused job was closed"):
        loop.close()


def left_behind(log, wait):
    try:
        wait()
    except pausable.JobCancelled:
        log.append("unwound")
        raise


def test_a_coroutine_that_is_closed_unwinds_its_job(wait):
    log = []
    coroutine, task, loop = begun(lambda: left_behind(log, wait))
    coroutine.close()
    assert log == ["unwound"]
    loop.close()
    del task
    gc.collect()


def test_a_task_that_was_left_behind_is_unwound_when_its_thread_ends(wait):
    log = []

    def leave():
        log.append(begun(lambda: left_behind(log, wait)))
        close_under_jobs(log[0][2])
        log.append("thread ends")

    in_thread(leave)
    assert log[1:] == ["thread ends", "unwound"]
    log[0][0].close()


def test_a_coroutine_that_another_thread_closes_leaves_a_lost_job(wait):
    log = []
    left = [*begun(lambda: left_behind(log, wait))]

    def close():
        left[0].close()
        left[0] = left[1] = None
        gc.collect()

    with pytest.warns(ResourceWarning, match="a paused job was dropped"):
        in_thread(close)
    assert log == []
    pausable.start(int)
    assert log == ["unwound"]
    left[2].close()


def test_asyncio_run_that_ends_before_the_job_unwinds_it_with_cleanup(wait):
    log = []

    def body():
        try:
            wait()
        finally:
            cleanup_coroutine()
            log.append("cleaned up")

    async def main():
        main.task = asyncio.ensure_future(pausable.run(body))
        await until_paused()

    asyncio.run(main())
    assert log == ["cleaned up"]
    assert main.task.cancelled()


def test_cleanup_that_needs_a_closed_loop_is_refused():
    log = []

    def body():
        try:
            a_coroutine()
        finally:
            try:
                cleanup_coroutine()
            except pausable.WouldDeadlock:
                log.append("refused")

    coroutine, task, loop = begun(body)
    close_under_jobs(loop)
    pausable.start(int)
    assert log == ["refused"]
    del task
    coroutine.close()


# -- cleanup in the task's context -----------------------------------------------------------------


@needs_3_11
def test_what_cleanup_awaits_is_in_the_tasks_context(run_loop):
    seen, var = [], contextvars.ContextVar("var", default="unset")

    async def cleanup():
        await asyncio.sleep(0)
        var.set("set by cleanup")

    def body():
        try:
            pausable.wait_for(asyncio.sleep(3600))
        finally:
            pausable.wait_for(cleanup())

    async def work():
        try:
            await pausable.run(body)
        finally:
            seen.append(var.get())

    async def main():
        task = asyncio.ensure_future(work())
        await until_paused()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert seen == ["set by cleanup"]

    run_loop(main())


@pytest.mark.hazard("H17")
def test_ctrl_c_reaches_a_job_in_trio_that_runs():
    def busy():
        os.kill(os.getpid(), signal.SIGINT)
        return sum(range(10_000_000))

    async def main():
        with pytest.raises(KeyboardInterrupt):
            await pausable.run(busy)
        return "raised in the job"

    assert trio.run(main) == "raised in the job"


def test_a_pool_that_is_closed_lets_nobody_wait(run_anywhere):
    def body():
        while True:
            pausable.pause()

    async def main():
        pausable.init_thread(max_size=1)
        failed = []

        async def one():
            try:
                await pausable.run(body)
            except (pausable.JobCancelled, pausable.JobStateError) as exc:
                failed.append(type(exc))

        async def close():
            await until_paused()
            await tick(3)
            pausable.cleanup_thread(cancel=True)

        await gather(one(), one(), one(), close())
        assert failed.count(pausable.JobStateError) == 2

    run_anywhere(main())
