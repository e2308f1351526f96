"""CoroutineEngine: on the loop that drives the job, or on one of its own."""

from __future__ import annotations

import asyncio
import contextvars
import threading

import pytest
import trio

import pausable
from core._support import in_child
from engines._support import asquare, in_asyncio, in_map, in_trio, outside_jobs, pausable_sleep
from pausable.engines import CoroutineEngine


@pytest.fixture
def engine():
    with CoroutineEngine() as engine:
        yield engine


def test_operations_return_their_own_results(place, engine, wrap):
    wrapped = wrap(engine)
    assert place(lambda n: wrapped.call(asquare, n), range(20)) == [n * n for n in range(20)]


def test_tickets_are_completed_wherever_they_come_from(place, engine):
    def two(number):
        tickets = [engine.submit(asquare, number), engine.submit(asquare, number + 1)]
        return [ticket.result() for ticket in tickets]

    assert place(two, [1, 2]) == [[1, 4], [4, 9]]
    assert engine.pending == 0


async def where():
    await pausable_sleep()
    return threading.current_thread().name


@pytest.mark.parametrize("how", ["call", "submit"])
def test_it_is_the_drivers_loop_in_a_job_of_run_and_else_its_own(engine, how):
    def ask(_):
        return engine.call(where) if how == "call" else engine.submit(where).result()

    here = threading.current_thread().name
    assert in_asyncio(ask, [0]) == [here]
    assert in_trio(ask, [0]) == [here]
    assert in_map(ask, [0]) == ["pausable-coroutines"]
    assert outside_jobs(ask, [0]) == ["pausable-coroutines"]


def test_own_loop_is_used_even_where_a_loop_drives_the_job():
    with CoroutineEngine(own_loop=True) as engine:
        assert in_asyncio(lambda _: engine.call(where), [0]) == ["pausable-coroutines"]
        # not trio's: the loop is asyncio's, always
        assert in_trio(lambda _: engine.call(where), [0]) == ["pausable-coroutines"]


def test_a_call_is_awaited_by_the_jobs_own_task(engine):
    async def task():
        return asyncio.current_task()

    async def main():
        return await pausable.run(engine.call, task) is asyncio.current_task()

    assert asyncio.run(main())


def test_where_pausing_is_blocked_its_own_loop_does_the_work(engine):
    def blocked(_):
        with pausable.pause_blocked():
            return engine.call(where)

    assert in_asyncio(blocked, [0]) == ["pausable-coroutines"]


@pytest.mark.parametrize("run", [in_asyncio, in_trio])
def test_blocking_the_loop_that_has_to_complete_a_ticket_is_refused(engine, run):
    def blocks(_):
        ticket = engine.submit(where)
        with pausable.pause_blocked(), pytest.raises(pausable.WouldDeadlock, match="pause_block"):
            ticket.result()
        return ticket.result()

    assert run(blocks, [0]) == [threading.current_thread().name]


def test_blocking_the_engines_own_loop_is_refused(engine):
    async def calls_the_engine():
        with pytest.raises(pausable.WouldDeadlock):
            engine.call(where)
        return "refused"

    assert engine.call(calls_the_engine) == "refused"


def test_a_ticket_of_another_threads_loop_can_be_waited_for(engine):
    async def main():
        ticket = await pausable.run(engine.submit, asquare, 3)
        return await asyncio.to_thread(ticket.result)

    assert asyncio.run(main()) == 9


def test_what_a_coroutine_raises_is_raised_as_it_is(place, engine, wrap):
    async def fails(number):
        await pausable_sleep()
        raise LookupError(number)

    def call(number):
        with pytest.raises(LookupError, match=str(number)):
            wrapped.call(fails, number)
        return True

    wrapped = wrap(engine)
    assert place(call, [1, 2]) == [True, True]


variable = contextvars.ContextVar("variable", default="none")


async def read():
    return variable.get()


def test_the_coroutine_sees_the_submitters_context_variables(place, engine):
    def call(value):
        token = variable.set(value)
        try:
            return engine.submit(read).result()
        finally:
            variable.reset(token)

    assert place(call, ["a", "b"]) == ["a", "b"]


@pytest.mark.parametrize("own_loop", [True, False])
def test_cancelling_the_job_cancels_the_coroutine(own_loop):
    events = []
    begun, ended = threading.Event(), threading.Event()

    async def forever():
        begun.set()
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            events.append("cancelled")
            raise
        finally:
            ended.set()

    async def main():
        task = asyncio.ensure_future(pausable.run(engine.call, forever))
        while not begun.is_set():
            await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    with CoroutineEngine(own_loop=own_loop) as engine:
        asyncio.run(main())
        assert ended.wait(10)
    assert events == ["cancelled"]


def test_cancelling_a_ticket_of_trios_loop_cancels_the_coroutine(engine):
    events = []

    async def forever():
        try:
            await trio.sleep_forever()
        finally:
            events.append("ended")

    def submit_and_cancel():
        ticket = engine.submit(forever)
        engine.call(trio.sleep, 0.001)
        ticket.cancel()
        engine.call(trio.sleep, 0.001)
        return ticket.cancelled()

    assert trio.run(pausable.run, submit_and_cancel)
    assert events == ["ended"]


@pytest.mark.parametrize("run", [in_asyncio, in_trio])
def test_what_is_cancelled_before_it_begins_is_never_begun(engine, run):
    async def begins():
        begun.append(True)

    def submit_and_cancel(_):
        cancelled = engine.submit(begins).cancel()
        engine.call(pausable_sleep)
        return cancelled

    begun = []
    assert run(submit_and_cancel, [0]) == [True]
    assert begun == []


def test_what_is_cancelled_before_the_engines_own_loop_begins_it_is_never_begun(engine):
    async def keeps_the_loop():
        kept.set()
        go_on.wait()

    async def begins():
        begun.append(True)

    kept, go_on, begun = threading.Event(), threading.Event(), []
    first = engine.submit(keeps_the_loop)
    kept.wait()
    assert engine.submit(begins).cancel()
    go_on.set()
    engine.call(pausable_sleep)
    assert (first.result(), begun) == (None, [])


def test_an_operation_whose_task_somebody_cancels_before_it_begins_is_over(engine):
    def submits():
        ticket = engine.submit(asquare, 3)
        for task in asyncio.all_tasks() - {asyncio.current_task()}:
            task.cancel()
        with pytest.raises(pausable.EngineError, match="was cancelled on its loop"):
            ticket.result()
        return "over"

    assert asyncio.run(pausable.run(submits)) == "over"


def test_closing_cancels_what_is_under_way_and_ends_the_thread():
    ended = []

    async def forever():
        try:
            await asyncio.sleep(3600)
        finally:
            ended.append(True)

    with CoroutineEngine() as engine:
        ticket = engine.submit(forever)
        engine.call(asyncio.sleep, 0)
        thread = engine._place._thread
    assert ended == [True]
    assert not thread.is_alive()
    with pytest.raises(pausable.EngineClosed):
        ticket.result()
    with pytest.raises(pausable.EngineClosed):
        engine.call(where)


def test_an_engine_that_is_dropped_ends_its_thread():
    engine = CoroutineEngine()
    engine.call(where)
    thread = engine._place._thread
    del engine
    thread.join(10)
    assert not thread.is_alive()


def plain(number):
    return number


@pytest.mark.parametrize("how", ["call", "submit"])
def test_what_cannot_be_awaited_is_an_engine_error(place, engine, how):
    def call(number):
        with pytest.raises(pausable.EngineError, match="cannot be awaited: submit a coroutine"):
            getattr(engine, how)(plain, number)
        return True

    assert place(call, [1]) == [True]


def test_a_coroutine_is_refused_since_it_can_be_awaited_only_once(engine):
    with pytest.raises(TypeError, match=r"engine.call\(fn, ...\)"):
        engine.submit(asquare(3))


def test_a_forked_child_has_a_loop_of_its_own(engine):
    engine.call(asquare, 2)
    assert in_child(lambda: engine.call(asquare, 3)) == "ok"
    assert engine.call(asquare, 4) == 16
