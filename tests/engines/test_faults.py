"""What engines owe, whatever goes wrong: one end for each operation, and nothing left."""

from __future__ import annotations

import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest

import pausable
from pausable.engines import ExecutorEngine, Retry, guard
from pausable.testing import FakeEngine, FakeLoop, FaultEngine, InjectedFault

COUNT = 600


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_every_operation_ends_once_with_its_own_result_or_a_clear_error(place, seed):
    ended, outcomes = Counter(), Counter()

    def one(number):
        try:
            assert guarded.call(int, number) == number
            outcomes["result"] += 1
        except pausable.EngineError:
            outcomes["error"] += 1
        ended[number] += 1

    count = COUNT if place.__name__ in {"in_map", "in_asyncio", "in_trio"} else COUNT // 20
    with ThreadPoolExecutor(4) as threads, ExecutorEngine(threads) as executor:
        faulty = FaultEngine(
            executor, seed=seed, max_delay_s=0.002, error_rate=0.1, again_rate=0.1,
            early_wake_rate=0.2, double_rate=0.2, lose_rate=0.01,
        )  # fmt: skip
        retry = Retry(3, delay_s=0.001, seed=seed)
        guarded = guard(faulty, max_in_flight=32, timeout_s=0.1, retry=retry)
        with faulty, guarded:
            place(one, range(count))
            assert ended == dict.fromkeys(range(count), 1)
            assert outcomes["result"] > outcomes["error"]
            stats = guarded.stats()
            assert (stats.in_flight, stats.waiting) == (0, 0)
            assert (guarded.pending, faulty.pending) == (0, 0)
    stats = pausable.thread_pool().stats()
    assert (stats.paused, stats.running) == (0, 0)


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


def test_what_is_no_engine_is_refused():
    with pytest.raises(TypeError, match=r"inner has to be an engine"):
        FaultEngine(3, seed=1)
    with pytest.raises(ValueError, match="error_rate has to be between 0 and 1"):
        FaultEngine(FakeEngine(), seed=1, error_rate=2)
