"""BatchEngine: what piled up goes together."""

from __future__ import annotations

import asyncio
import threading
from collections import Counter

import pytest

import pausable
from engines._support import pausable_sleep
from pausable.engines import BatchEngine, CoroutineEngine, Engine, ExecutorEngine
from pausable.testing import FakeEngine, FakeLoop


def squares(numbers):
    return [number * number for number in numbers]


class Recorder:
    """Is an executor that completes batches when the test says so."""

    def __init__(self, fn_many=squares, max_batch=100, **options):
        self.fake = FakeEngine()
        self.engine = BatchEngine(fn_many, max_batch, engine=self.fake, **options)
        self.done = 0

    @property
    def batches(self):
        return [self.fake.operation(name).args[0] for name in self.fake.submitted]

    def run(self):
        """Execute the oldest batch that is under way."""
        self.fake.run(self.fake.pending[0])


@pytest.fixture
def loop():
    with FakeLoop() as loop:
        yield loop


def test_requests_get_their_own_results(place, wrap):
    with BatchEngine(squares, 7) as engine:
        assert place(wrap(engine).call, range(30)) == squares(range(30))
        stats = engine.stats()
    assert stats.requests >= 30
    assert stats.batches == sum(stats.fill.values())
    assert max(stats.fill) <= 7
    assert (stats.waiting, stats.in_flight) == (0, 0)


def test_an_engine_with_faults_below_a_batch_does_no_harm(place, wrap):
    with ExecutorEngine() as threads, BatchEngine(squares, 7, engine=wrap(threads)) as engine:
        assert place(engine.call, range(30)) == squares(range(30))


def test_a_busy_engine_is_asked_again_when_the_driver_thinks_fit(loop):
    class Busy(Engine):
        tried = 0

        def _begin(self, ticket, *request):
            self.tried += 1
            ticket.finish([1]) if self.tried > 30 else ticket.busy()

        def _cancel(self, ticket):
            pass

    with Busy() as below, BatchEngine(print, 4, engine=below) as engine:
        job = loop.start(engine.call, 0)
        loop.run_until_idle()
        assert below.tried <= 2  # the next time is the driver's to choose
        loop.advance(60)
        assert job.result() == 1
        assert engine.stats().fill == {1: 1}


def test_what_jobs_ask_for_at_the_same_time_goes_together(loop):
    recorder = Recorder()
    jobs = [loop.start(recorder.engine.call, n) for n in range(5)]
    assert recorder.batches == []
    loop.step()
    assert recorder.batches == [[0, 1, 2, 3, 4]]
    recorder.run()
    loop.run_until_idle()
    assert [job.result() for job in jobs] == squares(range(5))


def test_what_piles_up_while_a_batch_is_under_way_goes_in_the_next(loop):
    recorder = Recorder()
    loop.start(recorder.engine.call, 0)
    loop.step()
    for n in (1, 2, 3):
        loop.start(recorder.engine.call, n)
        loop.step()
    assert recorder.batches == [[0]]
    recorder.run()
    assert recorder.batches == [[0], [1, 2, 3]]
    recorder.run()
    assert loop.run_until_idle() == []


def test_a_lone_request_goes_at_once(loop):
    recorder = Recorder()
    loop.start(recorder.engine.call, 3)
    loop.step()
    assert recorder.batches == [[3]]
    assert loop.time() == 0
    recorder.run()


def test_outside_jobs_requests_go_at_once_and_pile_up_behind():
    recorder = Recorder()
    tickets = [recorder.engine.submit(n) for n in range(4)]
    assert recorder.batches == [[0]]
    recorder.run()
    recorder.run()
    assert recorder.batches == [[0], [1, 2, 3]]
    assert [ticket.result() for ticket in tickets] == [0, 1, 4, 9]


def test_no_batch_is_larger_than_max_batch(loop):
    recorder = Recorder(max_batch=3)
    jobs = [loop.start(recorder.engine.call, n) for n in range(8)]
    loop.step()
    for _ in range(3):
        recorder.run()
    loop.run_until_idle()
    assert recorder.batches == [[0, 1, 2], [3, 4, 5], [6, 7]]
    assert [job.result() for job in jobs] == squares(range(8))


def test_several_batches_may_be_under_way():
    recorder = Recorder(max_batch=2, max_in_flight=2)
    tickets = [recorder.engine.submit(n) for n in range(7)]
    assert recorder.batches == [[0], [1]]
    assert recorder.engine.stats().in_flight == 2
    while recorder.fake.pending:
        recorder.run()
    assert [ticket.result() for ticket in tickets] == squares(range(7))


def test_each_kind_has_a_queue_of_its_own(loop):
    recorder = Recorder(kind=lambda n: n % 3)
    jobs = [loop.start(recorder.engine.call, n) for n in range(9)]
    loop.step()
    assert recorder.batches == [[0, 3, 6], [1, 4, 7], [2, 5, 8]]
    while recorder.fake.pending:
        recorder.run()
    loop.run_until_idle()
    assert [job.result() for job in jobs] == squares(range(9))
    assert recorder.engine._queues == {}


def test_requests_are_held_for_min_batch_but_no_longer_than_max_delay(loop):
    recorder = Recorder(min_batch=3, max_delay_s=60)
    loop.start(pausable.sleep, 3600)  # somebody who could ask, too
    loop.start(recorder.engine.call, 1)
    loop.start(recorder.engine.call, 2)
    loop.advance(59)
    assert recorder.batches == []
    loop.advance(1)
    assert recorder.batches == [[1, 2]]
    recorder.run()


def test_min_batch_requests_go_without_delay(loop):
    recorder = Recorder(min_batch=3, max_delay_s=60)
    loop.start(pausable.sleep, 3600)
    for n in range(3):
        loop.start(recorder.engine.call, n)
    loop.step()
    assert recorder.batches == [[0, 1, 2]]
    assert loop.time() == 0
    recorder.run()


def test_held_requests_go_when_every_live_job_waits(loop):
    recorder = Recorder(min_batch=10, max_delay_s=3600)
    for n in range(4):
        loop.start(recorder.engine.call, n)
    loop.step()
    assert recorder.batches == [[0, 1, 2, 3]]
    recorder.run()


def test_held_requests_go_when_the_last_job_that_could_add_to_them_has_ended(loop):
    recorder = Recorder(min_batch=10, max_delay_s=3600)
    loop.start(pausable.sleep, 5)
    loop.start(recorder.engine.call, 1)
    loop.advance(4)
    assert recorder.batches == []
    loop.advance(1.5)
    assert recorder.batches == [[1]]
    recorder.run()


def test_who_has_its_answer_counts_no_more_among_those_who_wait(loop):
    recorder = Recorder(min_batch=2, max_delay_s=60)
    loop.start(recorder.engine.call, 1)
    loop.step()
    recorder.run()
    assert loop.run_until_idle() == []
    loop.start(pausable.sleep, 3600)  # somebody who could ask, too
    loop.start(recorder.engine.call, 2)
    loop.advance(59)
    assert recorder.batches == [[1]]
    loop.advance(1)
    assert recorder.batches == [[1], [2]]
    recorder.run()
    loop.run_until_idle()
    assert not recorder.engine._callers


def test_when_a_full_batch_goes_nothing_is_left_to_be_looked_at(loop):
    recorder = Recorder(max_batch=3, max_delay_s=60)
    for n in range(3):
        loop.start(recorder.engine.submit, n)
    assert recorder.batches == [[0, 1, 2]]
    assert loop._clock.next_due() is None
    recorder.run()


def test_max_delay_alone_waits_for_a_full_batch(loop):
    recorder = Recorder(max_batch=3, max_delay_s=60)
    tickets = [recorder.engine.submit(n) for n in range(2)]
    assert recorder.batches == []
    tickets.append(recorder.engine.submit(2))
    assert recorder.batches == [[0, 1, 2]]
    recorder.run()


def test_held_requests_of_a_thread_without_jobs_go_after_max_delay():
    with BatchEngine(squares, 100, max_delay_s=0.001) as engine:
        assert engine.call(3) == 9


def test_one_exception_fails_the_whole_batch_and_no_other(place, wrap):
    def refuse_zero(numbers):
        if 0 in numbers:
            raise LookupError("zero")
        return squares(numbers)

    def call(number):
        try:
            return engine.call(number)
        except LookupError as exc:
            return str(exc)

    with BatchEngine(refuse_zero, 4, kind=lambda n: n // 4) as batches:
        engine = wrap(batches)
        counted = Counter(place(call, range(8)))
    assert counted["zero"] >= 1
    assert set(squares(range(4, 8))) <= set(counted)


def test_an_exception_in_place_of_a_result_is_that_requests_own(place, wrap):
    def one_by_one(texts):
        return [int(text) if text.isdigit() else ValueError(text) for text in texts]

    def call(text):
        try:
            return engine.call(text)
        except ValueError as exc:
            return str(exc)

    with BatchEngine(one_by_one, 10) as batches:
        engine = wrap(batches)
        assert place(call, ["1", "x", "2"]) == [1, "x", 2]


@pytest.mark.parametrize(
    ("returned", "message"),
    [
        ([1], "returned 1 results for 2 requests"),
        ([1, 2, 3], "returned 3 results for 2 requests"),
        (None, "returned a NoneType for 2 requests"),
        ({1, 2}, "it has to return a list"),
        ({1: 1, 2: 2}, "it has to return a list"),
        (b"xy", "it has to return a list"),
    ],
)
def test_results_that_do_not_match_the_requests_fail_them_all(loop, returned, message):
    recorder = Recorder(lambda numbers: returned)
    jobs = [loop.start(recorder.engine.call, n) for n in range(2)]
    loop.step()
    recorder.run()
    loop.run_until_idle()
    for job in jobs:
        with pytest.raises(pausable.EngineError, match=message):
            job.result()


def test_what_a_generator_of_results_raises_is_the_batchs_own():
    def fails_half_way(requests):
        yield requests[0]
        raise TypeError("its own")

    with BatchEngine(fails_half_way, 4) as engine:
        with pytest.raises(TypeError, match="its own"):
            engine.call("a")


def test_any_iterable_with_an_order_will_do():
    with BatchEngine(lambda numbers: (n + 1 for n in numbers), 10) as engine:
        assert engine.call(1) == 2


def test_fn_many_may_be_a_coroutine_function_with_an_engine_for_those(place):
    async def asquares(numbers):
        await pausable_sleep()
        return squares(numbers)

    with CoroutineEngine() as coroutines, BatchEngine(asquares, 9, engine=coroutines) as engine:
        assert place(engine.call, range(30)) == squares(range(30))


def test_an_engine_that_was_given_stays_its_owners():
    with ExecutorEngine() as threads:
        with BatchEngine(squares, 9, engine=threads) as engine:
            assert engine.call(2) == 4
        assert threads.call(int) == 0


def test_a_request_that_is_cancelled_before_its_batch_goes_is_left_out(loop):
    recorder = Recorder()
    recorder.engine.submit(0)
    jobs = [loop.start(recorder.engine.call, n) for n in (1, 2, 3)]
    loop.step()
    jobs[1].cancel()
    recorder.run()
    assert recorder.batches == [[0], [1, 3]]
    recorder.run()


def test_the_job_that_sends_for_all_may_be_cancelled(loop):
    recorder = Recorder()
    jobs = [loop.start(recorder.engine.call, n) for n in (1, 2, 3)]
    jobs[0].cancel()
    assert recorder.batches == [[2, 3]]
    recorder.run()
    loop.run_until_idle()
    assert [job.result() for job in jobs[1:]] == [4, 9]


def test_a_request_that_is_cancelled_on_its_way_leaves_the_others_alone(loop):
    recorder = Recorder()
    jobs = [loop.start(recorder.engine.call, n) for n in (1, 2)]
    loop.step()
    jobs[0].cancel()
    assert recorder.fake.cancelled == []
    recorder.run()
    loop.run_until_idle()
    assert jobs[1].result() == 4


def test_a_batch_that_nobody_wants_any_more_is_cancelled(loop):
    recorder = Recorder()
    jobs = [loop.start(recorder.engine.call, n) for n in (1, 2)]
    loop.step()
    for job in jobs:
        job.cancel()
    assert recorder.fake.cancelled == ["squares-1"]
    assert recorder.engine.stats().in_flight == 0


def test_a_batch_that_is_not_taken_fails_its_requests_and_the_next_one_goes():
    class Refuses:
        def submit(self, fn, requests):
            raise OSError("no route")

    with BatchEngine(squares, 1, engine=Refuses()) as engine:
        for _ in range(2):
            with pytest.raises(pausable.EngineError, match="no route") as info:
                pausable.run_blocking(engine.call, 1)
            assert isinstance(info.value.__cause__, OSError)
        assert engine.stats().in_flight == 0


def test_an_engine_that_returns_no_future_fails_the_batch():
    class Garbage:
        def submit(self, fn, requests):
            return requests

    with BatchEngine(squares, 4, engine=Garbage()) as engine:
        with pytest.raises(pausable.EngineError, match="which is no future"):
            engine.call(1)


class Early:
    """A future that wakes whoever waits for it before it is done, and twice when it is."""

    def __init__(self):
        self.value = None

    def done(self):
        return self.value is not None

    def result(self):
        assert self.done(), "to ask now would block whoever completes it"
        return self.value

    def add_done_callback(self, callback):
        self.wake = callback
        self.wake(self)


def test_an_early_wake_and_a_second_one_do_nothing(caplog):
    class Engine:
        def submit(self, fn, requests):
            return early

    early = Early()
    with BatchEngine(squares, 4, engine=Engine()) as engine:
        ticket = engine.submit(3)
        assert not ticket.done()
        early.value = [9]
        for _ in range(2):
            early.wake(early)
        assert ticket.result() == 9
        assert engine.stats().in_flight == 0
        assert caplog.records == []


class AtOnce:
    """Executes in submit, so that a batch is back before it was begun."""

    def submit(self, fn, requests):
        fake = FakeEngine()
        operation = fake.submit(fn, requests)
        fake.run(operation.name)
        return operation


def test_batches_that_are_back_at_once_do_not_pile_up_on_the_stack(loop):
    count = 5000
    with BatchEngine(squares, 1, engine=AtOnce()) as engine:
        jobs = [loop.start(engine.call, n) for n in range(count)]
        loop.run_until_done()
        assert [job.result() for job in jobs] == squares(range(count))


def test_a_closed_engine_fails_what_waits_and_what_is_under_way(loop):
    recorder = Recorder()
    under_way = loop.start(recorder.engine.call, 1)
    loop.step()
    waits = loop.start(recorder.engine.call, 2)
    loop.step()
    recorder.engine.close()
    loop.run_until_idle()
    for job in (under_way, waits):
        with pytest.raises(pausable.EngineClosed):
            job.result()
    assert recorder.batches == [[1]]


def test_many_threads_and_jobs_share_one_engine():
    def in_one_thread(thread):
        numbers = range(thread * 100, thread * 100 + 100)
        results[thread] = list(pausable.map(engine.call, numbers)) == squares(numbers)

    results = {}
    with BatchEngine(squares, 16, kind=lambda n: n % 2) as engine:
        threads = [threading.Thread(target=in_one_thread, args=[n]) for n in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert engine.stats().requests == 400
    assert results == dict.fromkeys(range(4), True)


def test_an_asyncio_tick_is_one_batch():
    async def main():
        return await asyncio.gather(*[pausable.run(engine.call, n) for n in range(60)])

    with BatchEngine(squares, 100) as engine:
        assert asyncio.run(main()) == squares(range(60))
        assert engine.stats().fill == {60: 1}


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"max_batch": 0}, ValueError, "max_batch has to be 1 or more, not 0"),
        ({"max_batch": 1.0}, TypeError, "max_batch has to be an int"),
        ({"min_batch": 9, "max_delay_s": 1}, ValueError, "at most max_batch"),
        ({"min_batch": 2}, ValueError, "needs max_delay_s"),
        ({"max_delay_s": -1}, ValueError, "max_delay_s has to be 0 or more"),
        ({"max_in_flight": 0}, ValueError, "max_in_flight has to be 1"),
        ({"fn_many": 3}, TypeError, "fn_many has to be callable"),
        ({"kind": 3}, TypeError, "kind has to be a function"),
        ({"engine": 3}, TypeError, "engine has to be an engine or an executor"),
    ],
)
def test_arguments_are_checked(options, error, message):
    with pytest.raises(error, match=message):
        BatchEngine(**{"fn_many": squares, "max_batch": 8, **options})


def test_a_kind_that_raises_is_an_engine_error():
    with BatchEngine(squares, 8, kind=lambda n: 1 // n) as engine:
        with pytest.raises(pausable.EngineError, match="ZeroDivisionError"):
            engine.call(0)
        assert engine.call(1) == 1


class PausesOnce:
    """Is an engine that pauses while it takes its first request."""

    def __init__(self, engine):
        self._engine = engine
        self._pauses = 1

    def submit(self, fn, /, *args):
        while self._pauses:
            self._pauses -= 1
            pausable.pause()
        return self._engine.submit(fn, *args)


def test_a_job_cancelled_while_it_submits_for_others_leaves_nobody_waiting():
    with ExecutorEngine() as threads:
        with BatchEngine(squares, 10, engine=PausesOnce(threads)) as engine:
            first, second = (pausable.start(engine.call, n) for n in (1, 2))
            first.resume()  # it sends both, and is paused in there
            assert first.cancel()
            with second:
                while not second.done():
                    second.resume()
            assert second.result() == 4
            assert engine.call(3) == 9
