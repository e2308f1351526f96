"""What engines owe, whatever goes wrong: one end for each operation, and nothing left."""

from __future__ import annotations

import asyncio
import gc
import operator
import random
import threading
from collections import Counter, defaultdict
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import TimeoutError as FuturesTimeout  # not the built-in one on 3.10
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest

import pausable
from pausable.engines import (
    BatchEngine,
    Breaker,
    CoroutineEngine,
    ExecutorEngine,
    Retry,
    guard,
)
from pausable.testing import (
    FakeEngine,
    FakeLoop,
    FaultEngine,
    InjectedFault,
    InjectedInterrupt,
)

#: So many operations, of which so many are under way at once, and a share is cancelled.
COUNT = 10_000
JOBS = 200
CANCEL_RATE = 0.05
SEED = 2015

FAULTS = {
    "max_delay_s": 0.002, "error_rate": 0.1, "again_rate": 0.03, "early_wake_rate": 0.2,
    "double_rate": 0.2, "lose_rate": 0.01, "pause_rate": 0.03,
}  # fmt: skip


async def negate(number):
    await asyncio.sleep(0)
    return -number


def negate_all(numbers):
    return [-number for number in numbers]


class Engines:
    """One of each kind, which misbehave below their guards, by seed."""

    def __init__(self, seed):
        self.stack = ExitStack()
        enter, self.guards, self.faulty = self.stack.enter_context, [], []
        threads = enter(ThreadPoolExecutor(4))
        executor = enter(ExecutorEngine(threads))
        coroutines = enter(CoroutineEngine())
        batches = enter(BatchEngine(negate_all, 16))
        # batches that are turned down, fail or get lost as a whole
        below = self._faulty(executor, seed + 1)
        shaky_batches = enter(BatchEngine(negate_all, 16, engine=below, max_in_flight=4))
        other_loop = enter(CoroutineEngine(own_loop=True))
        neg = operator.neg
        calls = [
            (self._guard(self._faulty(executor, seed + 2), seed, executor), (neg,)),
            (self._guard(self._faulty(coroutines, seed + 3), seed, other_loop), (negate,)),
            (self._guard(self._faulty(batches, seed + 4), seed, batches), ()),
            (self._guard(shaky_batches, seed, None), ()),
            # with nothing in between: what is lost is bounded by who waits
            (self._faulty(executor, seed + 5, interrupt_rate=0.05), (neg,)),
        ]
        self._calls = calls
        self.plain = [executor, coroutines, batches, shaky_batches, other_loop]

    def _faulty(self, engine, seed, **more):
        faulty = self.stack.enter_context(FaultEngine(engine, seed=seed, **FAULTS, **more))
        self.faulty.append(faulty)
        return faulty

    def _guard(self, engine, seed, fallback):
        retry = Retry(3, delay_s=0.001, budget=1.0, seed=seed)
        guarded = guard(
            engine, max_in_flight=48, max_waiting=200, timeout_s=0.5, deadline_s=30.0,
            retry=retry, breaker=Breaker(4, reset_s=0.01), fallback=fallback,
        )  # fmt: skip
        self.guards.append(guarded)
        return self.stack.enter_context(guarded)

    def call(self, number):
        engine, function = self._calls[number % len(self._calls)]
        if number % len(self._calls) < 4:
            return engine.call(*function, number)
        ticket = engine.submit(*function, number)
        try:
            return pausable.wait_for(ticket, timeout_s=0.5)
        finally:
            ticket.cancel()  # who has no time left for it cancels it

    def left(self):
        """Return what is under way: nothing, in the end."""
        stats = [(guarded.stats().in_flight, guarded.stats().waiting) for guarded in self.guards]
        pending = [engine.pending for engine in (*self.guards, *self.faulty, *self.plain)]
        return {"guards": sum(map(sum, stats)), "pending": sum(pending)}


async def ask_for_all(engines, seed, ended, wrong):
    """Have each number negated in a job of its own, and note how that ended."""
    draw = random.Random(seed)
    numbers = iter(range(COUNT))
    loop = asyncio.get_running_loop()

    def ask(number):
        try:
            value = engines.call(number)
        except (pausable.EngineError, TimeoutError, FuturesTimeout) as exc:
            return type(exc).__name__
        except InjectedInterrupt:
            return "interrupted"
        if value != -number:
            wrong.append((number, value))
        return "result"

    async def work():
        for number in numbers:
            task = asyncio.ensure_future(pausable.run(ask, number))
            cancelled = draw.random() < CANCEL_RATE
            if cancelled:
                loop.call_later(draw.uniform(0, 0.003), task.cancel)
            try:
                how = await task
            except asyncio.CancelledError:
                how = "cancelled" if cancelled else "cancelled by nobody"
            ended[number].append(how)

    await asyncio.gather(*[work() for _ in range(JOBS)])


def open_fds():
    here = Path("/proc/self/fd")
    return len(list(here.iterdir())) if here.is_dir() else 0


def objects_of_ours():
    """Count what is there of the objects that an operation or a job consists of."""
    gc.collect()
    names = [type(thing).__qualname__ for thing in gc.get_objects() if is_ours(thing)]
    return Counter(names)


def is_ours(thing):
    module = type(thing).__module__  # not a str, for types of some C extensions
    ours = ("pausable.engines", "pausable._job", "pausable._wait", "pausable._timer")
    return isinstance(module, str) and module.startswith(ours)


def test_ten_thousand_operations_end_once_with_their_own_result_or_a_clear_error():
    before = objects_of_ours(), open_fds(), set(threading.enumerate())
    ended, wrong = defaultdict(list), []
    engines = Engines(SEED)
    with engines.stack:
        asyncio.run(ask_for_all(engines, SEED, ended, wrong))
        left = engines.left()
        counts = sum((Counter(faulty.counts) for faulty in engines.faulty), Counter())
    told = Counter(how for hows in ended.values() for how in hows)
    story = f"seed {SEED}: {told}, faults {counts}"
    assert wrong == [], story
    assert [n for n in range(COUNT) if len(ended[n]) != 1] == [], story
    assert told["cancelled by nobody"] == 0, story
    assert told["result"] > COUNT / 2, story
    assert all(counts.values()), story
    assert left == {"guards": 0, "pending": 0}, story
    assert pausable.jobs() == [], story
    del engines
    pausable.cleanup_thread()
    leave_no_more_than(before, story)


def leave_no_more_than(before, story):
    objects, fds, threads = before
    for thread in set(threading.enumerate()) - threads:
        if thread.name != "pausable-timer":  # one for the process
            thread.join(10)
            assert not thread.is_alive(), (thread, story)
    assert open_fds() <= fds, story
    more = objects_of_ours() - objects
    assert sum(more.values()) < 100, (more, story)  # timers that were called off are kept a while


def test_engines_leave_no_threads_behind():
    before = set(threading.enumerate())
    with ExecutorEngine(max_workers=4) as threads:
        with guard(FaultEngine(threads, seed=1, max_delay_s=0.001)) as engine:
            list(pausable.map(lambda n: engine.call(int, n), range(100)))
    for thread in set(threading.enumerate()) - before:
        if thread.name != "pausable-timer":  # one for the process
            thread.join(10)
            assert not thread.is_alive()


# -- FaultEngine itself ----------------------------------------------------------------------------


def test_faults_depend_on_seed_and_number_alone():
    engines = [FaultEngine(FakeEngine(), seed=seed, error_rate=0.5) for seed in (1, 1, 2)]
    first, same, other = [[engine.faults(n).error for n in range(100)] for engine in engines]
    assert first == same
    assert first != other


def test_a_storm_turns_down_several_in_a_row():
    fake = FakeEngine()
    engine = FaultEngine(fake, seed=1, again_rate=1)
    tickets = [engine.submit("x") for _ in range(20)]
    assert all(ticket.status is pausable.Status.EAGAIN for ticket in tickets)
    assert fake.submitted == []
    assert engine.counts["again"] == 20


def test_a_storm_ends_and_a_call_gets_through():
    with FakeLoop() as loop, FaultEngine(FakeEngine(), seed=3, again_rate=0.5) as engine:
        for number in range(10):
            engine._inner.finish_ahead("x", number)
            assert loop.run(engine.call, "x") == number
        assert engine.counts["again"] > 0


def test_what_is_completed_twice_has_its_first_value_and_calls_back_twice():
    fake = FakeEngine()
    with FaultEngine(fake, seed=1, double_rate=1) as engine:
        told = []
        ticket = engine.submit("x")
        ticket.add_done_callback(told.append)
        fake.finish("x", "right")
        assert ticket.result() == "right"
        assert told == [ticket] * 2


def test_what_is_lost_is_failed_when_the_engine_is_closed():
    fake = FakeEngine()
    with FaultEngine(fake, seed=1, lose_rate=1) as engine:
        ticket = engine.submit("x")
        fake.finish("x", 1)
        assert (ticket.done(), engine.lost) == (False, [1])
    with pytest.raises(pausable.EngineClosed):
        ticket.result()


def test_a_failure_is_the_engines_and_is_marked_with_its_number():
    fake = FakeEngine()
    with FaultEngine(fake, seed=1, error_rate=1) as engine:
        ticket = engine.submit("x")
        fake.finish("x", 1)
        with pytest.raises(InjectedFault, match="operation 1: it failed") as info:
            ticket.result()
        assert isinstance(info.value, pausable.EngineError)


def test_cancelling_reaches_the_engine_below():
    fake = FakeEngine()
    with FaultEngine(fake, seed=1) as engine:
        engine.submit("x").cancel()
        assert fake.cancelled == ["x"]


def test_delays_go_by_the_loops_clock():
    fake = FakeEngine()
    with FakeLoop() as loop, FaultEngine(fake, seed=1, max_delay_s=60) as engine:
        job = loop.start(engine.call, "x")
        fake.finish("x", 1)
        assert loop.advance(engine.faults(1).delay_s - 0.001) == [job]
        assert loop.advance(0.002) == []


def test_a_job_is_paused_in_submit_and_goes_on():
    fake = FakeEngine()
    with FakeLoop() as loop, FaultEngine(fake, seed=1, pause_rate=1) as engine:
        job = loop.start(engine.call, "x")
        assert (job.paused, fake.submitted) == (True, [])
        loop.advance(1)
        fake.finish("x", 1)
        loop.run_until_idle()
        assert job.result() == 1
        assert engine.counts["pauses"] == 1


def test_a_job_that_is_cancelled_in_submit_has_begun_nothing():
    fake = FakeEngine()
    with FakeLoop() as loop, FaultEngine(fake, seed=1, pause_rate=1) as engine:
        job = loop.start(engine.call, "x")
        job.cancel()
        assert job.cancelled()
        assert (fake.submitted, engine.pending) == ([], 0)


def test_an_interrupt_in_submit_begins_nothing_and_is_no_exception():
    fake = FakeEngine()
    with FaultEngine(fake, seed=1, interrupt_rate=1) as engine:
        with pytest.raises(InjectedInterrupt, match="operation 1: submit was interrupted"):
            engine.submit("x")
        assert (fake.submitted, engine.pending, engine.counts["interrupts"]) == ([], 0, 1)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_who_is_interrupted_while_submitting_takes_nobody_along(seed):
    """Each job ends: with its answer, with an EngineError, or with the interrupt that it met."""

    def ask(number):
        try:
            assert engine.call(int, number) == number
        except pausable.EngineError:
            how[number] = "error"
        except InjectedInterrupt:
            how[number] = "interrupted"
        else:
            how[number] = "result"

    how, fake = {}, FakeEngine()
    retry = Retry(9, delay_s=0.1, budget=None, seed=seed)
    with FaultEngine(fake, seed=seed, interrupt_rate=0.2, pause_rate=0.2, lose_rate=0.1) as faulty:
        with FakeLoop() as loop, guard(faulty, timeout_s=5, retry=retry) as engine:
            for number in range(30):
                loop.start(ask, number)
            for _ in range(300):
                # it meets whoever submits: who makes a retry, too
                with suppress(InjectedInterrupt):
                    loop.advance(0.1)
                for name in fake.pending:
                    fake.run(name)
            assert loop.paused == []
            assert engine.pending == 0
        assert faulty.counts["interrupts"] > 0
        assert faulty.pending == 0
    assert sorted(how) == list(range(30))
    assert "result" in how.values()
    assert "interrupted" in how.values()


def test_what_is_no_engine_is_refused():
    with pytest.raises(TypeError, match=r"inner has to be an engine"):
        FaultEngine(3, seed=1)
    with pytest.raises(ValueError, match="error_rate has to be between 0 and 1"):
        FaultEngine(FakeEngine(), seed=1, error_rate=2)
