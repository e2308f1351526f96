"""Engines around engines: what the innermost needs is not lost on the way."""

from __future__ import annotations

import asyncio
import contextvars
import threading

import pytest

import pausable
from engines._support import in_asyncio, in_trio, pausable_sleep
from pausable.engines import BatchEngine, CoroutineEngine, ExecutorEngine, Retry, guard
from pausable.testing import FakeEngine, FakeLoop, FaultEngine

NO_DELAY = {"delay_s": 0.0, "budget": None}


def batch(engine):
    return BatchEngine(many, 4, engine=engine)


async def many(requests):
    return [await fn() for fn in requests]


def faulty(engine):
    return FaultEngine(engine, seed=1)


NESTED = {
    "guard of a guard": lambda engine: guard(guard(engine)),
    "guard of a faulty engine": lambda engine: guard(faulty(engine)),
    "guard of a batch": lambda engine: guard(batch(engine)),
    "batch of a guard": lambda engine: batch(guard(engine)),
    "batch of a guard of a guard": lambda engine: batch(guard(guard(engine))),
    "guard of an executor engine": lambda engine: guard(ExecutorEngine(engine)),
}


@pytest.fixture(params=NESTED.values(), ids=NESTED)
def nest(request):
    return request.param


@pytest.fixture
def coroutines():
    with CoroutineEngine() as engine:
        yield engine


async def name_of_thread():
    await pausable_sleep()
    return threading.current_thread().name


def where():
    """Be a plain function, which an ExecutorEngine takes too."""
    return name_of_thread()


@pytest.mark.parametrize("run", [in_asyncio, in_trio])
def test_coroutines_are_awaited_on_the_loop_that_drives_the_job(coroutines, nest, run):
    engine = nest(coroutines)
    here = threading.current_thread().name
    assert run(lambda _: engine.call(where), range(5)) == [here] * 5


@pytest.mark.parametrize("run", [in_asyncio, in_trio])
def test_to_block_the_loop_that_has_to_complete_them_is_refused(coroutines, nest, run):
    def blocks(_):
        ticket = engine.submit(where)
        with pausable.pause_blocked(), pytest.raises(pausable.WouldDeadlock, match="pause_block"):
            ticket.result()
        return ticket.result()

    engine = nest(coroutines)
    assert run(blocks, [0]) == [threading.current_thread().name]


def test_where_pausing_is_blocked_the_engines_own_loop_does_the_work(coroutines, nest):
    def blocked(_):
        with pausable.pause_blocked():
            return engine.call(where)

    engine = nest(coroutines)
    assert in_asyncio(blocked, [0]) == ["pausable-coroutines"]


@pytest.mark.parametrize(
    "queue",
    [
        lambda engine: guard(engine, max_in_flight=1),
        lambda engine: guard(guard(engine, max_in_flight=1)),
        batch,
    ],
    ids=["guard", "guard of a guard", "batch"],
)
def test_to_block_behind_somebody_who_needs_the_loop_is_refused(coroutines, queue):
    def first():
        return engine.call(where)

    def second():
        with pausable.pause_blocked(), pytest.raises(pausable.WouldDeadlock):
            engine.call(where)
        return engine.call(where)

    async def main():
        return await asyncio.gather(pausable.run(first), pausable.run(second))

    engine = queue(coroutines)
    assert asyncio.run(main()) == [threading.current_thread().name] * 2


def test_to_block_behind_somebody_who_needs_no_loop_is_not_refused(nest):
    event = threading.Event()

    def second():
        event.set()
        with pausable.pause_blocked():
            return engine.call(threading.get_ident)

    async def main():
        return await asyncio.gather(pausable.run(engine.call, event.wait), pausable.run(second))

    with ExecutorEngine() as threads:
        engine = guard(threads, max_in_flight=1)
        waited, ident = asyncio.run(main())
    assert waited
    assert ident != threading.get_ident()


def test_later_attempts_have_the_context_of_whoever_submitted():
    user = contextvars.ContextVar("user")
    seen = []

    async def fails_at_first():
        seen.append(user.get())
        if len(seen) < 3:
            raise ConnectionError
        return user.get()

    async def request():
        user.set("alice")
        return await pausable.run(engine.call, fails_at_first)

    with CoroutineEngine() as inner, guard(guard(inner), retry=Retry(3, **NO_DELAY)) as engine:
        assert asyncio.run(request()) == "alice"
    assert seen == ["alice"] * 3


def test_a_coroutine_that_submits_something_itself_is_where_it_is_and_not_where_it_came_from():
    async def outer():
        return await asyncio.to_thread(inner.submit(where).result)

    async def main():
        return await pausable.run(engine.call, outer)

    with CoroutineEngine(own_loop=True) as own, CoroutineEngine() as inner, guard(own) as engine:
        # not on the main loop, which the outer coroutine was submitted from
        assert asyncio.run(main()) == "pausable-coroutines"


class BusyAtFirst(FakeEngine):
    """Answers EAGAIN so many times."""

    def __init__(self, times):
        super().__init__()
        self.storm = FaultEngine(self, seed=1, again_rate=1)
        self.times = times

    def submit(self, *request):
        self.times -= 1
        return self.storm.submit(*request) if self.times >= 0 else super().submit("work")


def test_what_an_engine_used_as_an_executor_turns_down_is_asked_again():
    busy = BusyAtFirst(2)
    with FakeLoop() as loop, ExecutorEngine(busy) as engine:
        assert engine.submit(print).status is not pausable.Status.ERR
        job = loop.start(engine.call, print)
        loop.advance(1)
        busy.finish("work", 1)
        loop.run_until_idle()
        assert job.result() == 1
