"""FakeLoop: jobs run when, and in the order, the test says so."""

from __future__ import annotations

import asyncio
import os
import time
from concurrent.futures import Future

import pytest

import pausable
from core._support import in_thread, pauses
from pausable.testing import FakeEngine, FakeLoop, JobsStuck, _loop


@pytest.fixture
def engine():
    return FakeEngine()


@pytest.fixture
def loop():
    with FakeLoop() as loop:
        yield loop


def test_a_job_starts_at_once_and_goes_on_in_a_step(loop, engine):
    job = loop.start(engine.call, "x")
    assert loop.paused == [job]
    assert loop.step() == []
    engine.finish("x", 1)
    assert loop.ready == [job]
    assert loop.step() == [job]
    assert job.result() == 1
    assert (loop.paused, loop.ready) == ([], [])


def test_jobs_go_on_in_the_order_they_were_woken(loop, engine):
    jobs = {name: loop.start(engine.call, name) for name in "abc"}
    for name in "cab":
        engine.finish(name)
    assert loop.step() == [jobs["c"], jobs["a"], jobs["b"]]


def order(seed):
    with FakeLoop(seed=seed) as loop:
        seen = []

        def body(name):
            for _ in range(3):
                pausable.pause()
                seen.append(name)

        for name in "abcdef":
            loop.start(body, name)
        loop.run_until_done()
    return "".join(seen)


def test_a_seed_gives_an_order_of_its_own_every_time():
    assert order(None) == "abcdef" * 3
    orders = [order(seed) for seed in range(5)]
    assert orders == [order(seed) for seed in range(5)]
    assert len({order(None), *orders}) == 6


def test_a_wake_in_a_round_counts_for_the_next(loop):
    futures = [Future(), Future()]

    def first():
        pausable.wait_for(futures[0])
        futures[1].set_result(None)

    jobs = [loop.start(first), loop.start(pausable.wait_for, futures[1])]
    futures[0].set_result(None)
    assert loop.step() == jobs[:1]
    assert loop.step() == jobs[1:]


def test_an_early_wake_is_a_round_and_the_job_pauses_again(loop, engine):
    job = loop.start(engine.call, "x")
    engine.wake_twice("x")
    assert loop.step() == [job]
    assert loop.step() == []
    loop.wake_early(job)
    assert loop.run_until_idle() == [job]
    engine.finish_twice("x", 1)
    assert loop.run_until_idle() == []
    with pytest.raises(ValueError, match="no paused job of this loop"):
        loop.wake_early(job)


def test_run_returns_what_the_call_returns_and_serves_other_jobs(loop):
    seen = []
    loop.start(lambda: pauses(1) or seen.append("other"))
    assert loop.run(lambda: pauses(50, "value")) == "value"
    assert seen == ["other"]
    with pytest.raises(OSError, match="raised"):
        loop.run(raises)


def raises():
    pausable.pause()
    raise OSError("raised")


def test_the_clock_moves_by_hand_and_timeouts_go_by_it(loop):
    job = loop.start(pausable.wait_for, Future(), timeout_s=3600.0)
    assert loop.time() == 0.0
    assert loop.advance(3599.5) == [job]
    assert loop.advance(0.5) == []
    assert loop.time() == 3600.0
    with pytest.raises(TimeoutError, match=r"3600\.0 s"):
        job.result()


def test_timeouts_expire_in_their_own_order_each_at_its_time(loop):
    seen = []

    def body(timeout_s):
        with pytest.raises(TimeoutError):
            pausable.wait_for(Future(), timeout_s)
        seen.append((timeout_s, loop.time()))

    for timeout_s in (3.0, 1.0, 2.0, 1.0):
        loop.start(body, timeout_s)
    loop.advance(10)
    assert seen == [(1.0, 1.0), (1.0, 1.0), (2.0, 2.0), (3.0, 3.0)]
    assert loop.time() == 10


def test_a_completion_in_time_calls_the_timeout_off(loop, engine):
    job = loop.start(lambda: pausable.wait_for(engine.submit("x"), 5.0))
    loop.advance(4.0)
    engine.finish("x", 1)
    assert loop.advance(4.0) == []
    assert job.result() == 1


def test_run_moves_the_clock_to_what_is_due(loop):
    began = time.monotonic()
    with pytest.raises(TimeoutError):
        loop.run(pausable.wait_for, Future(), 1e6)
    assert loop.time() == 1e6
    assert time.monotonic() - began < 1e5


def test_time_outside_the_loops_jobs_is_real(loop):
    loop.advance(1e6)
    with pytest.raises(TimeoutError):
        pausable.wait_for(Future(), 0.001)
    job = loop.start(in_thread, lambda: pausable.wait_for(Future(), 0.001))
    assert isinstance(job.exception(), TimeoutError)


def test_a_clock_cannot_go_back(loop):
    for wrong in (-1, float("nan")):
        with pytest.raises(ValueError, match="delay_s has to be 0 or more"):
            loop.advance(wrong)


def test_what_nothing_promised_to_wake_is_looked_at_again_as_time_goes_by(loop):
    job = loop.start(pauses, 10)
    assert loop.step() == [job]  # at once for the first time
    assert loop.step() == []
    assert loop.advance(0.0005) == [job]
    assert loop.advance(1.0) == []


def test_a_busy_engine_is_tried_again_as_time_goes_by(loop, engine):
    engine.busy("x", times=3)
    job = loop.start(engine.call, "x")
    assert loop.run_until_idle() == [job]
    assert engine.pending == []
    loop.advance(0.1)
    assert engine.pending == ["x"]
    engine.finish("x", 1)
    loop.step()
    assert job.result() == 1


def test_a_descriptor_of_the_tests_own_wakes_its_job(loop):
    reader, writer = os.pipe()

    def body():
        pausable.current_job().wait_ctx.set_wait_fd("pipe", reader)
        pausable.pause()
        return os.read(reader, 1)

    job = loop.start(body)
    assert loop.step() == []
    os.write(writer, b"x")
    assert loop.step() == [job]
    assert job.result() == b"x"
    os.close(reader)
    os.close(writer)


def sign(engine, name):
    return engine.call(name)


def test_jobs_that_nothing_will_wake_are_told_with_their_stacks(loop, engine):
    job = loop.start(sign, engine, "other")
    with pytest.raises(JobsStuck, match="nothing is due") as info:
        loop.run(sign, engine, "x")
    assert info.value.jobs[0] is job
    assert str(info.value).count("waits to be woken") == 2
    assert str(info.value).count("in sign\n") == 2
    assert len(loop.paused) == 2


def test_the_report_says_what_each_job_waits_for(loop, engine):
    loop.start(pausable.wait_for, Future(), 5)
    loop.start(pauses, 10)
    ready = loop.start(engine.call, "x")
    engine.finish("x")
    reader, writer = os.pipe()

    def with_fd():
        pausable.current_job().wait_ctx.set_wait_fd("pipe", reader)
        pausable.pause()

    loop.start(with_fd)
    report = loop.report()
    assert report.startswith("4 jobs are paused at 0 s; something is due at 0 s\n")
    assert f"{ready!r}: ready; it is paused at\n" in report
    assert "nothing promised to wake it (status <Status.UNSUPPORTED: 0>)" in report
    assert f"waits for the descriptors [{reader}]" in report
    assert repr(loop) == "<FakeLoop at 0 s paused=4 ready=1>"
    os.write(writer, b"x")
    loop.run_until_idle()
    os.close(reader)
    os.close(writer)


def test_a_job_that_is_woken_for_ever_is_told(loop, engine, monkeypatch):
    monkeypatch.setattr(_loop, "MAX_ROUNDS", 100)
    operation = engine.submit("x")
    waking = True

    def restless():
        operation.add_done_callback(lambda _: None)
        ctx = pausable.current_job().wait_ctx
        with ctx.waker() as waker:
            while waking:
                waker.clear()
                waker.wake()
                pausable.pause()

    loop.start(restless)
    with pytest.raises(JobsStuck, match="again and again, for 100 rounds"):
        loop.run_until_idle()
    with pytest.raises(JobsStuck, match="no end after 100 rounds"):
        loop.run_until_done()
    waking = False


def test_a_job_may_be_resumed_and_cancelled_by_hand(loop, engine):
    job, other = loop.start(engine.call, "x"), loop.start(engine.call, "y")
    engine.finish("x", 1)
    assert job.resume()
    assert loop.step() == []
    other.cancel()
    assert loop.paused == []
    loop.run_until_done()


def test_a_job_that_ends_another_ones_turn_is_no_trouble(loop, engine):
    victim = None

    def killer():
        engine.call("x")
        victim.cancel()

    job = loop.start(killer)
    victim = loop.start(engine.call, "y")
    engine.finish("x")
    engine.wake_early("y")
    assert loop.step() == [job]
    assert victim.cancelled()


def test_a_job_that_exits_leaves_the_others_ready(loop, engine):
    def leave():
        engine.call("x")
        raise SystemExit(3)

    loop.start(leave)
    other = loop.start(engine.call, "y")
    engine.finish("x")
    engine.finish("y", 1)
    with pytest.raises(SystemExit):
        loop.step()
    assert loop.step() == [other]


def test_jobs_start_jobs_in_the_loop_they_are_in(loop, engine):
    def outer():
        inner = loop.start(engine.call, "inner")
        engine.call("outer")
        return inner

    job = loop.start(outer)
    assert engine.pending == ["inner", "outer"]
    engine.finish("outer")
    loop.step()
    engine.finish("inner", 1)
    loop.step()
    assert job.result().result() == 1


def test_leaving_the_loop_runs_cleanup_code_that_pauses(engine):
    seen = []

    def body():
        try:
            engine.call("x")
        finally:
            pausable.pause()
            with pytest.raises(TimeoutError):
                pausable.wait_for(Future(), 100)
            seen.append("cleaned up")

    with FakeLoop() as loop:
        job = loop.start(body)
    assert job.cancelled()
    assert seen == ["cleaned up"]
    assert engine.cancelled == ["x"]


def test_cleanup_code_that_waits_for_ever_is_told(engine):
    def body():
        try:
            engine.call("x")
        finally:
            engine.call("cleanup")

    with pytest.raises(JobsStuck, match=r"engine\.call"):
        with FakeLoop() as loop:
            job = loop.start(body)
    engine.finish("cleanup")
    job.resume()
    assert job.cancelled()


@pytest.mark.filterwarnings("ignore:.*caught JobCancelled:RuntimeWarning")
def test_a_job_that_swallows_its_cancelling_is_told():
    stop = False

    def body():
        while not stop:
            try:
                pausable.pause()
            except pausable.JobCancelled:
                pass

    with pytest.raises(pausable.CancelSwallowed):
        with FakeLoop() as loop:
            job = loop.start(body)
    stop = True
    job.resume()


def test_a_full_pool_refuses_and_recovers():
    with pausable.JobPool(max_size=1) as pool, FakeLoop(pool=pool) as loop:
        loop.start(pauses, 1)
        with pytest.raises(pausable.NoJobsAvailable):
            loop.start(pauses, 1)
        loop.run_until_done()
        assert loop.run(pauses, 1, "again") == "again"


def test_another_thread_may_wake_but_not_drive(loop, engine):
    job = loop.start(engine.call, "x")
    in_thread(lambda: engine.finish("x", 1))
    for wrong in (loop.step, lambda: loop.start(int), lambda: loop.advance(1)):
        with pytest.raises(pausable.WrongThread):
            in_thread(wrong)
    assert loop.step() == [job]


def test_an_event_loops_future_is_refused_for_that_loop_stands_still(loop):
    async def main():
        job = loop.start(pausable.wait_for, asyncio.get_running_loop().create_future())
        with pytest.raises(pausable.WouldDeadlock):
            job.result()

    asyncio.run(main())
