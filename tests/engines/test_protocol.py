"""The protocol, step by step: submit, a ticket, completion by any thread, once.

What of it holds for engines that misbehave, too, is in test_contract.
"""

from __future__ import annotations

import gc
import threading
import time
import weakref
from concurrent.futures import ThreadPoolExecutor

import pytest

import pausable
from core._support import in_thread, python
from engines._support import ByHand, pausable_sleep
from pausable import Status
from pausable._patience import POLL_S
from pausable.engines import BatchEngine, CoroutineEngine, Engine, ExecutorEngine, Ticket, guard
from pausable.engines._engine import _let_it_come_to_itself


@pytest.fixture
def engine():
    with ByHand() as engine:
        yield engine


def test_a_job_pauses_until_any_thread_finishes_its_operation(engine):
    job = pausable.start(engine.call, "sign")
    assert job.paused
    assert engine.pending == 1
    assert in_thread(lambda: engine.tickets["sign"].finish(b"signature"))
    assert job.resume()
    assert job.result() == b"signature"
    assert engine.pending == 0


def test_a_call_outside_a_job_blocks_until_the_operation_is_done(engine):
    answer = []
    thread = threading.Thread(target=lambda: answer.append(engine.call("sign")))
    thread.start()
    while "sign" not in engine.tickets:
        pass
    engine.tickets["sign"].finish(1)
    thread.join()
    assert answer == [1]


def test_a_ticket_is_a_future(engine):
    ticket = engine.submit("sign")
    told = []
    ticket.add_done_callback(told.append)
    ticket.add_done_callback(other := told.append)
    assert (ticket.done(), ticket.running(), ticket.cancelled()) == (False, True, False)
    assert ticket.remove_done_callback(other) == 2
    ticket.add_done_callback(told.append)
    ticket.finish(5)
    assert told == [ticket]
    assert (ticket.done(), ticket.result(), ticket.exception()) == (True, 5, None)
    ticket.add_done_callback(told.append)
    assert told == [ticket] * 2
    assert not ticket.cancel()


def test_a_result_that_is_asked_for_in_a_job_pauses_it(engine):
    job = pausable.start(lambda: engine.submit("sign").result())
    assert job.paused
    engine.tickets["sign"].finish(3)
    job.resume()
    assert job.result() == 3


def test_an_exception_can_be_waited_for_like_a_result(engine):
    job = pausable.start(lambda: engine.submit("sign").exception())
    error = OSError()
    engine.tickets["sign"].fail(error)
    job.resume()
    assert job.result() is error


def test_waiting_for_an_exception_passes_on_the_jobs_own_cancellation(engine):
    job = pausable.start(lambda: engine.submit("sign").exception())
    job.cancel()
    assert job.cancelled()
    with pytest.raises(TimeoutError):
        engine.submit("other").exception(timeout_s=0)


def test_a_doubled_completion_reaches_nobody_and_is_logged_once(engine, caplog):
    job = pausable.start(lambda: [engine.call("one"), engine.call("two")])
    first = engine.tickets["one"]
    assert first.finish(1)
    job.resume()
    for wrong in ("again", "and again"):
        assert first.finish(wrong) is False
    assert not job.resume()
    engine.tickets["two"].finish(2)
    job.resume()
    assert job.result() == [1, 2]
    [record] = caplog.records
    assert f"operation {first.generation}" in record.getMessage()
    assert "was completed already" in record.getMessage()


def test_a_late_completion_of_what_was_cancelled_is_no_fault(engine, caplog):
    ticket = engine.submit("sign")
    assert ticket.cancel()
    assert ticket.finish("late") is False
    assert caplog.records == []


@pytest.mark.parametrize(
    "end",
    [
        lambda ticket: ticket.finish(1),
        lambda ticket: ticket.fail(OSError()),
        lambda ticket: ticket.busy(),
        lambda ticket: ticket.cancel(),
        lambda ticket: ticket.give_up(pausable.EngineError()),
    ],
    ids=["finish", "fail", "busy", "cancel", "give_up"],
)
def test_a_ticket_that_has_ended_keeps_nothing_of_the_engines(engine, end):
    ticket = engine.submit("sign")
    assert ticket.data == "sign"
    end(ticket)
    assert ticket.data is None


def test_a_number_means_one_operation_for_ever(engine):
    tickets = [engine.submit(str(number)) for number in range(50)]
    assert len({ticket.generation for ticket in tickets}) == 50
    assert all(engine.ticket(ticket.generation) is ticket for ticket in tickets)
    for ticket in tickets:
        ticket.finish(None)
    assert [engine.ticket(ticket.generation) for ticket in tickets] == [None] * 50


def test_an_operation_that_is_never_done_is_bounded_by_a_timeout(engine):
    with pytest.raises(TimeoutError, match=r"operation \d+ of <ByHand"):
        pausable.run_blocking(lambda: pausable.wait_for(engine.submit("sign"), timeout_s=0.01))


def test_the_wait_context_tells_the_status_as_the_manual_has_it(engine):
    def twice():
        with pytest.raises(pausable.EngineError):
            engine.call("sign")
        pausable.pause()
        engine.call("sign")
        pausable.pause()

    job = pausable.start(twice)
    ctx = job.wait_ctx
    assert ctx.status == Status.OK
    engine.tickets["sign"].busy()
    job.resume()
    assert ctx.status == Status.EAGAIN
    job.resume()
    assert ctx.status == Status.OK
    engine.tickets["sign"].fail(pausable.EngineError("device is gone"))
    job.resume()
    assert ctx.status == Status.ERR
    job.resume()
    assert ctx.status == Status.OK
    engine.tickets["sign"].finish(1)
    job.resume()
    assert ctx.status == Status.UNSUPPORTED
    assert job.resume()


def test_an_error_in_submit_is_told_by_the_status_too():
    with Odd(lambda _: 1 / 0) as engine:

        def call():
            with pytest.raises(pausable.EngineError):
                engine.call()
            return pausable.current_job().wait_ctx.status

        assert pausable.start(call).result() == Status.ERR


class BusyAtFirst(Engine):
    def __init__(self, times):
        super().__init__()
        self.left = times

    def _begin(self, ticket, value):
        self.left -= 1
        if self.left >= 0:
            ticket.busy()
        else:
            ticket.finish(value)

    def _cancel(self, ticket):
        raise AssertionError("nothing is pending for long")


def test_a_busy_engine_is_asked_again_until_it_accepts(place):
    with BusyAtFirst(7) as engine:
        assert place(engine.call, [1, 2, 3]) == [1, 2, 3]


def test_outside_jobs_a_busy_engine_is_left_alone_for_longer_each_time_up_to_a_bound():
    delays_s = [POLL_S / 8]
    while len(delays_s) < 6:
        delays_s.append(_let_it_come_to_itself(delays_s[-1]))
    assert delays_s == [POLL_S / 8, POLL_S / 4, POLL_S / 2, POLL_S, POLL_S, POLL_S]


def test_a_ticket_that_was_turned_down_says_so():
    with BusyAtFirst(1) as engine:
        ticket = engine.submit(1)
        assert ticket.status is Status.EAGAIN
        with pytest.raises(pausable.EngineBusy, match="is busy"):
            ticket.result()


def test_an_operation_may_be_complete_before_submit_returns(place):
    with BusyAtFirst(0) as engine:
        assert place(engine.call, range(3)) == [0, 1, 2]


class CompletesOthers(ByHand):
    """Each submission completes the one before, as a batch that is full does."""

    def _begin(self, ticket, name):
        for before in self.tickets.values():
            before.finish("by the next")
        super()._begin(ticket, name)


class SubmitsToAnother(CompletesOthers):
    def _begin(self, ticket, name):
        with ByHand() as another:
            another.submit(name)
            super()._begin(ticket, name)


@pytest.mark.parametrize("make", [CompletesOthers, SubmitsToAnother])
def test_nobody_is_called_on_the_stack_of_a_submit(make):
    with make() as engine:
        told, stacks = threading.Event(), []
        ticket = engine.submit("one")
        ticket.add_done_callback(lambda _: stacks.append(threading.get_ident()) or told.set())
        engine.submit("two")
        assert ticket.done()
        assert told.wait(10)
        assert stacks != [threading.get_ident()]


def test_a_job_that_pauses_in_submit_does_not_keep_others_from_being_told():
    class Pauses(ByHand):
        def _begin(self, ticket, name):
            pausable.pause()
            super()._begin(ticket, name)

    with ByHand() as by_hand, Pauses() as engine:
        told = []
        with pausable.start(engine.submit, "slow to begin") as job:
            assert job.paused
            by_hand.submit("x").add_done_callback(lambda _: told.append("x"))
            by_hand.tickets["x"].finish(None)
            assert told == ["x"]


def test_a_callback_that_raises_keeps_no_other_from_being_called(engine, caplog):
    told = []
    ticket = engine.submit("sign")
    ticket.add_done_callback(lambda _: 1 / 0)
    ticket.add_done_callback(told.append)
    ticket.finish(1)
    assert told == [ticket]
    assert "ZeroDivisionError" in caplog.text


class AlwaysBusy(ByHand):
    def _begin(self, ticket, name):
        ticket.busy()


@pytest.mark.parametrize("make", [ByHand, AlwaysBusy, lambda: BatchEngine(list, 9)])
def test_a_job_that_is_lost_while_it_waits_is_noticed_and_its_operation_cancelled(make):
    with make() as engine:
        with pytest.warns(ResourceWarning, match="a paused job was dropped"):
            pausable.start(engine.call, "x")
        pausable.start(int)  # unwinds it
        assert engine.pending == 0


def test_a_job_that_is_cancelled_while_the_engine_is_busy_submits_nothing_more():
    with AlwaysBusy() as engine:
        job = pausable.start(engine.call, "x")
        assert job.cancel()
        assert job.wait_ctx.status == Status.UNSUPPORTED


@pytest.mark.parametrize(
    ("make", "request_"),
    [
        (ByHand, ["x"]),
        (AlwaysBusy, ["x"]),
        (ExecutorEngine, [time.sleep, 0.01]),
        (lambda: BatchEngine(list, 9), [1]),
    ],
)
def test_no_native_frames_of_ours_are_below_a_jobs_pause(make, request_):
    pausable.set_debug(True)
    try:
        with make() as engine, pausable.start(engine.call, *request_) as job:
            assert job.paused  # the warning, an error here, would have ended it
    finally:
        pausable.set_debug(False)


def test_importing_the_engines_imports_no_loop_and_no_library():
    heavy = "{'asyncio', 'trio', 'distributed', 'dask', 'multiprocessing', 'numpy'}"
    program = f"import sys, pausable.engines; print({heavy} & set(sys.modules))"
    assert python(program) == ("set()\n", "")


# -- engines that misbehave ------------------------------------------------------------------------


class Odd(ByHand):
    def __init__(self, begin):
        super().__init__()
        self.begin = begin

    def _begin(self, ticket, *request):
        return self.begin(ticket)


def test_an_engine_that_raises_in_submit_is_an_engine_error_with_its_cause(place):
    with Odd(lambda _: 1 / 0) as engine:

        def call(_):
            with pytest.raises(pausable.EngineError, match="could not begin an operation") as info:
                engine.call()
            return type(info.value.__cause__)

        assert place(call, range(2)) == [ZeroDivisionError] * 2
        assert (engine.pending, engine.cancelled) == (0, [])


async def begun(ticket):
    ticket.finish(1)


@pytest.mark.parametrize("begin", [lambda _: 3, begun])
def test_an_engine_that_returns_garbage_is_refused(begin):
    with Odd(begin) as engine:
        with pytest.raises(pausable.EngineError, match="has to be a plain function that keeps"):
            engine.submit()
        assert engine.pending == 0


def test_an_engine_that_fails_with_garbage_is_refused(engine):
    ticket = engine.submit("x")
    with pytest.raises(TypeError, match="exc has to be an exception, not 'no'"):
        ticket.fail("no")


def test_an_engine_that_cannot_cancel_is_logged_and_the_job_ends(caplog):
    class CannotCancel(ByHand):
        def _cancel(self, ticket):
            raise OSError("stuck")

    with CannotCancel() as engine:
        job = pausable.start(engine.call, "x")
        assert job.cancel()
        assert job.cancelled()
    assert "OSError: stuck" in caplog.text


def test_an_engine_has_to_be_able_to_cancel():
    class Half(Engine):
        def _begin(self, ticket):
            """Do nothing."""

    with pytest.raises(TypeError, match="_cancel"):
        Half()


def test_a_closed_engine_fails_what_is_under_way_and_accepts_no_more(engine, caplog):
    job = pausable.start(engine.call, "sign")
    engine.close()
    engine.close()
    assert engine.closed_with == ["sign"]
    assert job.resume()
    with pytest.raises(pausable.EngineClosed, match=r"ByHand.*closed"):
        job.result()
    with pytest.raises(pausable.EngineClosed):
        engine.submit("other")
    assert engine.tickets["sign"].finish("late") is False
    assert caplog.records == []


def test_what_is_submitted_while_the_engine_is_being_closed_is_given_up():
    class ClosedJustThen(Ticket):
        def __init__(self, engine):
            super().__init__(engine)
            engine.close()  # by another thread, which does not see this ticket

    class Closing(ByHand):
        _ticket_type = ClosedJustThen

    with Closing() as engine:
        ticket = engine.submit("sign")
        assert engine.cancelled == ["sign"]
        assert engine.pending == 0
        with pytest.raises(pausable.EngineClosed):
            ticket.result()


def test_misbehaving_engines_leave_the_pool_as_it_was():
    for begin in (lambda _: 1 / 0, lambda _: 3, lambda ticket: ticket.busy()):
        with Odd(begin) as engine:
            with pausable.start(engine.call) as job:
                pass
            assert job.done()
    assert pausable.start(int).result() == 0
    stats = pausable.thread_pool().stats()
    assert (stats.paused, stats.running) == (0, 0)


def test_each_waiter_gets_one_exception_with_the_engines_traceback_only(engine):
    def depth(ticket):
        with pytest.raises(OSError) as info:
            ticket.result()
        return len(info.traceback)

    tickets = [engine.submit(name) for name in "abc"]
    error = OSError("for all")
    for ticket in tickets:
        ticket.fail(error)
    assert len({depth(ticket) for ticket in tickets * 5}) == 1


def fails(*_request):
    raise ZeroDivisionError


async def fails_too():
    raise ZeroDivisionError


@pytest.mark.parametrize(
    ("make", "request_"),
    [
        (ExecutorEngine, [fails]),
        (CoroutineEngine, [fails_too]),
        (guard, [fails]),
        (lambda executor: guard(ExecutorEngine(executor)), [fails]),
        (lambda executor: BatchEngine(fails, 1, engine=executor), [1]),
    ],
    ids=["executor", "coroutine", "guard", "guarded engine", "batch"],
)
def test_an_operation_that_failed_is_gone_without_a_garbage_collection(make, request_):
    with ThreadPoolExecutor(1) as executor:
        engine = make(executor) if make is not CoroutineEngine else make()
        with engine:
            ticket = engine.submit(*request_)
            with pytest.raises(ZeroDivisionError):
                ticket.result()
            watched = weakref.ref(ticket)
            gc.disable()
            try:
                del ticket
                executor.submit(int).result()  # so that its thread lets go of what was before
                if make is CoroutineEngine:
                    engine.call(pausable_sleep)
                assert watched() is None
            finally:
                gc.enable()
