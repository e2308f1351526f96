"""Whoever submits may be interrupted (cancelled, or Ctrl-C): only its own operation is."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
from contextlib import suppress

import pytest

import pausable
from core._support import in_child
from engines._support import ByHand, square
from pausable.engines import BatchEngine, Breaker, CoroutineEngine, ExecutorEngine, guard
from pausable.testing import FakeEngine, FakeLoop, InjectedInterrupt


class Interrupted:
    """Is interrupted while it takes its nth operation; pauses before that, if told to."""

    def __init__(self, engine, nth, *, pauses=False):
        self._engine = engine
        self._left = nth
        self._pauses = pauses

    def submit(self, *request):
        self._left -= 1
        if self._left == 0:
            if self._pauses:
                pausable.pause()
            raise InjectedInterrupt(1)
        return self._engine.submit(*request)


def squares(numbers):
    return [number * number for number in numbers]


@pytest.fixture
def fake():
    return FakeEngine()


@pytest.fixture
def loop():
    with FakeLoop() as loop:
        yield loop


def test_an_answer_is_told_although_the_next_attempt_is_interrupted(fake, loop):
    with guard(Interrupted(fake, 2), max_in_flight=1) as engine:
        first, second = [loop.start(engine.call, name) for name in "ab"]
        with pytest.raises(InjectedInterrupt):
            fake.finish("a", 1)
        loop.run_until_idle()
        assert first.result() == 1
        loop.advance(0)
        fake.finish("b", 2)  # it is asked for again
        loop.run_until_idle()
        assert second.result() == 2
        assert (engine.stats().in_flight, engine.stats().retries) == (0, 0)


def test_a_batchs_answers_are_told_although_the_next_one_is_interrupted(loop, fake):
    with BatchEngine(squares, 1, engine=Interrupted(fake, 2)) as engine:
        first, second = [loop.start(engine.call, number) for number in (2, 3)]
        loop.step()
        with pytest.raises(InjectedInterrupt):
            fake.run("squares-1")
        loop.run_until_idle()
        assert first.result() == 4
        second.cancel()


@pytest.mark.parametrize("pauses", [False, True])
@pytest.mark.parametrize(
    "engine_of",
    [
        lambda inner: guard(inner, max_in_flight=3),
        lambda inner: BatchEngine(lambda numbers: [n * n for n in numbers], 1, engine=inner),
        lambda inner: BatchEngine(lambda numbers: [n * n for n in numbers], 8, engine=inner),
    ],
    ids=["guard", "batches of one", "a batch"],
)
def test_the_others_have_their_own_results(engine_of, pauses):
    with ExecutorEngine() as threads, engine_of(Interrupted(threads, 2, pauses=pauses)) as engine:
        request = (lambda n: (square, n)) if hasattr(engine, "engine") else (lambda n: (n,))
        jobs = [pausable.start(engine.call, *request(n)) for n in range(6)]
        while not all(job.done() for job in jobs):
            for job in jobs:
                if job.paused:
                    with suppress(InjectedInterrupt):
                        job.resume()
        interrupted = [isinstance(job.exception(), InjectedInterrupt) for job in jobs]
        assert sum(interrupted) <= 1
        results = [job.result() for job, cut in zip(jobs, interrupted, strict=True) if not cut]
        assert results == [n * n for n, cut in enumerate(interrupted) if not cut]
        assert engine.stats().in_flight == 0


def test_while_a_submit_pauses_others_go_on():
    class PausesAtFirst:
        def __init__(self, engine):
            self._engine, self._first = engine, True

        def submit(self, fn, *args):
            if self._first:
                self._first = False
                pausable.pause()
            return self._engine.submit(fn, *args)

    with ExecutorEngine() as threads, guard(PausesAtFirst(threads), max_in_flight=2) as engine:
        first = pausable.start(engine.call, square, 2)
        assert engine.call(square, 3) == 9
        assert first.paused
        while not first.done():
            first.resume()
        assert first.result() == 4


@pytest.mark.parametrize("of", [lambda e: e, lambda e: guard(e, max_in_flight=1)])
def test_ctrl_c_outside_of_jobs_cancels_the_operation(of):
    class Interrupts(ByHand):
        def _begin(self, ticket, name):
            super()._begin(ticket, name)
            threading.Timer(0.05, os.kill, [os.getpid(), signal.SIGINT]).start()

    hand = Interrupts()
    with of(hand) as engine:
        with pytest.raises(KeyboardInterrupt):
            engine.call("never")
        assert hand.cancelled == ["never"]
        assert engine.pending == 0


@pytest.mark.parametrize("exc", [SystemExit, KeyboardInterrupt])
def test_a_coroutine_that_wants_to_end_the_process_ends_its_own_operation_only(exc):
    async def leaves():
        raise exc

    async def stays():
        release.set()
        await asyncio.sleep(0.01)
        return "stayed"

    release = threading.Event()
    with CoroutineEngine() as engine:
        other = engine.submit(stays)
        release.wait()
        with pytest.raises(exc):
            engine.call(leaves)
        assert other.result() == "stayed"
        assert engine.call(stays) == "stayed"


def test_what_a_loop_never_began_when_it_ended_is_over_and_gives_its_place_back():
    async def leaves_at_once():
        return await pausable.run(engine.submit, asyncio.sleep, 3600)

    async def later():
        return await pausable.run(engine.call, asyncio.sleep, 0, "done")

    with CoroutineEngine() as inner, guard(inner, max_in_flight=1) as engine:
        ticket = asyncio.run(leaves_at_once())
        with pytest.raises(pausable.EngineError, match="was cancelled on its loop"):
            ticket.result()
        assert asyncio.run(later()) == "done"


@pytest.mark.parametrize(
    ("engine_of", "first", "second"),
    [
        (lambda e: guard(e, max_in_flight=1, breaker=BREAKER), ["work"], [square, 3]),
        (lambda e: BatchEngine(squares, 4, engine=e), [2], [3]),
    ],
    ids=["guard", "batch"],
)
def test_a_forked_child_begins_with_empty_books(engine_of, first, second):
    def child():
        with pytest.raises(pausable.EngineError, match="before the process was forked"):
            ticket.result()
        assert engine.call(*second) == 9

    with ExecutorEngine() as threads, engine_of(ByHandAtFirst(threads)) as engine:
        ticket = engine.submit(*first)
        with BREAKER._lock:  # as another thread might
            assert in_child(child) == "ok"


BREAKER = Breaker()


class ByHandAtFirst:
    """Has the first request done by hand, and the others by an engine."""

    def __init__(self, engine):
        self._engines = [engine, ByHand()]

    def submit(self, *request):
        if len(self._engines) == 2:
            return self._engines.pop().submit("work")
        return self._engines[0].submit(*request)


class Half:
    """A future that cannot be asked, or told."""

    def __init__(self, broken):
        self._broken = broken

    def done(self):
        if self._broken == "done":
            raise ZeroDivisionError
        return True

    def result(self):
        return 1

    def add_done_callback(self, callback):
        if self._broken == "add_done_callback":
            raise ZeroDivisionError
        callback(self)


@pytest.mark.parametrize("broken", ["done", "add_done_callback"])
def test_a_future_that_breaks_is_an_error_and_gives_its_place_back(broken):
    class Broken:
        def submit(self, *_request):
            return Half(broken)

    with guard(Broken(), max_in_flight=1, timeout_s=60) as engine:
        for _ in range(2):
            with pytest.raises(ZeroDivisionError):
                engine.call("x")
        assert engine.stats().in_flight == 0
