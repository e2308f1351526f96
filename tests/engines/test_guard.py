"""guard: limits, time limits, retries, a breaker and a fallback around an engine."""

from __future__ import annotations

import asyncio
import gc
import weakref
from functools import partial

import pytest
import sniffio

import pausable
from engines._support import ByHand, asquare, square
from pausable.engines import Breaker, CoroutineEngine, ExecutorEngine, Retry, guard
from pausable.engines._gate import Gate
from pausable.engines._retry import Budget
from pausable.testing import FakeEngine, FakeLoop, FaultEngine


@pytest.fixture
def loop():
    with FakeLoop() as loop:
        yield loop


@pytest.fixture
def fake():
    return FakeEngine()


NO_DELAY = {"delay_s": 0.0, "budget": None}


def test_results_pass(place, wrap):
    with ExecutorEngine() as threads, guard(wrap(threads), max_in_flight=3) as engine:
        assert place(lambda n: engine.call(square, n), range(20)) == [n * n for n in range(20)]
        stats = engine.stats()
        assert (stats.in_flight, stats.waiting) == (0, 0)


def test_a_function_that_raises_is_neither_retried_nor_a_failure(place):
    def call(text):
        with pytest.raises(ValueError, match="invalid literal"):
            engine.call(int, text)
        return True

    breaker = Breaker(1)
    with ExecutorEngine() as threads:
        with guard(threads, retry=5, breaker=breaker, fallback=ByHand()) as engine:
            assert place(call, ["x", "y"]) == [True, True]
            assert engine.stats().retries == 0
            assert not breaker.is_open


# -- limits ----------------------------------------------------------------------------------------


def test_no_more_than_max_in_flight_are_at_the_engine_first_come_first_served(fake, loop):
    with guard(fake, max_in_flight=2) as engine:
        jobs = [loop.start(engine.call, name) for name in "abcd"]
        assert fake.pending == ["a", "b"]
        assert engine.stats().waiting == 2
        fake.finish("b", 1)
        assert fake.pending == ["a", "c"]
        for name in "acd":
            fake.finish(name, 2)
        loop.run_until_idle()
        assert [job.result() for job in jobs] == [2, 1, 2, 2]


def test_one_more_than_max_waiting_is_refused_and_the_others_go_on(fake, loop):
    with guard(fake, max_in_flight=1, max_waiting=1) as engine:
        jobs = [loop.start(engine.call, name) for name in "ab"]
        with pytest.raises(pausable.EngineFull, match=r"1 operations wait.*max_waiting"):
            loop.start(engine.call, "c").result()
        assert engine.stats().refused == 1
        fake.finish("a", 1)
        jobs.append(loop.start(engine.call, "d"))
        fake.finish("b", 2)
        fake.finish("d", 3)
        loop.run_until_idle()
        assert [job.result() for job in jobs] == [1, 2, 3]


def test_none_waits_where_max_waiting_is_zero(fake):
    with guard(fake, max_in_flight=1, max_waiting=0) as engine:
        ticket = engine.submit("a")
        with pytest.raises(pausable.EngineFull):
            engine.submit("b")
        fake.finish("a", 1)
        assert ticket.result() == 1
        engine.submit("c")
        assert fake.pending == ["c"]


def test_who_is_cancelled_while_waiting_makes_room_and_is_never_begun(fake, loop):
    with guard(fake, max_in_flight=1, max_waiting=1) as engine:
        first, second = [loop.start(engine.call, name) for name in "ab"]
        second.cancel()
        third = loop.start(engine.call, "c")
        fake.finish("a", 1)
        assert fake.submitted == ["a", "c"]
        fake.finish("c", 3)
        loop.run_until_idle()
        assert (first.result(), third.result()) == (1, 3)


def test_who_is_cancelled_at_the_engine_gives_its_place_to_the_next(fake, loop):
    with guard(fake, max_in_flight=1) as engine:
        first, second = [loop.start(engine.call, name) for name in "ab"]
        first.cancel()
        assert fake.cancelled == ["a"]
        assert fake.pending == ["b"]
        fake.finish("b", 2)
        loop.run_until_idle()
        assert second.result() == 2
        assert engine.stats().in_flight == 0


def test_what_is_refused_leaves_no_deadline_behind(fake, loop):
    with guard(fake, max_in_flight=1, max_waiting=0, deadline_s=5) as engine:
        first, second = [loop.start(engine.call, name) for name in "ab"]
        assert isinstance(second.exception(), pausable.EngineFull)
        fake.finish("a", 1)
        loop.run_until_idle()
        assert first.result() == 1
        assert loop._clock.next_due() is None


def test_what_is_over_does_not_wait_for_a_place():
    class Over:
        over = True

    class GoesIn:
        over = False

        def attempt(self):
            """Stay there."""

    gate = Gate(max_in_flight=1, max_waiting=1)
    gate.enter(GoesIn())
    gate.enter(Over())  # its deadline came just before
    assert (gate.in_flight, gate.waiting) == (1, 0)
    assert not gate.is_full()


class AtOnce:
    def submit(self, number):
        fake = FakeEngine()
        operation = fake.submit("x")
        fake.finish("x", number)
        return operation


def test_operations_that_end_at_once_do_not_pile_up_on_the_stack(loop):
    with guard(AtOnce(), max_in_flight=1) as engine:
        assert list(pausable.map(engine.call, range(3000))) == list(range(3000))


# -- time limits -----------------------------------------------------------------------------------


def test_an_attempt_that_takes_too_long_is_cancelled_and_a_late_answer_ignored(fake, loop):
    with guard(fake, timeout_s=5) as engine:
        job = loop.start(engine.call, "sign")
        fake.begin("sign")
        assert loop.advance(4.9) == [job]
        loop.advance(0.1)
        with pytest.raises(pausable.EngineTimeout, match=r"no answer after 5 s \(timeout_s\)"):
            job.result()
        fake.finish_late("sign", 1)
        assert engine.stats().timeouts == 1


def test_an_engine_that_takes_an_operation_too_late_is_told_to_cancel_it(fake, loop):
    class SlowToTake:
        def submit(self, name):
            pausable.sleep(10)
            return fake.submit(name)

    with guard(SlowToTake(), deadline_s=5) as engine:
        job = loop.start(engine.call, "sign")
        loop.advance(10)
        assert isinstance(job.exception(), pausable.EngineTimeout)
        assert fake.cancelled == ["sign"]
        assert engine.stats().in_flight == 0


def test_a_timeout_is_also_a_timeout_error(fake, loop):
    with guard(fake, timeout_s=1) as engine:
        job = loop.start(engine.call, "sign")
        loop.advance(1)
        assert isinstance(job.exception(), TimeoutError)


def test_the_deadline_counts_waiting_and_all_attempts(fake, loop):
    with guard(fake, max_in_flight=1, deadline_s=5, timeout_s=2, retry=Retry(9, **NO_DELAY)) as g:
        first, second = [loop.start(g.call, name) for name in "ab"]
        loop.advance(4.5)
        assert [first.done(), second.done()] == [False, False]
        assert fake.submitted[:2] == ["a", "b"]  # the second has its turn while the first waits
        loop.advance(0.5)
        for job in (first, second):
            with pytest.raises(pausable.EngineTimeout, match=r"after 5 s \(deadline_s\)"):
                job.result()
        assert fake.pending == []
        assert g.stats().in_flight == 0


def test_an_answer_in_time_calls_the_clock_off(fake, loop):
    with guard(fake, timeout_s=5, deadline_s=9) as engine:
        job = loop.start(engine.call, "sign")
        fake.finish("sign", 1)
        loop.run_until_idle()
        assert job.result() == 1
        assert loop._clock.next_due() is None


# -- retries ---------------------------------------------------------------------------------------


def failing(fake, loop, times, exc):
    """Fail the operation "sign" so many times, each time it is tried."""
    for _ in range(times):
        loop.advance(1)
        fake.fail("sign", exc)
    loop.advance(1)


@pytest.mark.parametrize("exc", [ConnectionError("reset"), TimeoutError(), pausable.EngineError()])
def test_what_is_transient_is_tried_again(fake, loop, exc):
    with guard(fake, retry=Retry(4, **NO_DELAY)) as engine:
        job = loop.start(engine.call, "sign")
        failing(fake, loop, 3, exc)
        fake.finish("sign", "at last")
        loop.run_until_idle()
        assert job.result() == "at last"
        assert engine.stats().retries == 3


def test_after_the_last_attempt_the_error_is_raised(fake, loop):
    with guard(fake, retry=2) as engine:
        job = loop.start(engine.call, "sign")
        failing(fake, loop, 2, ConnectionError("reset"))
        with pytest.raises(ConnectionError, match="reset"):
            job.result()
        assert fake.submitted == ["sign"] * 2


def test_which_errors_are_transient_is_yours_to_say(fake, loop):
    with guard(fake, retry=Retry(2, **NO_DELAY), transient=(LookupError,)) as engine:
        job = loop.start(engine.call, "sign")
        failing(fake, loop, 1, LookupError())
        fake.fail("sign", ConnectionError("final"))
        loop.run_until_idle()
        assert isinstance(job.exception(), ConnectionError)


def test_delays_are_random_below_a_bound_that_doubles():
    retry = Retry(100, delay_s=1, max_delay_s=20, seed=1)
    for attempts, most in ((1, 1), (2, 2), (3, 4), (5, 16), (6, 20), (99, 20)):
        delays = [retry.next_delay_s(attempts) for _ in range(200)]
        assert most * 0.9 < max(delays) <= most
        assert min(delays) < most * 0.1
    assert retry.next_delay_s(100) is None


class BusyAtFirst(FakeEngine):
    """Answers EAGAIN so many times, as tickets do."""

    def __init__(self, times):
        super().__init__()
        self.engine = FaultEngine(self, seed=1, again_rate=1)
        self.times = times

    def submit(self, *request):
        self.times -= 1
        return self.engine.submit(*request) if self.times >= 0 else super().submit(*request)


def test_what_was_turned_down_is_tried_again_with_a_delay_and_spends_no_budget(loop):
    busy = BusyAtFirst(30)
    with guard(busy, retry=Retry(31, budget=0, seed=1)) as engine:
        job = loop.start(engine.call, "sign")
        loop.advance(60)
        assert busy.pending == ["sign"]
        busy.finish("sign", 1)
        loop.run_until_idle()
        assert job.result() == 1
        assert engine.stats().retries == 30


def test_what_was_turned_down_too_often_is_an_engine_error(loop):
    with guard(BusyAtFirst(9), retry=3) as engine:
        job = loop.start(engine.call, "sign")
        loop.advance(10)
        with pytest.raises(pausable.EngineBusy):
            job.result()


def test_without_retries_a_call_asks_a_busy_engine_again_as_the_manual_has_it(loop):
    busy = BusyAtFirst(3)
    with guard(busy) as engine:
        job = loop.start(engine.call, "sign")
        assert job.wait_ctx.status in {pausable.Status.EAGAIN, pausable.Status.OK}
        loop.advance(1)
        busy.finish("sign", 1)
        loop.run_until_idle()
        assert job.result() == 1


def test_without_retries_a_deadline_bounds_how_long_a_busy_engine_is_asked(loop):
    busy = BusyAtFirst(10**9)
    with guard(busy, deadline_s=5) as engine:
        job = loop.start(engine.call, "sign")
        loop.advance(4.9)
        assert not job.done()
        loop.advance(0.1)
        with pytest.raises(pausable.EngineTimeout, match=r"after 5 s \(deadline_s\)"):
            job.result()
        tried = busy.times
        loop.advance(60)
        assert busy.times == tried


def test_errors_are_not_retried_beyond_the_budget(loop):
    class Broken:
        tried = 0

        def submit(self, _):
            self.tried += 1
            raise ConnectionError

    broken = Broken()
    with guard(broken, retry=Retry(5, delay_s=0, budget=0.1)) as engine:
        jobs = [loop.start(engine.call, "x") for _ in range(100)]
        loop.advance(1)
        assert all(isinstance(job.exception(), ConnectionError) for job in jobs)
        # one for each, 10 at first, and one for every ten operations
        assert 110 <= broken.tried <= 121
        assert engine.stats().retries_refused > 0


def test_a_job_that_is_cancelled_between_attempts_makes_no_more(fake, loop):
    with guard(fake, retry=Retry(9, delay_s=10, seed=1)) as engine:
        job = loop.start(engine.call, "sign")
        fake.fail("sign", ConnectionError())
        loop.run_until_idle()
        job.cancel()
        loop.advance(60)
        assert fake.submitted == ["sign"]


class Meanwhile:
    """Does something when it is asked for "b": on the stack that tells what became of "a"."""

    def __init__(self, engine):
        self.engine = engine
        self.do = None

    def submit(self, name):
        if name == "b":
            self.do()
        return self.engine.submit(name)


@pytest.mark.parametrize("options", [{"retry": 9}, {"fallback": ByHand()}])
def test_who_is_cancelled_while_the_next_one_is_let_in_is_neither_retried_nor_done_elsewhere(
    fake, loop, options
):
    with guard(meanwhile := Meanwhile(fake), max_in_flight=1, **options) as engine:
        first, second = [loop.start(engine.call, name) for name in "ab"]
        meanwhile.do = first.cancel
        fake.fail("a", ConnectionError())
        fake.finish("b", 2)
        loop.run_until_idle()
        assert (first.cancelled(), second.result()) == (True, 2)
        assert loop._clock.next_due() is None
        assert engine.stats().fallbacks == 0


def test_an_attempt_that_never_ends_does_not_keep_the_failure_of_the_one_before(fake, loop):
    class Lost(ConnectionError):
        """Can be watched dying."""

    with guard(fake, retry=Retry(2, **NO_DELAY)) as engine:
        job = loop.start(engine.call, "sign")
        fake.fail("sign", lost := Lost())
        loop.advance(1)
        fake.begin("sign")
        job.cancel()
        died = weakref.finalize(lost, int)
        del lost, job
        gc.collect()
        assert fake.pending == ["sign"]
        assert not died.alive


def test_retries_are_saved_up_to_a_bound():
    budget = Budget(share=1)
    for _ in range(500):
        budget.earn()
    assert [budget.spend() for _ in range(101)] == [True] * 100 + [False]


def test_a_closed_engine_below_is_not_asked_again():
    inner = ByHand()
    inner.close()
    with guard(inner, retry=Retry(9, **NO_DELAY)) as engine:
        with pytest.raises(pausable.EngineClosed):
            pausable.run_blocking(engine.call, "x")
        assert engine.stats().retries == 0


def test_a_coroutine_is_retried_on_the_loop_where_it_was_submitted(place):
    async def first_time_lost(number):
        where.append(asyncio.get_running_loop() if sniffio.current_async_library() != "trio" else 0)
        if len(where) % 2:
            raise ConnectionError
        return await asquare(number)

    where = []
    with CoroutineEngine() as inner, guard(inner, retry=Retry(9, budget=None)) as engine:
        assert place(lambda n: engine.call(first_time_lost, n), [3]) == [9]
    assert len(where) == 2
    assert where[0] is where[1]


# -- breaker ---------------------------------------------------------------------------------------


def fails(engine, loop, fake):
    job = loop.start(engine.call, "sign")
    if not job.done():
        fake.fail("sign", ConnectionError("down"))
        loop.run_until_idle()
    return type(job.exception())


def opened(breaker, now):
    breaker.failed(breaker.allow(now), now)
    return breaker


def test_after_failures_in_a_row_nothing_is_attempted_for_a_while(fake, loop):
    breaker = Breaker(2, reset_s=30)
    with guard(fake, breaker=breaker) as engine:
        assert [fails(engine, loop, fake) for _ in range(3)] == [
            ConnectionError, ConnectionError, pausable.BreakerOpen,
        ]  # fmt: skip
        assert breaker.is_open
        assert len(fake.submitted) == 2


def test_a_breaker_that_opens_between_attempts_says_what_failed_before(fake, loop):
    with guard(fake, breaker=Breaker(1), retry=Retry(5, **NO_DELAY)) as engine:
        job = loop.start(engine.call, "sign")
        fake.fail("sign", ConnectionError("down"))
        loop.advance(1)
        assert isinstance(job.exception(), pausable.BreakerOpen)
        assert isinstance(job.exception().__cause__, ConnectionError)


def test_then_one_attempt_is_let_through_and_closes_it_again(loop):
    hand = ByHand()
    breaker = Breaker(1, reset_s=5)
    with guard(hand, breaker=breaker) as engine:
        first = loop.start(engine.call, "a")
        hand.tickets["a"].fail(ConnectionError())
        loop.advance(5)
        trial = loop.start(engine.call, "b")
        with pytest.raises(pausable.BreakerOpen):
            loop.start(engine.call, "c").result()
        hand.tickets["b"].finish(1)
        after = [loop.start(engine.call, name) for name in "de"]
        for name in "de":
            hand.tickets[name].finish(name)
        loop.run_until_idle()
        assert isinstance(first.exception(), ConnectionError)
        assert trial.result() == 1
        assert [job.result() for job in after] == ["d", "e"]
        assert not breaker.is_open


def test_a_trial_that_fails_keeps_it_open_and_one_that_is_cancelled_lets_another_try(fake):
    breaker = opened(Breaker(1, reset_s=10), 100)
    assert breaker.allow(109) is None
    breaker.failed(breaker.allow(110), 110)
    assert breaker.allow(119) is None
    trial = breaker.allow(120)
    assert breaker.allow(120) is None
    breaker.undecided(trial)
    breaker.succeeded(breaker.allow(121))
    assert not breaker.is_open
    assert None not in {breaker.allow(121), breaker.allow(121)}


def test_who_is_cancelled_is_no_failure(fake, loop):
    with guard(fake, breaker=1) as engine:
        loop.start(engine.call, "a").cancel()
        assert fake.cancelled == ["a"]
        assert not engine.breaker.is_open


def test_a_trial_that_nothing_is_heard_of_lets_another_try_and_counts_no_more():
    breaker = opened(Breaker(1, reset_s=10), 100)
    lost = breaker.allow(110)
    assert breaker.allow(119) is None
    second = breaker.allow(120)
    breaker.failed(lost, 120)
    assert breaker.allow(129) is None
    breaker.succeeded(second)
    assert not breaker.is_open


@pytest.mark.parametrize("how", ["succeeded", "failed", "undecided"])
def test_what_began_before_it_opened_decides_nothing_any_more(how):
    breaker = Breaker(1, reset_s=10)
    before = breaker.allow(0)
    opened(breaker, 100)
    trial = breaker.allow(110)
    getattr(breaker, how)(before, *([111] if how == "failed" else []))
    assert breaker.is_open
    assert breaker.allow(111) is None
    breaker.succeeded(trial)
    assert not breaker.is_open


def test_an_answer_from_before_does_not_close_it(fake, loop):
    with guard(fake, breaker=Breaker(1)) as engine:
        before = loop.start(engine.call, "a")
        assert fails(engine, loop, fake) is ConnectionError
        fake.finish("a", 1)
        loop.run_until_idle()
        assert before.result() == 1
        assert engine.breaker.is_open


def test_what_succeeds_in_between_closes_it(fake, loop):
    with guard(fake, breaker=2) as engine:
        for _ in range(3):
            assert fails(engine, loop, fake) is ConnectionError
            job = loop.start(engine.call, "good")
            fake.finish("good", 1)
            loop.run_until_idle()
            assert job.result() == 1


def test_who_is_cancelled_just_when_its_turn_comes_gives_its_place_back_and_is_no_failure(fake):
    class ThenCancelled(Breaker):
        def allow(self, now):
            if len(tickets) == 2:  # by another thread, for one
                tickets[1].cancel()
            return super().allow(now)

    tickets = []
    with guard(fake, max_in_flight=1, breaker=ThenCancelled(1)) as engine:
        tickets += [engine.submit("a")]
        tickets += [engine.submit("b")]
        fake.finish("a", 1)
        assert fake.submitted == ["a"]
        assert engine.stats().in_flight == 0
        assert not engine.breaker.is_open


# -- fallback --------------------------------------------------------------------------------------


def test_what_the_engine_fails_to_do_the_fallback_does(place):
    class Down:
        def submit(self, *request):
            raise ConnectionError("down")

    with ExecutorEngine() as threads, guard(Down(), retry=2, fallback=threads) as engine:
        assert place(lambda n: engine.call(square, n), range(5)) == [n * n for n in range(5)]
        assert engine.stats().fallbacks == 5


def test_an_open_breaker_and_a_full_queue_lead_to_the_fallback(fake, loop):
    with ExecutorEngine() as threads:
        with guard(fake, max_in_flight=1, max_waiting=0, fallback=threads) as engine:
            engine.submit(square, 2)
            assert engine.call(square, 3) == 9
        breaker = opened(Breaker(1, reset_s=1e9), 0)
        with guard(fake, breaker=breaker, fallback=threads) as engine:
            assert engine.call(square, 3) == 9


def test_what_the_engine_turns_down_the_fallback_does_at_once(loop):
    with Elsewhere() as other, guard(BusyAtFirst(10**9), fallback=other) as engine:
        assert loop.run(engine.call, "sign") == "elsewhere"


def test_what_is_turned_down_and_never_falls_back_is_asked_again(loop):
    busy = BusyAtFirst(2)
    with Elsewhere() as other, guard(busy, fallback=other, never=lambda _: True) as engine:
        job = loop.start(engine.call, "sign")
        loop.advance(1)
        busy.finish("sign", 1)
        loop.run_until_idle()
        assert job.result() == 1


def test_what_is_turned_down_and_never_falls_back_is_bounded_by_the_deadline(loop):
    busy = BusyAtFirst(10**9)
    with Elsewhere() as other:
        options = {"fallback": other, "never": lambda _: True, "deadline_s": 5}
        with guard(busy, **options) as engine:
            job = loop.start(engine.call, "sign")
            loop.advance(5)
            assert isinstance(job.exception(), pausable.EngineTimeout)


def test_what_took_too_long_is_done_by_the_fallback(fake, loop):
    with ByHand() as other, guard(fake, timeout_s=5, fallback=other) as engine:
        job = loop.start(engine.call, "sign")
        loop.advance(5)
        other.tickets["sign"].finish("elsewhere")
        loop.run_until_idle()
        assert job.result() == "elsewhere"


def test_who_is_cancelled_while_the_fallback_works_has_no_place_to_give_back(fake, loop, caplog):
    with ByHand() as other, guard(fake, max_in_flight=1, fallback=other) as engine:
        job = loop.start(engine.call, "sign")
        fake.fail("sign", ConnectionError("down"))
        job.cancel()
        assert other.cancelled == ["sign"]
        assert engine.stats().in_flight == 0
        assert caplog.records == []


def test_a_fallback_that_fails_too_says_why_it_was_asked(fake, loop):
    with ByHand() as other, guard(fake, fallback=other) as engine:
        job = loop.start(engine.call, "sign")
        fake.fail("sign", ConnectionError("down"))
        other.tickets["sign"].fail(OSError("disk"))
        loop.run_until_idle()
        assert isinstance(job.exception(), OSError)
        assert isinstance(job.exception().__context__, ConnectionError)


class Elsewhere(ByHand):
    def _begin(self, ticket, *request, **options):
        ticket.finish("elsewhere")


class Key:
    def __init__(self, in_hsm):
        self.never_falls_back = in_hsm

    def sign(self, digest):
        return digest[::-1]


REQUESTS = {
    "the key": lambda key: ((key,), {}),
    "its method": lambda key: ((key.sign, b"digest"), {}),
    "a keyword": lambda key: ((print,), {"key": key}),
    "a partial": lambda key: ((partial(key.sign, b"digest"),), {}),
    "a partial's argument": lambda key: ((partial(print, key),), {}),
    "a partial's keyword": lambda key: ((partial(print, key=key),), {}),
    "a list of tuples": lambda key: (([(1, key)],), {}),
    "a mapping": lambda key: (({"key": key},), {}),
    "a mapping's key": lambda key: (({key: 1},), {}),
    "a set": lambda key: (({key},), {}),
}


@pytest.mark.parametrize("request_of", REQUESTS.values(), ids=REQUESTS)
def test_a_key_that_is_marked_never_falls_back(loop, request_of):
    class Down:
        def submit(self, *request, **options):
            raise ConnectionError("down")

    with Elsewhere() as other, guard(Down(), fallback=other) as engine:
        args, options = request_of(Key(in_hsm=False))
        assert loop.run(engine.call, *args, **options) == "elsewhere"
        args, options = request_of(Key(in_hsm=True))
        with pytest.raises(ConnectionError):
            loop.run(engine.call, *args, **options)
        assert engine.stats().fallbacks == 1


def test_what_never_falls_back_is_yours_to_say_and_doubt_means_never(loop):
    class Down:
        def submit(self, *request):
            raise ConnectionError("down")

    with Elsewhere() as other:
        with guard(Down(), fallback=other, never=lambda name: name[0] == "h") as engine:
            assert loop.run(engine.call, "local") == "elsewhere"
            with pytest.raises(ConnectionError):
                loop.run(engine.call, "hsm")
            with pytest.raises(pausable.EngineError, match="raised IndexError"):
                loop.run(engine.call, "")


# -- misbehaviour, end, arguments ------------------------------------------------------------------


def test_an_engine_that_returns_no_future_is_an_engine_error():
    class Garbage:
        def submit(self, *request):
            return 3

    with guard(Garbage()) as engine:
        with pytest.raises(pausable.EngineError, match="which is no future"):
            pausable.run_blocking(engine.call, "x")


def test_closing_fails_what_waits_and_what_is_under_way(fake, loop):
    engine = guard(fake, max_in_flight=1)
    jobs = [loop.start(engine.call, name) for name in "ab"]
    engine.close()
    loop.run_until_idle()
    assert [type(job.exception()) for job in jobs] == [pausable.EngineClosed] * 2
    assert fake.submitted == ["a"]
    assert fake.cancelled == ["a"]


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"engine": 3}, TypeError, "engine has to be an engine or an executor"),
        ({"fallback": 3}, TypeError, "fallback has to be an engine"),
        ({"max_in_flight": 0}, ValueError, "max_in_flight has to be 1 or more, not 0"),
        ({"max_waiting": 1}, ValueError, "needs max_in_flight"),
        ({"max_in_flight": 1, "max_waiting": -1}, ValueError, "max_waiting has to be 0 or more"),
        ({"timeout_s": -1}, ValueError, "timeout_s has to be 0 or more"),
        ({"deadline_s": -1}, ValueError, "deadline_s has to be 0 or more"),
        ({"retry": 0}, ValueError, "attempts has to be 1 or more"),
        ({"retry": "often"}, TypeError, "retry has to be a Retry"),
        ({"breaker": 0}, ValueError, "failures has to be 1 or more"),
        ({"breaker": "on"}, TypeError, "breaker has to be a Breaker"),
        ({"never": 1}, TypeError, "never has to be a function"),
        ({"transient": [OSError]}, TypeError, "transient has to be a tuple of classes"),
        ({"transient": (OSError, BaseException)}, TypeError, "transient has to be a tuple"),
        ({"transient": None}, TypeError, "transient has to be a tuple"),
    ],
)
def test_arguments_are_checked(fake, options, error, message):
    with pytest.raises(error, match=message):
        guard(**{"engine": fake, **options})


@pytest.mark.parametrize("option", ["delay_s", "max_delay_s"])
def test_a_retrys_delays_are_checked(option):
    with pytest.raises(TypeError, match=f"{option} has to be a number of seconds, not None"):
        Retry(**{option: None})


def test_a_breakers_delay_is_checked():
    with pytest.raises(TypeError, match="reset_s has to be a number of seconds, not None"):
        Breaker(reset_s=None)


def test_a_budget_is_checked():
    with pytest.raises(ValueError, match="budget has to be 0 or more"):
        Retry(budget=-1)


def test_a_job_cancelled_while_it_submits_lets_the_next_one_in():
    class PausesOnce:
        pauses = 1

        def submit(self, fn, /, *args):
            while self.pauses:
                self.pauses -= 1
                pausable.pause()
            return threads.submit(fn, *args)

    with ExecutorEngine() as threads, guard(PausesOnce(), max_in_flight=1, breaker=1) as engine:
        first, second = (pausable.start(engine.call, square, n) for n in (1, 2))
        first.cancel()
        with second:
            while not second.done():
                second.resume()
            assert second.result() == 4
        assert (engine.stats().in_flight, engine.stats().waiting) == (0, 0)
