"""ExecutorEngine over real executors: threads, processes, loky."""

from __future__ import annotations

import concurrent.futures
import gc
import multiprocessing
import os
import signal
import threading
import weakref
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor

import pytest

import pausable
from core._support import Canary, in_child, in_thread
from engines._support import asquare, square
from pausable.engines import ExecutorEngine, _executor
from pausable.testing import FakeEngine

SPAWN = multiprocessing.get_context("spawn")


def die(number):
    os.kill(os.getpid(), signal.SIGKILL)


def die_when_told(fifo):
    fifo.read_bytes()  # blocks until the other end is opened, too
    die(0)


@pytest.fixture(scope="module")
def processes():
    with ProcessPoolExecutor(2, mp_context=SPAWN) as executor:
        yield executor


@pytest.fixture(scope="module")
def loky():
    loky = pytest.importorskip("loky", reason="the engine is tested with loky, too")
    executor = loky.ProcessPoolExecutor(2)
    yield executor
    executor.shutdown(kill_workers=True)


@pytest.fixture(scope="module", params=["own threads", "threads", "processes", "loky"])
def executor(request):
    if request.param == "own threads":
        yield None
    elif request.param == "threads":
        with ThreadPoolExecutor(4) as threads:
            yield threads
    else:
        yield request.getfixturevalue(request.param)


def test_operations_return_their_own_results(place, executor, wrap):
    with ExecutorEngine(executor) as workers:
        engine = wrap(workers)
        assert place(lambda n: engine.call(square, n), range(20)) == [n * n for n in range(20)]
        assert engine.pending == 0


def test_what_a_function_raises_is_raised_as_it_is(place, executor, wrap):
    def call(text):
        with pytest.raises(ValueError, match="invalid literal"):
            engine.call(int, text)
        return True

    with ExecutorEngine(executor) as workers:
        engine = wrap(workers)
        assert place(call, ["x", "y"]) == [True, True]


def test_keyword_arguments_reach_the_function(wrap):
    with ExecutorEngine() as threads:
        engine = wrap(threads)
        assert engine.call(int, "ff", base=16) == 255
        assert engine.call(sorted, [1, 3, 2], reverse=True) == [3, 2, 1]


def test_a_given_executor_stays_its_owners():
    with ThreadPoolExecutor(1) as threads:
        with ExecutorEngine(threads) as engine:
            engine.call(int)
        assert threads.submit(int).result() == 0


def test_threads_of_its_own_end_with_the_engine():
    with ExecutorEngine(max_workers=3) as engine:
        list(pausable.map(lambda n: engine.call(square, n), range(20)))
        names = [t for t in threading.enumerate() if t.name.startswith("pausable-engine")]
        assert 1 <= len(names) <= 3
    for thread in names:
        thread.join(10)
        assert not thread.is_alive()


def test_two_threads_that_call_first_share_one_pool(monkeypatch):
    class HeldByAnother:
        """Is had when another thread, which makes the pool, has let go of it."""

        def __enter__(self):
            monkeypatch.setattr(_executor, "_starting", threading.Lock())
            pools.append(in_thread(engine._workers))

        def __exit__(self, *exc):
            pass

    pools = []
    with ExecutorEngine() as engine:
        monkeypatch.setattr(_executor, "_starting", HeldByAnother())
        pools.append(engine._workers())
        assert len(pools) == 2
        assert pools[0] is pools[1]


def test_a_worker_process_that_dies_is_an_engine_error():
    with ProcessPoolExecutor(1, mp_context=SPAWN) as broken, ExecutorEngine(broken) as engine:
        with pytest.raises(pausable.EngineError, match="the executor broke") as info:
            pausable.run_blocking(engine.call, die, 1)
        assert isinstance(info.value.__cause__, concurrent.futures.BrokenExecutor)
        with pytest.raises(pausable.EngineError, match="could not begin"):
            engine.submit(int)


def test_a_process_pool_that_breaks_after_a_cancel_tells_all_others(tmp_path):
    os.mkfifo(fifo := tmp_path / "fifo")
    with ProcessPoolExecutor(1, mp_context=SPAWN) as broken, ExecutorEngine(broken) as engine:
        dying = engine.submit(die_when_told, fifo)
        waiting = [engine.submit(int) for _ in range(6)]  # more than the pool hands on ahead
        assert waiting[4].cancel()
        assert waiting[4].cancelled()
        fifo.write_bytes(b"now")
        for ticket in (dying, *waiting[:4], waiting[5]):
            with pytest.raises(pausable.EngineError, match="the executor broke"):
                ticket.result(timeout_s=20)


def test_an_executor_that_was_shut_down_is_an_engine_error():
    threads = ThreadPoolExecutor(1)
    threads.shutdown()
    with ExecutorEngine(threads) as engine:
        with pytest.raises(pausable.EngineError, match="after shutdown"):
            engine.call(int)


def test_an_executor_that_drops_what_is_queued_does_not_leave_its_job_waiting():
    threads, go_on = ThreadPoolExecutor(1), threading.Event()
    with ExecutorEngine(threads) as engine:
        running = engine.submit(go_on.wait)
        queued = pausable.start(engine.call, int)
        threads.shutdown(wait=False, cancel_futures=True)
        queued.resume()
        with pytest.raises(pausable.EngineError, match="the executor cancelled"):
            queued.result()
        go_on.set()
        assert running.result() is True


def test_cancelling_a_job_cancels_what_has_not_begun():
    fake = FakeEngine()
    with ExecutorEngine(fake) as engine:
        job = pausable.start(engine.call, square, 1)
        job.cancel()
        assert fake.cancelled == ["square-1"]
        assert engine.pending == 0


def test_what_has_begun_runs_to_its_end_and_its_result_is_dropped():
    fake = FakeEngine()
    with ExecutorEngine(fake) as engine:
        ticket = engine.submit(square, 3)
        fake.begin("square-1")
        assert ticket.cancel()
        fake.run("square-1")
        assert ticket.cancelled()


def test_an_early_wake_completes_nothing():
    fake = FakeEngine()
    with ExecutorEngine(fake) as engine:
        ticket = engine.submit(square, 3)
        fake.wake_twice("square-1")
        assert not ticket.done()
        fake.finish_twice("square-1", 9)
        assert ticket.result() == 9


class Garbage:
    def submit(self, fn, *args):
        return 3


def test_an_executor_that_returns_no_future_is_an_engine_error():
    with ExecutorEngine(Garbage()) as engine:
        with pytest.raises(pausable.EngineError, match="returned 3, which is no future"):
            engine.call(int)


@pytest.mark.parametrize("wrong", [3, object(), "threads"])
def test_what_is_no_executor_is_refused(wrong):
    with pytest.raises(TypeError, match="executor has to be an engine or an executor"):
        ExecutorEngine(wrong)


@pytest.mark.parametrize(("wrong", "error"), [(0, ValueError), (1.5, TypeError), (True, TypeError)])
def test_max_workers_is_checked(wrong, error):
    with pytest.raises(error, match="max_workers has to be"):
        ExecutorEngine(max_workers=wrong)


def test_what_cannot_be_called_is_refused_before_it_is_submitted():
    with ExecutorEngine() as engine:
        with pytest.raises(TypeError, match="fn has to be callable, not 3"):
            engine.submit(3)
        with pytest.raises(TypeError, match="submit it to a CoroutineEngine"):
            engine.call(asquare, 3)
        assert engine.pending == 0


def test_a_forked_child_has_threads_of_its_own():
    with ExecutorEngine() as engine:
        engine.call(int)
        assert in_child(lambda: engine.call(square, 3)) == "ok"
        assert engine.call(square, 2) == 4


def test_a_call_that_was_answered_holds_nothing():
    with ExecutorEngine(max_workers=1) as engine:
        canary = Canary()
        died = weakref.finalize(canary, int)
        assert engine.call(id, canary) == id(canary)
        del canary
        engine.call(int)  # the thread lets go of its last call when it has the next
        gc.collect()
        assert not died.alive
