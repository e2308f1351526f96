"""FakeEngine: operations end when the test says so."""

from __future__ import annotations

import asyncio
import functools

import pytest

import pausable
from core._support import in_thread
from pausable.testing import FakeEngine, UnfinishedOperations


@pytest.fixture
def engine():
    return FakeEngine()


def test_a_job_pauses_until_its_operation_is_finished(engine):
    with pausable.start(engine.call, "sign-1", b"digest") as job:
        assert job.paused
        assert engine.pending == ["sign-1"]
        assert engine.operation("sign-1").args == (b"digest",)
        engine.finish("sign-1", b"signature")
        assert engine.pending == []
        assert job.resume()
        assert job.result() == b"signature"


def test_an_operation_that_fails_raises_in_the_job(engine):
    job = pausable.start(engine.call, "sign-1")
    engine.fail("sign-1", OSError("device"))
    job.resume()
    with pytest.raises(OSError, match="device"):
        job.result()


def test_operations_are_finished_in_any_order(engine):
    jobs = [pausable.start(engine.call, name) for name in ("a", "b", "c")]
    for name in ("c", "a", "b"):
        engine.finish(name, name.upper())
    assert [job.resume() for job in jobs] == [True] * 3
    assert [job.result() for job in jobs] == ["A", "B", "C"]
    assert engine.submitted == ["a", "b", "c"]


def double(number):
    return number * 2


def test_functions_are_numbered_and_run_when_the_test_says_so(engine):
    jobs = [pausable.start(engine.call, double, n) for n in (1, 2)]
    assert engine.pending == ["double-1", "double-2"]
    engine.run("double-2")
    engine.finish("double-1", "instead")
    for job in jobs:
        job.resume()
    assert [job.result() for job in jobs] == ["instead", 4]


def test_a_callable_without_a_name_is_named_by_its_type(engine):
    engine.submit(functools.partial(double, 1))
    assert engine.pending == ["partial-1"]


def test_a_function_that_raises_when_it_is_run_fails_the_operation(engine):
    operation = engine.submit(int, "x")
    engine.run("int-1")
    assert isinstance(operation.exception(), ValueError)
    assert "failed with ValueError" in repr(operation)


def test_an_early_wake_resumes_the_job_and_it_pauses_again(engine):
    pool = pausable.thread_pool()
    woken = []
    with pausable.WaitContext() as ctx:
        ctx.set_callback(functools.partial(woken.append, "woken"))
        with pool.start_in(ctx, engine.call, "x") as job:
            engine.wake_early("x")
            assert woken == ["woken"]
            assert not job.resume()
            engine.wake_twice("x")
            assert woken == ["woken"] * 2  # twice is once
            assert not job.resume()
            engine.finish("x", 1)
            assert job.resume()


def test_a_doubled_completion_is_harmless_to_the_job(engine):
    job = pausable.start(lambda: [engine.call("x"), engine.call("y")])
    engine.finish_twice("x", 1)
    assert not job.resume()
    engine.operation("x").call_back()  # and once more, while the job waits for another one
    assert not job.resume()
    engine.finish_twice("y", 2)
    assert job.resume()
    assert job.result() == [1, 2]


def test_finishing_twice_by_mistake_is_refused(engine):
    engine.submit("x")
    engine.finish("x", 1)
    with pytest.raises(pausable.JobStateError, match=r"finished with 1; .*finish_twice\('x'"):
        engine.finish("x", 2)
    with pytest.raises(pausable.JobStateError, match="has ended"):
        engine.fail("x", OSError())


def test_an_unknown_name_is_refused_with_those_that_are_pending(engine):
    engine.submit("sign-1")
    with pytest.raises(pausable.JobStateError, match="'sign-2' was submitted; pending: 'sign-1'"):
        engine.finish("sign-2")


def test_a_name_is_used_again_only_when_its_operation_has_ended(engine):
    engine.submit("x")
    with pytest.raises(pausable.JobStateError, match="'x' is pending; give each a name"):
        engine.submit("x")
    engine.finish("x", 1)
    engine.submit("y")
    again = engine.submit("x")
    assert engine.pending == ["y", "x"]
    engine.finish("x", 2)
    assert again.result() == 2


@pytest.mark.parametrize("wrong", [None, 3, "", b"name"])
def test_what_is_neither_a_function_nor_a_name_is_refused(engine, wrong):
    with pytest.raises(TypeError, match="submit a function, or the name"):
        engine.submit(wrong)


def test_what_was_submitted_by_name_cannot_be_run(engine):
    engine.submit("x")
    with pytest.raises(pausable.JobStateError, match=r"finish\('x', value\)"):
        engine.run("x")


def test_only_exceptions_can_be_failed_with(engine):
    engine.submit("x")
    with pytest.raises(TypeError, match="exc has to be an exception, not 'no'"):
        engine.fail("x", "no")


def test_cancelling_the_job_is_seen_and_a_late_completion_touches_nothing(engine):
    job = pausable.start(engine.call, "x")
    job.cancel()
    assert job.cancelled()
    assert engine.cancelled == ["x"]
    assert engine.pending == []
    with pytest.raises(pausable.JobStateError, match=r"cancelled; .*finish_late\('x'\)"):
        engine.finish("x")
    engine.finish_late("x")
    assert job.cancelled()


def test_what_has_begun_cannot_be_cancelled_and_completes_late(engine):
    job = pausable.start(engine.call, "x")
    engine.begin("x")
    job.cancel()
    assert job.cancelled()
    assert (engine.cancelled, engine.pending) == (["x"], ["x"])
    engine.finish_late("x", 7)
    assert engine.operation("x").result() == 7
    assert engine.pending == []


def test_what_nobody_cancelled_is_not_late(engine):
    engine.submit("x")
    with pytest.raises(pausable.JobStateError, match="nobody asked to cancel it"):
        engine.finish_late("x")


def test_an_operation_begins_once(engine):
    engine.submit("x")
    engine.begin("x")
    with pytest.raises(pausable.JobStateError, match="begun already"):
        engine.begin("x")


def test_a_busy_engine_says_eagain_and_is_tried_again(engine):
    engine.busy("x", times=2)
    job = pausable.start(engine.call, "x")
    for _ in range(2):
        assert job.wait_ctx.status == pausable.Status.EAGAIN
        assert not job.wait_ctx.has_wakers()
        assert engine.submitted == []
        job.resume()
    assert job.wait_ctx.status == pausable.Status.UNSUPPORTED
    assert engine.pending == ["x"]
    engine.finish("x", 1)
    assert job.resume()


def test_a_busy_engine_outside_a_job_is_tried_again_at_once(engine):
    engine.busy("x", times=3)
    engine.submit("x")
    assert engine.pending == ["x"]


def test_a_job_that_is_cancelled_while_the_engine_is_busy_submits_nothing(engine):
    engine.busy("x")
    job = pausable.start(engine.call, "x")
    assert job.cancel()
    assert engine.submitted == []
    assert job.wait_ctx.status == pausable.Status.UNSUPPORTED


@pytest.mark.parametrize("times", [0, -1, True, 1.5])
def test_busy_times_are_checked(engine, times):
    with pytest.raises(ValueError, match="times has to be"):
        engine.busy("x", times)


def test_what_is_finished_ahead_does_not_pause_and_serves_once(engine):
    engine.finish_ahead("x", 5)
    assert engine.call("x") == 5
    assert pausable.start(engine.submit, "x").result().done() is False


def test_blocking_the_tests_own_thread_is_refused(engine):
    with pytest.raises(pausable.WouldDeadlock, match="finish_ahead"):
        engine.call("x")

    def blocked():
        with pausable.pause_blocked():
            return engine.call("y")

    with pytest.raises(pausable.WouldDeadlock):
        pausable.start(blocked).result()


def test_code_in_another_thread_blocks_until_the_test_finishes_it(engine):
    def finish_when_submitted(name, _submit=engine.submit):
        operation = _submit(name)
        in_thread(lambda: engine.finish(name, "done"))
        return operation

    engine.submit = finish_when_submitted
    assert in_thread(lambda: engine.call("x")) == "done"


def test_asyncio_takes_it_for_an_executor(engine):
    async def main():
        waiting = asyncio.get_running_loop().run_in_executor(engine, double, 4)
        engine.run("double-1")
        return await waiting

    assert asyncio.run(main()) == 8


def test_a_strict_engine_complains_about_what_was_left():
    with pytest.raises(UnfinishedOperations, match="'b'") as info:
        with FakeEngine(strict=True) as engine:
            engine.submit("a")
            engine.submit("b")
            engine.submit("c").cancel()
            engine.finish("a")
    assert info.value.names == ("b",)


def test_a_strict_engine_does_not_hide_the_tests_own_failure():
    with pytest.raises(LookupError):
        with FakeEngine(strict=True) as engine:
            engine.submit("a")
            raise LookupError


def test_an_engine_that_is_not_strict_says_nothing():
    with FakeEngine() as engine:
        engine.submit("a")


def test_a_job_that_is_lost_while_the_engine_is_busy_is_noticed(engine):
    engine.busy("x")
    with pytest.warns(ResourceWarning, match="a paused job was dropped"):
        pausable.start(engine.call, "x")
    pausable.start(int)  # unwinds it
    assert engine.submitted == []
