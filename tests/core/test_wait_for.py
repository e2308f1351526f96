"""wait_for: the one primitive of engines."""

from __future__ import annotations

import asyncio
import concurrent.futures
import inspect
import threading

import pytest

import pausable
from core._support import finish, in_thread, readable


@pytest.fixture
def future():
    return concurrent.futures.Future()


def test_a_completed_future_is_not_waited_for(future):
    future.set_result(3)
    assert pausable.wait_for(future) == 3
    assert pausable.start(pausable.wait_for, future).result() == 3


def test_a_job_pauses_until_the_future_is_complete_whatever_resumes_it(future):
    job = pausable.start(pausable.wait_for, future)
    for _ in range(5):
        assert job.resume() is False
    future.set_result("v")
    assert readable(job.wait_ctx.fds()[0])
    assert job.resume() is True
    assert job.result() == "v"
    assert not readable(job.wait_ctx.fds()[0])


def test_completion_by_another_thread_makes_the_descriptor_readable(future):
    job = pausable.start(pausable.wait_for, future)
    [fd] = job.wait_ctx.fds()
    assert not readable(fd)
    in_thread(lambda: future.set_result(1))
    assert readable(fd)
    assert finish(job) == 1


def test_outside_a_job_an_early_wake_is_no_completion():
    class Early(concurrent.futures.Future):
        def add_done_callback(self, fn):
            fn(self)
            super().add_done_callback(fn)

        def result(self, timeout=None):
            assert self.done()
            return super().result(0)

    future = Early()
    threading.Timer(0.001, future.set_result, ["done"]).start()
    assert pausable.wait_for(future) == "done"
    with pytest.raises(TimeoutError):
        pausable.wait_for(Early(), timeout_s=0.001)


def test_the_descriptor_is_the_same_for_every_wait():
    futures = [concurrent.futures.Future() for _ in range(3)]
    job = pausable.start(lambda: [pausable.wait_for(future) for future in futures])
    seen = set()
    for future in futures:
        seen.update(job.wait_ctx.fds())
        future.set_result(0)
        job.resume()
    assert job.done()
    assert len(seen) == 1


def test_the_futures_exception_is_raised_in_the_job(future):
    job = pausable.start(pausable.wait_for, future)
    future.set_exception(OSError("engine"))
    with pytest.raises(OSError, match="engine"):
        finish(job)


def test_a_cancelled_future_raises_its_cancelled_error(future):
    job = pausable.start(pausable.wait_for, future)
    future.cancel()
    with pytest.raises(concurrent.futures.CancelledError):
        finish(job)
    assert not job.cancelled()


def test_cancelling_the_job_cancels_the_future(future):
    job = pausable.start(pausable.wait_for, future)
    job.cancel()
    assert job.cancelled()
    assert future.cancelled()


def test_a_late_completion_of_a_cancelled_wait_touches_nothing(future):
    future.set_running_or_notify_cancel()
    ctx = pausable.WaitContext()
    job = pausable.thread_pool().start_in(ctx, pausable.wait_for, future)
    job.cancel()
    assert job.cancelled()
    after = pausable.thread_pool().start_in(ctx, pausable.pause)
    future.set_result("late")
    assert not readable(ctx.fds()[0])
    finish(after)


def test_a_timeout_in_a_job_raises_and_the_future_goes_on(future):
    with pytest.raises(TimeoutError, match=r"0\.01 s"):
        with_driver(pausable.wait_for, future, 0.01)
    assert not future.cancelled()
    assert future.set_running_or_notify_cancel()


def with_driver(fn, *args):
    return next(pausable.map(fn, *[[arg] for arg in args]))


def test_a_timeout_of_zero_looks_once(future):
    with pytest.raises(TimeoutError):
        pausable.wait_for(future, 0)
    with pytest.raises(TimeoutError):
        pausable.start(pausable.wait_for, future, 0).result()
    future.set_result(1)
    assert pausable.wait_for(future, 0) == 1


def test_a_timeout_outside_a_job_raises(future):
    with pytest.raises(TimeoutError):
        pausable.wait_for(future, 0.01)


@pytest.mark.parametrize("timeout_s", [-1, float("nan")])
def test_bad_timeouts_are_refused(future, timeout_s):
    with pytest.raises(ValueError, match="timeout_s"):
        pausable.wait_for(future, timeout_s)


def test_a_completion_beats_a_timeout_that_is_far():
    with concurrent.futures.ThreadPoolExecutor(1) as executor:
        assert next(pausable.map(lambda _: pausable.wait_for(executor.submit(int), 60), [0])) == 0


def test_outside_a_job_it_blocks(future):
    threading.Thread(target=future.set_result, args=(8,)).start()
    assert pausable.wait_for(future) == 8


def test_where_pausing_is_blocked_it_blocks(future):
    def body():
        with pausable.pause_blocked():
            threading.Thread(target=future.set_result, args=(8,)).start()
            return pausable.wait_for(future)

    job = pausable.start(body)
    assert job.done()
    assert job.result() == 8


async def coroutine():
    return 1


@pytest.mark.parametrize("wrong", [None, 3, "text", object(), lambda: 1])
def test_what_is_no_future_is_refused_with_the_remedy(wrong):
    with pytest.raises(TypeError, match=r"executor\.submit"):
        pausable.wait_for(wrong)


def test_a_coroutine_is_refused_with_the_remedy():
    wrong = coroutine()
    with pytest.raises(pausable.WouldDeadlock, match=r"await pausable\.run"):
        pausable.wait_for(wrong)
    assert inspect.getcoroutinestate(wrong) == inspect.CORO_CLOSED


def test_an_asyncio_future_outside_a_job_would_deadlock_and_says_what_to_do():
    async def main():
        with pytest.raises(pausable.WouldDeadlock, match=r"await pausable\.run"):
            pausable.wait_for(asyncio.get_running_loop().create_future())

    asyncio.run(main())


def test_an_asyncio_future_of_another_thread_is_refused_with_the_remedy():
    async def main():
        future = asyncio.get_running_loop().create_future()
        with pytest.raises(pausable.WouldDeadlock, match="run_coroutine_threadsafe"):
            await asyncio.to_thread(pausable.wait_for, future)

    asyncio.run(main())


class Impatient:
    """A future that is done the moment somebody asks to be told, as Dask's may be."""

    def __init__(self):
        self.completed = False

    def done(self):
        return self.completed

    def result(self):
        return "impatient"

    def add_done_callback(self, callback):
        self.completed = True
        callback(self)


def test_a_future_that_calls_back_at_once_is_served():
    assert pausable.start(pausable.wait_for, Impatient()).result() == "impatient"
    assert pausable.wait_for(Impatient()) == "impatient"


class Liar(Impatient):
    """It calls back before it is done, and again when it is."""

    def add_done_callback(self, callback):
        self.callback = callback
        callback(self)


def test_a_call_back_is_only_a_hint():
    liar = Liar()
    job = pausable.start(pausable.wait_for, liar)
    assert readable(job.wait_ctx.fds()[0])
    job.resume()
    assert job.paused
    assert not readable(job.wait_ctx.fds()[0])
    liar.completed = True
    liar.callback(liar)
    liar.callback(liar)
    assert finish(job) == "impatient"


def test_a_future_that_fails_to_take_the_callback_leaves_no_promise():
    class Broken(Impatient):
        def add_done_callback(self, callback):
            raise OSError("broken")

    job = pausable.start(pausable.wait_for, Broken(), 60)
    with pytest.raises(OSError, match="broken"):
        job.result()
    assert not job.wait_ctx.has_wakers()


def test_two_jobs_wait_for_one_future(future):
    jobs = [pausable.start(pausable.wait_for, future) for _ in range(2)]
    future.set_result(4)
    assert [finish(job) for job in jobs] == [4, 4]


def test_a_nested_job_waits_in_its_own_context(future):
    def outer():
        inner = pausable.start(pausable.wait_for, future)
        assert inner.wait_ctx is not pausable.current_job().wait_ctx
        future.set_result(1)
        return finish(inner), pausable.current_job().wait_ctx.fds()

    assert pausable.start(outer).result() == (1, [])


def test_a_hundred_waits_in_flight_on_one_thread():
    with concurrent.futures.ThreadPoolExecutor(4) as executor:

        def square(n):
            return pausable.wait_for(executor.submit(pow, n, 2))

        assert list(pausable.map(square, range(100), jobs=100)) == [n * n for n in range(100)]


def test_timers_go_off_in_a_forked_child():
    from core._support import in_child

    future = concurrent.futures.Future()
    with pytest.raises(TimeoutError):
        with_driver(pausable.wait_for, future, 0.001)  # the clock's thread runs in the parent

    def child():
        with pytest.raises(TimeoutError):
            with_driver(pausable.wait_for, future, 0.001)

    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        assert in_child(child) == "ok"
