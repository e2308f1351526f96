"""Timeouts, cancel scopes and task groups: around `run`, and inside jobs."""

from __future__ import annotations

import asyncio
import sys

import anyio
import pytest
import trio

import pausable
from core._support import pauses
from loops._kinds import needs_3_11, tick


def cancelling():
    return asyncio.current_task().cancelling() if hasattr(asyncio.Task, "cancelling") else 0


def for_ever():
    while True:
        pausable.pause()


def never():
    pausable.wait_for(anyio.sleep_forever())


def nobody_fires():
    with pausable.current_job().wait_ctx.waker():
        for_ever()


@pytest.fixture(params=[for_ever, never, nobody_fires], ids=lambda wait: wait.__name__)
def wait(request):
    """Wait for ever, by each of the ways a driver has."""
    return request.param


@pytest.fixture
def run_counting(run_anyio):
    """Run in anyio; in asyncio, the task must not count as being cancelled afterwards."""

    def run(main):
        async def counted():
            result = await main()
            if not trio.lowlevel.in_trio_task():
                assert cancelling() == 0
            await tick(3)  # a late cancellation would be raised here
            return result

        return run_anyio(counted)

    return run


# -- around run ------------------------------------------------------------------------------------


def test_a_scope_around_run_unwinds_the_job(run_counting, wait):
    log = []

    def body():
        try:
            wait()
        finally:
            log.append("unwound")

    async def main():
        with anyio.move_on_after(0.01) as scope:
            await pausable.run(body)
        assert scope.cancelled_caught
        assert log == ["unwound"]

    run_counting(main)


def test_a_scope_around_run_raises_its_timeout(run_counting, wait):
    async def main():
        with pytest.raises(TimeoutError):
            with anyio.fail_after(0.01):
                await pausable.run(wait)

    run_counting(main)


def test_a_scope_that_was_cancelled_before_run_lets_it_begin_only(run_counting):
    log = []

    def body():
        log.append("begun")
        pausable.pause()
        log.append("paused")

    async def main():
        with anyio.CancelScope() as scope:
            scope.cancel()
            await pausable.run(body)

    run_counting(main)
    assert log == ["begun"]


def test_a_task_group_that_fails_cancels_its_jobs(run_counting, wait):
    log = []

    def body():
        try:
            wait()
        except BaseException as exc:
            log.append(isinstance(exc, anyio.get_cancelled_exc_class()))
            raise

    async def fail():
        await tick(5)
        raise OSError("x")

    async def main():
        with pytest.raises(BaseException) as info:  # an exception group
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(pausable.run, body)
                tasks.start_soon(pausable.run, body)
                tasks.start_soon(fail)
        assert [type(exc) for exc in info.value.exceptions] == [OSError]

    run_counting(main)
    assert log == [True, True]


def test_a_job_that_fails_cancels_its_task_group(run_counting):
    def body():
        pausable.pause()
        raise OSError("x")

    async def main():
        with pytest.raises(BaseException) as info:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(pausable.run, for_ever)
                tasks.start_soon(pausable.run, body)
        assert [type(exc) for exc in info.value.exceptions] == [OSError]

    run_counting(main)


def test_a_job_waits_for_a_task_group_of_its_own(run_counting):
    async def group(log):
        async with anyio.create_task_group() as tasks:
            for n in range(3):
                tasks.start_soon(pausable.run, lambda n=n: (pauses(n), log.append(n)))

    def body():
        log = []
        pausable.wait_for(group(log))
        return sorted(log)

    async def main():
        return await pausable.run(body)

    assert run_counting(main) == [0, 1, 2]


@needs_3_11
def test_asyncios_task_group_cancels_its_jobs_and_no_more(run_loop):
    async def main():
        with pytest.raises(ExceptionGroup):  # noqa: F821  # of 3.11
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(pausable.run(for_ever))
                tasks.create_task(pausable.run(lambda: (pausable.pause(), 1 / 0)))
        await pausable.run(pauses, 3)

    run_loop(main())


@needs_3_11
def test_asyncios_timeouts_nest(run_loop, wait):
    async def main():
        for _ in range(3):
            async with asyncio.timeout(60) as outer:
                with pytest.raises(TimeoutError):
                    async with asyncio.timeout(0.001):
                        await pausable.run(wait)
                assert cancelling() == 0
                await pausable.run(pauses, 2)
            assert not outer.expired()

    run_loop(main())


@needs_3_11
def test_asyncios_outer_timeout_ends_a_job_in_an_inner_one(run_loop, wait):
    async def main():
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.001):
                async with asyncio.timeout(60) as inner:
                    await pausable.run(wait)
        assert not inner.expired()
        assert cancelling() == 0

    run_loop(main())


def test_asyncio_wait_for_ends_a_job(run_loop, wait):
    async def main():
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(pausable.run(wait), 0.001)
        assert cancelling() == 0
        await pausable.run(pauses, 3)

    run_loop(main())


# -- inside jobs -----------------------------------------------------------------------------------


def test_a_scope_inside_a_job_ends_what_it_waits_for(run_counting, wait):
    def body():
        with anyio.move_on_after(0.001) as scope:
            wait()
        assert scope.cancelled_caught
        pauses(3)  # the job goes on
        return pausable.wait_for(after(2))

    async def after(result):
        await tick(3)
        return result

    async def main():
        return await pausable.run(body)

    assert run_counting(main) == 2


def test_scopes_inside_a_job_one_after_another(run_counting, wait):
    def body():
        caught = 0
        for _ in range(20):
            with anyio.move_on_after(0) as scope:
                wait()
            caught += scope.cancelled_caught
        return caught

    async def main():
        return await pausable.run(body)

    assert run_counting(main) == 20


def test_nested_scopes_inside_a_job_the_inner_one_times_out(run_counting, wait):
    def body():
        with anyio.move_on_after(60) as outer:
            with anyio.move_on_after(0.001) as inner:
                wait()
            pauses(3)
        return outer.cancelled_caught, inner.cancelled_caught

    async def main():
        return await pausable.run(body)

    assert run_counting(main) == (False, True)


def test_nested_scopes_inside_a_job_the_outer_one_times_out(run_counting, wait):
    log = []

    def body():
        with anyio.move_on_after(0.001) as outer:
            with anyio.move_on_after(60) as inner:
                wait()
            log.append("not here")
        return outer.cancelled_caught, inner.cancelled_caught

    async def main():
        return await pausable.run(body)

    assert run_counting(main) == (True, False)
    assert log == []


def test_an_outer_and_an_inner_scope_that_time_out_at_once(run_counting, wait):
    log = []

    def body():
        with anyio.CancelScope() as inner:
            inner.cancel()
            scopes[0].cancel()
            wait()
        log.append("the outer one ends this too, at the next pause at the latest")
        wait()
        log.append("not here")

    scopes = []

    async def main():
        with anyio.CancelScope() as outer:
            scopes.append(outer)
            await pausable.run(body)
        assert outer.cancelled_caught

    run_counting(main)
    assert len(log) <= 1


def test_a_scope_around_run_ends_a_job_in_a_scope_of_its_own(run_counting, wait):
    def body():
        with anyio.move_on_after(60) as inner:
            wait()
        return inner

    async def main():
        with anyio.move_on_after(0.001) as outer:
            await pausable.run(body)
        assert outer.cancelled_caught

    run_counting(main)


def test_a_shielded_scope_in_a_job_is_not_cancelled_from_outside(run_counting):
    log = []

    def body():
        with anyio.CancelScope(shield=True):
            pausable.wait_for(after())
            pauses(3)
            log.append("shielded")
        pauses(3)
        log.append("not here")

    async def after():
        scopes[0].cancel()
        await tick(3)

    scopes = []

    async def main():
        with anyio.CancelScope() as outer:
            scopes.append(outer)
            await pausable.run(body)

    run_counting(main)
    assert log == ["shielded"]


def test_a_time_limit_of_cleanup_code_holds(run_counting, wait):
    log = []

    def body():
        try:
            wait()
        finally:
            with anyio.move_on_after(0.001, shield=True) as limit:
                wait()
            log.append(limit.cancelled_caught)
            pauses(3)
            pausable.wait_for(anyio.sleep(0))
            log.append("unwound")

    async def main():
        with anyio.move_on_after(0.001):
            await pausable.run(body)

    run_counting(main)
    assert log == [True, "unwound"]


def test_cleanup_of_a_scope_in_a_job_is_served_and_the_job_goes_on(run_counting, wait):
    log = []

    def body():
        for _ in range(2):
            with anyio.move_on_after(0.001):
                try:
                    wait()
                finally:
                    pauses(3)
                    log.append(pausable.wait_for(cleanup()))
        return "went on"

    async def cleanup():
        await anyio.sleep(0.001)
        return "cleaned up"

    async def main():
        return await pausable.run(body)

    assert run_counting(main) == "went on"
    assert log == ["cleaned up"] * 2


def test_the_time_for_cleanup_begins_anew_with_each_cancellation(run_counting, caplog):
    def body():
        for _ in range(2):
            with anyio.move_on_after(0.001):
                try:
                    never()
                finally:
                    pausable.pause()
            pausable.wait_for(anyio.sleep(0.05))  # longer than the limit
        return "went on"

    async def main():
        pausable.thread_pool().cleanup_timeout_s = 0.02
        return await pausable.run(body)

    assert run_counting(main) == "went on"
    assert caplog.records == []


def test_an_outer_cancellation_that_comes_during_cleanup_goes_on_afterwards(run_counting):
    log, scopes = [], []

    def body():
        with anyio.move_on_after(0.001):
            try:
                never()
            finally:
                pausable.wait_for(cleanup())
                log.append("cleaned up")
        pauses(3)
        log.append("not here")

    async def cleanup():
        scopes[0].cancel()
        await anyio.sleep(0.001)

    async def main():
        with anyio.CancelScope() as outer:
            scopes.append(outer)
            await pausable.run(body)
        assert outer.cancelled_caught

    run_counting(main)
    assert log == ["cleaned up"]


@needs_3_11
def test_a_task_that_takes_its_cancellation_back_goes_on(run_loop):
    def body():
        try:
            asyncio.current_task().cancel()
            pausable.pause()
        except asyncio.CancelledError:
            asyncio.current_task().uncancel()
        pauses(3)
        return pausable.wait_for(asyncio.sleep(0, "went on"))

    async def main():
        assert await pausable.run(body) == "went on"
        assert cancelling() == 0

    run_loop(main())


@needs_3_11
def test_a_job_in_the_cleanup_of_a_cancelled_task_is_not_cancelled(run_loop):
    log = []

    async def work():
        try:
            await asyncio.sleep(60)
        finally:
            log.append(await pausable.run(pauses, 3, "cleaned up"))
            assert cancelling() == 1

    async def main():
        task = asyncio.ensure_future(work())
        await tick(2)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    run_loop(main())
    assert log == ["cleaned up"]


@pytest.mark.parametrize("wait", [for_ever, never, nobody_fires])
def test_a_cancellation_that_is_due_when_run_begins_is_raised_in_the_job(run_loop, wait):
    log = []

    def body():
        try:
            wait()
        except asyncio.CancelledError:
            log.append("cancelled")
            raise

    async def work():
        asyncio.current_task().cancel()
        await pausable.run(body)

    async def main():
        with pytest.raises(asyncio.CancelledError):
            await asyncio.ensure_future(work())

    run_loop(main())
    assert log == ["cancelled"]


@pytest.mark.skipif(sys.version_info >= (3, 11), reason="3.11 counts cancellations")
def test_3_10_a_caught_cancellation_is_raised_again_for_nobody_can_take_it_back(run_loop):
    log = []

    def body():
        for _ in range(2):
            try:
                for_ever()
            except asyncio.CancelledError:
                log.append("caught")
        return "ended"

    async def main():
        task = asyncio.ensure_future(pausable.run(body))
        await tick(3)
        task.cancel()
        with pytest.warns(RuntimeWarning, match="caught JobCancelled"):
            return await task

    assert run_loop(main()) == "ended"
    assert log == ["caught"] * 2


def test_trios_own_scopes_and_nurseries():
    def body():
        with trio.move_on_after(0.001) as scope:
            pausable.wait_for(trio.sleep_forever())
        with pytest.raises(trio.TooSlowError), trio.fail_after(0.001):
            for_ever()
        return scope.cancelled_caught

    async def main():
        async with trio.open_nursery() as nursery:
            nursery.start_soon(pausable.run, for_ever)
            assert await pausable.run(body) is True
            nursery.cancel_scope.cancel()

    trio.run(main)
