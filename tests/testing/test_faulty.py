"""FaultyEngine: a real engine that misbehaves, by seed."""

from __future__ import annotations

import concurrent.futures
import math
import os
import threading
from concurrent.futures import Future, ThreadPoolExecutor

import pytest

import pausable
from pausable.testing import FakeEngine, FakeLoop, FaultyEngine, InjectedFault, InjectedInterrupt


@pytest.fixture
def inner():
    return FakeEngine()


@pytest.fixture
def loop():
    with FakeLoop() as loop:
        yield loop


def sign(engine, *args, timeout_s=None):
    return pausable.wait_for(engine.submit(pow, *(args or (2, 3))), timeout_s)


def test_without_rates_it_passes_on_what_the_engine_says(inner, loop):
    engine = FaultyEngine(inner, seed=1)
    job = loop.start(sign, engine)
    inner.run("pow-1")
    loop.step()
    assert job.result() == 8
    failing = loop.start(sign, engine)
    inner.fail("pow-2", OSError("device"))
    loop.step()
    assert isinstance(failing.exception(), OSError)
    assert engine.counts["operations"] == 2
    assert sum(engine.counts.values()) == 2


RATES = {
    "error_rate": 0.3,
    "again_rate": 0.3,
    "early_wake_rate": 0.3,
    "double_rate": 0.3,
    "lose_rate": 0.3,
    "pause_rate": 0.3,
}


def test_what_befalls_an_operation_depends_on_seed_and_number_alone(inner):
    def fates(seed):
        engine = FaultyEngine(inner, seed=seed, max_delay_s=2.0, **RATES)
        return {number: engine.faults(number) for number in (7, *range(1, 100))}

    assert fates(1) == fates(1)
    assert fates(1) != fates(2)


def test_one_rate_does_not_change_what_the_others_do(inner):
    all_of_them = FaultyEngine(inner, seed=4, **RATES)
    one = FaultyEngine(inner, seed=4, error_rate=0.3)
    numbers = range(1, 200)
    assert [one.faults(n).error for n in numbers] == [all_of_them.faults(n).error for n in numbers]


def test_rates_are_met(inner):
    engine = FaultyEngine(inner, seed=1, max_delay_s=1.0, **RATES)
    fates = [engine.faults(number) for number in range(1, 2001)]
    for field in ("error", "early_wake", "double", "lose", "pause"):
        assert 500 < sum(getattr(fate, field) for fate in fates) < 700
    assert {fate.again for fate in fates} == {0, 1, 2, 3, 4, 5}
    assert all(0 <= fate.delay_s <= 1 for fate in fates)


def test_a_failure_is_marked_with_its_number(inner, loop):
    engine = FaultyEngine(inner, seed=1, error_rate=1)
    job = loop.start(sign, engine)
    inner.run("pow-1")
    loop.step()
    with pytest.raises(InjectedFault, match="operation 1: it failed") as info:
        job.result()
    assert info.value.number == 1
    assert engine.counts["errors"] == 1


def test_a_delay_goes_by_the_loops_clock(inner, loop):
    engine = FaultyEngine(inner, seed=1, max_delay_s=60)
    jobs = [loop.start(sign, engine), loop.start(sign, engine)]
    inner.run("pow-1")
    delay_s = engine.faults(1).delay_s
    assert loop.advance(delay_s - 0.001) == jobs
    assert loop.advance(0.002) == jobs[1:]
    loop.advance(60)  # the second one's delay is over, its work is not done
    assert loop.paused == jobs[1:]
    inner.run("pow-2")
    loop.step()
    assert [job.result() for job in jobs] == [8, 8]
    assert engine.counts["delayed"] == 2


def test_delays_are_real_without_a_fake_loop():
    with ThreadPoolExecutor(2) as threads:
        engine = FaultyEngine(threads, seed=1, max_delay_s=0.01)
        assert list(pausable.map(lambda n: sign(engine, n, 2), range(20))) == [
            n * n for n in range(20)
        ]
    assert engine.counts["delayed"] == 20


def test_an_early_wake_resumes_the_job_before_it_is_complete(inner, loop):
    engine = FaultyEngine(inner, seed=1, early_wake_rate=1)
    job = loop.start(sign, engine)
    assert loop.step() == [job]
    assert loop.step() == []
    inner.run("pow-1")
    assert loop.run_until_idle() == []
    assert engine.counts["early_wakes"] == 1


def test_a_doubled_completion_calls_back_twice(inner):
    engine = FaultyEngine(inner, seed=1, double_rate=1)
    called = []
    engine.submit(int).add_done_callback(called.append)
    inner.run("int-1")
    assert len(called) == 2
    assert called[0].result() == 0
    assert engine.counts["doubled"] == 1


def test_a_callback_that_raises_keeps_no_other_from_being_called_twice(inner):
    engine = FaultyEngine(inner, seed=1, double_rate=1)
    called = []
    answer = engine.submit(int)
    answer.add_done_callback(lambda _: 1 / 0)
    answer.add_done_callback(called.append)
    inner.run("int-1")
    assert called == [answer] * 2


def test_an_eagain_storm_passes_and_the_operation_is_accepted(inner, loop):
    engine = FaultyEngine(inner, seed=1, again_rate=1)
    job = loop.start(sign, engine)
    assert job.wait_ctx.status == pausable.Status.EAGAIN
    assert inner.submitted == []
    loop.advance(1)
    assert inner.pending == ["pow-1"]
    assert engine.counts["again"] == engine.faults(1).again
    inner.run("pow-1")
    loop.step()
    assert job.result() == 8


def test_a_job_is_paused_in_submit_and_goes_on(inner, loop):
    engine = FaultyEngine(inner, seed=1, pause_rate=1)
    job = loop.start(sign, engine)
    assert (job.paused, inner.submitted) == (True, [])
    loop.advance(1)
    inner.run("pow-1")
    loop.step()
    assert job.result() == 8
    assert engine.submit(int).done() is False  # outside a job nothing can be paused
    assert engine.counts["pauses"] == 1


def test_an_interrupt_in_submit_is_no_exception_and_begins_nothing(inner):
    engine = FaultyEngine(inner, seed=1, interrupt_rate=1)
    with pytest.raises(InjectedInterrupt, match="operation 1: submit was interrupted") as info:
        engine.submit(int)
    assert not isinstance(info.value, Exception)
    assert info.value.number == 1
    assert (inner.submitted, engine.counts["interrupts"]) == ([], 1)


def test_a_delay_holds_though_an_engine_below_calls_back_twice():
    with FakeLoop() as loop:
        fake = FakeEngine()
        below = FaultyEngine(fake, seed=1, double_rate=1, early_wake_rate=1)
        engine = FaultyEngine(below, seed=1, max_delay_s=60)
        job = loop.start(sign, engine)
        fake.run("pow-1")
        assert loop.advance(engine.faults(1).delay_s - 0.001) == [job]
        loop.advance(0.002)
        assert job.result() == 8


def test_a_lost_completion_needs_a_timeout(inner, loop):
    engine = FaultyEngine(inner, seed=1, lose_rate=1)
    job = loop.start(sign, engine, timeout_s=5)
    inner.run("pow-1")
    assert loop.run_until_idle() == [job]
    loop.advance(5)
    assert isinstance(job.exception(), TimeoutError)
    assert (engine.lost, engine.counts["lost"]) == ([1], 1)


def test_shutting_down_fails_what_was_lost_so_that_nobody_blocks_for_ever():
    with FaultyEngine(ThreadPoolExecutor(1), seed=1, lose_rate=1) as engine:
        answers = [engine.submit(int), engine.submit(int)]
        answers[1].cancel()
    with pytest.raises(InjectedFault, match="operation 1: its completion was lost"):
        answers[0].result()
    assert answers[1].cancelled()
    engine.shutdown()


def test_cancelling_reaches_the_engine_and_a_late_answer_touches_nothing(inner, loop):
    engine = FaultyEngine(inner, seed=1, max_delay_s=10)
    jobs = [loop.start(sign, engine), loop.start(sign, engine)]
    inner.begin("pow-2")
    for job in jobs:
        job.cancel()
    assert inner.cancelled == ["pow-1", "pow-2"]
    inner.finish("pow-2", 8)
    loop.advance(10)
    assert [job.cancelled() for job in jobs] == [True, True]


def test_waiting_for_several_with_concurrent_futures_ends(inner):
    engine = FaultyEngine(inner, seed=1)
    answers = [engine.submit(int), engine.submit(int)]
    answers[1].cancel()
    inner.run("int-1")
    done, pending = concurrent.futures.wait(answers, timeout=10)
    assert (len(done), pending) == (2, set())


def test_one_that_is_lost_and_fails_and_is_delayed_is_lost(inner):
    engine = FaultyEngine(inner, seed=1, lose_rate=1, error_rate=1, double_rate=1, max_delay_s=1)
    assert not engine.submit(int).done()
    inner.run("int-1")
    assert engine.counts == {
        "operations": 1,
        "again": 0,
        "delayed": 0,
        "errors": 0,
        "early_wakes": 0,
        "doubled": 0,
        "lost": 1,
        "pauses": 0,
        "interrupts": 0,
    }


def test_threads_make_no_difference_to_what_befalls_which():
    def outcomes(threads):
        engine = FaultyEngine(threads, seed=11, max_delay_s=0.001, **{**RATES, "lose_rate": 0})

        def body(n):
            try:
                return sign(engine, n, 2)
            except InjectedFault as fault:
                return fault.number

        return list(pausable.map(body, range(100), jobs=1)), engine.counts

    with ThreadPoolExecutor(1) as one, ThreadPoolExecutor(8) as many:
        assert outcomes(one) == outcomes(many)


def test_jobs_under_all_faults_end_in_the_same_way_every_time():
    def outcomes():
        inner = FakeEngine()
        engine = FaultyEngine(inner, seed=11, max_delay_s=2.0, **RATES)
        with FakeLoop(seed=5) as loop:
            jobs = [loop.start(sign, engine, n, 2, timeout_s=5.0) for n in range(60)]
            for _ in range(100):
                loop.advance(0.1)
                for name in inner.pending[::-2]:
                    inner.run(name)
            assert loop.paused == []
        return [repr(job.exception() or job.result()) for job in jobs], engine.counts

    results, counts = outcomes()
    assert (results, counts) == outcomes()
    assert counts.pop("interrupts") == 0
    assert all(counts.values())
    for part in ("3481", "InjectedFault", "TimeoutError"):
        assert any(part in result for result in results)


def test_threads_that_submit_at_once_get_a_number_each(inner):
    engine = FaultyEngine(inner, seed=1)
    threads = [threading.Thread(target=engine.submit, args=[int]) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert engine.counts["operations"] == len(inner.pending) == 8


def test_it_wraps_whatever_has_submit():
    class Plain:
        def submit(self, fn, /, *args, **kwargs):
            future = Future()
            future.set_result(fn(*args, **kwargs))
            return future

    with FaultyEngine(Plain(), seed=1) as engine:
        assert engine.submit(pow, 2, 5).result() == 32
    with pytest.raises(TypeError, match="inner has to be an engine or an executor"):
        FaultyEngine(object(), seed=1)


@pytest.mark.parametrize("name", [*RATES, "max_delay_s"])
@pytest.mark.parametrize("wrong", [-0.1, math.nan, math.inf])
def test_numbers_out_of_range_are_refused(inner, name, wrong):
    with pytest.raises(ValueError, match=f"{name} has to be between 0 and .*, not {wrong!r}"):
        FaultyEngine(inner, seed=1, **{name: wrong})


def test_rates_above_one_and_what_is_no_number_are_refused(inner):
    with pytest.raises(ValueError, match=r"error_rate has to be between 0 and 1, not 1\.5"):
        FaultyEngine(inner, seed=1, error_rate=1.5)
    for wrong in ("0.5", None, True):
        with pytest.raises(TypeError, match="lose_rate has to be a number"):
            FaultyEngine(inner, seed=1, lose_rate=wrong)
    for wrong in (None, 1.0, True, os.urandom):
        with pytest.raises(TypeError, match="seed has to be an int"):
            FaultyEngine(inner, seed=wrong)
