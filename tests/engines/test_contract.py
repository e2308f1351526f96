"""What a caller can rely on, of an engine as it is and of one that misbehaves, by seed.

The device at the bottom answers when the test says so, by any thread; time is the test's.
"""

from __future__ import annotations

import asyncio
import concurrent.futures

import pytest

import pausable
from core._support import in_thread
from engines._support import ByHand
from pausable.engines import Retry, guard
from pausable.testing import FakeLoop, FaultEngine

#: What goes wrong, and whether a guard is needed for operations to come out as they should.
MIXES = {
    "late": ({"max_delay_s": 5.0}, False),
    "early and twice": ({"early_wake_rate": 1, "double_rate": 1}, False),
    "pausing in submit": ({"pause_rate": 0.7, "early_wake_rate": 0.5}, False),
    "busy": ({"again_rate": 0.5, "max_delay_s": 1.0, "double_rate": 0.5}, False),
    "failing": ({"error_rate": 0.5, "double_rate": 0.5}, True),
    "losing": ({"lose_rate": 0.5, "max_delay_s": 1.0}, True),
    "all of it": (
        {
            "max_delay_s": 1.0, "error_rate": 0.2, "again_rate": 0.2, "early_wake_rate": 0.3,
            "double_rate": 0.3, "lose_rate": 0.2, "pause_rate": 0.3,
        },
        True,
    ),
}  # fmt: skip


class Device(ByHand):
    """Answers each request of a name as the test said, whenever it comes."""

    def __init__(self):
        super().__init__()
        self._answers = {}

    def _begin(self, ticket, name):
        super()._begin(ticket, name)
        if name in self._answers:
            self._answers[name](ticket)

    def finish(self, name, value):
        self._answer(name, lambda ticket: ticket.finish(value))

    def fail(self, name, exc):
        self._answer(name, lambda ticket: ticket.fail(exc))

    def _answer(self, name, answer):
        self._answers[name] = answer
        if name in self.tickets and not self.tickets[name].done():
            answer(self.tickets[name])


@pytest.fixture
def device():
    with Device() as device:
        yield device


@pytest.fixture
def loop():
    with FakeLoop() as loop:
        yield loop


@pytest.fixture(
    params=["as it is", *(f"{mix}, {seed}" for mix in MIXES for seed in (1, 2))],
)
def engine(device, request):
    """Return the device, or what stands before it."""
    if request.param == "as it is":
        yield device
        return
    mix, seed = request.param.split(", ")
    rates, guarded = MIXES[mix]
    with FaultEngine(device, seed=int(seed), **rates) as faulty:
        if guarded:
            retry = Retry(attempts=99, delay_s=0.1, budget=None, seed=int(seed))
            with guard(faulty, timeout_s=30, retry=retry) as engine:
                yield engine
        else:
            yield faulty


def begin(loop, device, *names):
    """Let time pass until the device has these requests."""
    for _ in range(10_000):
        if device.tickets.keys() >= set(names):
            return
        loop.advance(0.01)
    raise AssertionError(f"{names}, but the device has only {device.tickets.keys()}")


def test_a_job_waits_until_any_thread_finishes_its_operation(loop, device, engine):
    job = loop.start(engine.call, "sign")
    begin(loop, device, "sign")
    assert job.paused
    in_thread(lambda: device.finish("sign", b"signature"))
    loop.run_until_done()
    assert job.result() == b"signature"
    assert (engine.pending, device.pending) == (0, 0)


def test_each_job_gets_the_answer_to_its_own_request(loop, device, engine):
    names = [f"request {number}" for number in range(30)]
    jobs = {name: loop.start(engine.call, name) for name in names}
    for name in reversed(names):
        device.finish(name, f"answer to {name}")
    loop.run_until_done()
    assert [jobs[name].result() for name in names] == [f"answer to {name}" for name in names]
    assert (engine.pending, device.pending) == (0, 0)


def test_one_job_gets_the_answers_to_many_requests_in_turn(loop, device, engine):
    for number in range(20):
        device.finish(str(number), number)
    assert loop.run(lambda: [engine.call(str(number)) for number in range(20)]) == list(range(20))


def test_what_an_operation_failed_with_is_raised_in_its_job_as_it_is(loop, device, engine):
    error = OSError("device")
    job = loop.start(engine.call, "sign")
    device.fail("sign", error)
    loop.run_until_done()
    assert job.exception() is error
    assert engine.pending == 0


def test_an_operation_may_be_complete_before_submit_returns(loop, device, engine):
    device.finish("sign", 3)
    assert loop.run(engine.call, "sign") == 3


def test_a_cancelled_job_cancels_its_operation_and_a_late_answer_is_ignored(loop, device, engine):
    job = loop.start(engine.call, "sign")
    begin(loop, device, "sign")
    if device.pending:  # else it is between two attempts
        job.cancel()
        assert device.cancelled[-1:] == ["sign"]
    job.cancel()
    assert job.cancelled()
    assert device.tickets["sign"].finish("late") is False
    loop.advance(100)
    assert (engine.pending, device.pending) == (0, 0)


def test_who_is_cancelled_takes_nobody_along(loop, device, engine):
    names = [f"request {number}" for number in range(20)]
    jobs = [loop.start(engine.call, name) for name in names]
    begin(loop, device, *names)
    for job in jobs[::3]:
        job.cancel()
    for name in names:
        device.finish(name, name)
    loop.run_until_done()
    assert all(job.cancelled() for job in jobs[::3])
    assert [job.result() for job in jobs[1::3]] == names[1::3]
    assert [job.result() for job in jobs[2::3]] == names[2::3]
    assert (engine.pending, device.pending) == (0, 0)


def test_a_number_means_one_operation_for_ever(loop, device, engine):
    def ask():
        ticket = engine.submit("x")
        numbers.append(ticket.generation)
        assert engine.ticket(ticket.generation) in {ticket, None}  # None: it was turned down
        with pytest.raises((TimeoutError, pausable.EngineBusy)):
            ticket.result(timeout_s=0)
        ticket.cancel()
        assert engine.ticket(ticket.generation) is None

    numbers = []
    for _ in range(20):
        loop.run(ask)
    assert len(set(numbers)) == 20


def test_a_closed_engine_fails_what_is_under_way_and_accepts_no_more(loop, device, engine):
    job = loop.start(engine.call, "sign")
    begin(loop, device, "sign")
    engine.close()
    engine.close()
    loop.run_until_done()
    with pytest.raises(pausable.EngineClosed, match="does no more work"):
        job.result()
    with pytest.raises(pausable.EngineClosed):
        engine.submit("other")
    assert (engine.pending, device.pending) == (0, 0)
    assert device.tickets["sign"].finish("late") is False


def test_a_device_that_is_closed_below_is_an_engine_error(loop, device, engine):
    job = loop.start(engine.call, "sign")
    begin(loop, device, "sign")
    device.close()
    loop.run_until_done()
    assert isinstance(job.exception(), pausable.EngineError)
    with pytest.raises(pausable.EngineError):
        loop.run(engine.call, "other")
    assert engine.pending == 0


def test_a_lost_job_cancels_its_operation(loop, device, engine):
    with pytest.warns(ResourceWarning, match="a paused job was dropped"):
        pausable.start(engine.call, "x")
    pausable.start(int)  # unwinds it
    assert (engine.pending, device.pending) == (0, 0)


def test_cancelling_a_task_cancels_the_operation(device, engine):
    async def main():
        task = asyncio.ensure_future(pausable.run(engine.call, "sign"))
        while "sign" not in device.tickets:
            await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
    assert (engine.pending, device.pending) == (0, 0)
    with pytest.raises(concurrent.futures.CancelledError):
        device.tickets["sign"].result()


def test_an_engine_that_cannot_begin_is_an_engine_error_with_its_cause(loop, device, engine):
    def refuse(_ticket, _name):
        raise OSError("no device")

    device._begin = refuse
    with pytest.raises(pausable.EngineError) as info:
        loop.run(engine.call, "x")
    if not isinstance(info.value, pausable.EngineBusy):  # the last attempt was turned down before
        assert "could not begin an operation" in str(info.value)
        causes = [info.value.__cause__, getattr(info.value.__cause__, "__cause__", None)]
        assert any(isinstance(cause, OSError) for cause in causes)
    assert (engine.pending, device.pending) == (0, 0)
