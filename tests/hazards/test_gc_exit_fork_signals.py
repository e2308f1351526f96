"""Garbage, the ends of threads and of the process, forks and signals: most is in core (H13-H17)."""

from __future__ import annotations

import concurrent.futures
import ctypes
import gc
import os
import signal
import sys
import warnings
import weakref

import pytest

import pausable
from core._support import Canary, finish, in_child, in_thread, pauses, python

needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
needs_signals = pytest.mark.skipif(not hasattr(signal, "SIGUSR1"), reason="no SIGUSR1 here")


def noting(log, tag="finally"):
    try:
        pausable.pause()
    finally:
        log.append(tag)


# -- garbage ---------------------------------------------------------------------------------------


@pytest.mark.hazard("H13")
def test_a_job_whose_own_frame_holds_its_handle_is_unwound_with_its_thread():
    log = []

    def body():
        me = pausable.current_job()
        try:
            noting(log)
        finally:
            log.append(me.name)

    def thread():
        pausable.start(body).name = "mine"
        gc.collect()
        assert log == []  # alive: its stack is out of the collector's sight

    in_thread(thread)
    assert log == ["finally", "mine"]


@pytest.mark.hazard("H13")
def test_a_job_dropped_below_a_c_callback_that_swallows_is_unwound_all_the_same():
    log = []

    @ctypes.CFUNCTYPE(ctypes.c_int)
    def callback():
        noting(log, "callback")
        return 0

    def body():
        callback()
        noting(log, "body")

    hook, sys.unraisablehook = sys.unraisablehook, lambda info: log.append(info.exc_type.__name__)
    try:
        with pytest.warns(ResourceWarning, match="in callback"):
            pausable.start(body)
        with pytest.warns(RuntimeWarning, match="caught JobCancelled"):
            assert pausable.start(int).result() == 0
    finally:
        sys.unraisablehook = hook
    assert log == ["callback", "JobCancelled", "body"]
    assert pausable.thread_pool().stats().paused == 0


@pytest.mark.hazard("H13")
def test_all_of_a_dropped_jobs_locals_are_freed():
    dead = []

    def body():
        local = Canary()
        dead.append(weakref.ref(local))
        pausable.pause()

    jobs = [pausable.start(body) for _ in range(200)]
    with pytest.warns(ResourceWarning):
        jobs.clear()
    pausable.start(int)
    assert [ref() for ref in dead] == [None] * 200


# -- the ends of threads and of the process --------------------------------------------------------


@pytest.mark.hazard("H14")
@pytest.mark.parametrize(
    "held", ["job = {}", "import builtins; builtins.job = {}", "c = [{}, 0]; c[1] = c"]
)
def test_at_exit_jobs_are_unwound_whatever_holds_them(held):
    out, err = python(f"""
        import pausable
        def body():
            try:
                pausable.pause()
            finally:
                pausable.pause()                   # cleanup is served
                print("finally")
        {held.format("pausable.start(body)")}
    """)  # fmt: skip
    assert (out, err) == ("finally\n", "")


@pytest.mark.hazard("H15")
def test_jobs_of_executor_workers_are_unwound_and_freed_when_these_end():
    log, held, dead = [], [], []

    def body(n):
        local = Canary()
        dead.append(weakref.ref(local))
        noting(log, n)

    with concurrent.futures.ThreadPoolExecutor(4) as executor:
        held.extend(executor.map(lambda n: pausable.start(body, n), range(50)))
        assert log == []
    assert sorted(log) == list(range(50))
    assert all(job.cancelled() for job in held)
    held.clear()
    gc.collect()
    assert [ref() for ref in dead] == [None] * 50


@needs_fork
@pytest.mark.hazard("H16")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_fork_inside_a_job_leaves_the_childs_copy_of_its_starter_alone():
    log = []

    def body():
        told = in_child(lambda: log.append(pausable.pause()))
        pausable.pause()
        return told

    job = pausable.start(body)
    log.append("starter")  # once: the child did not come back to here
    assert finish(job) == "ok"
    assert log == ["starter"]


# -- signals ---------------------------------------------------------------------------------------


@pytest.fixture
def on_signal():
    """Have a function called at SIGUSR1."""
    before = signal.getsignal(signal.SIGUSR1)
    yield lambda fn: signal.signal(signal.SIGUSR1, lambda *_: fn())
    signal.signal(signal.SIGUSR1, before)


def interrupt():
    raise KeyboardInterrupt


@needs_signals
@pytest.mark.hazard("H17")
def test_what_a_handler_raises_while_a_job_runs_ends_that_job_and_comes_out_of_resume(on_signal):
    on_signal(interrupt)

    def body():
        pausable.pause()
        signal.raise_signal(signal.SIGUSR1)

    bystander, job = pausable.start(pauses, 1, "fine"), pausable.start(body)
    with pytest.raises(KeyboardInterrupt):
        job.resume()
    assert isinstance(job.exception(), KeyboardInterrupt)
    assert finish(bystander) == "fine"


@needs_signals
@pytest.mark.hazard("H17")
def test_what_a_handler_raises_while_the_job_is_paused_does_not_touch_it(on_signal):
    on_signal(interrupt)
    job = pausable.start(pauses, 1, "untouched")
    with pytest.raises(KeyboardInterrupt):
        signal.raise_signal(signal.SIGUSR1)
    assert finish(job) == "untouched"


@needs_signals
@pytest.mark.hazard("H17")
def test_a_handler_that_blocks_pausing_runs_to_its_end_inside_the_job(on_signal):
    log = []

    @pausable.pause_blocked()
    def handler():
        log.append(("handler", pausable.pause()))

    def body():
        signal.raise_signal(signal.SIGUSR1)
        log.append("body")
        return pausable.pause()

    on_signal(handler)
    job = pausable.start(body)
    assert log == [("handler", False), "body"]
    assert finish(job) is True


@needs_signals
@pytest.mark.hazard("H17")
def test_a_waker_may_be_fired_by_a_handler_at_any_moment(on_signal):
    def body():
        with pausable.current_job().wait_ctx.waker() as waker:
            on_signal(waker.wake)
            signal.raise_signal(signal.SIGUSR1)
            pausable.pause()
            waker.clear()
        return "woken"

    assert list(pausable.map(lambda _: body(), range(3), jobs=1)) == ["woken"] * 3


@needs_signals
@pytest.mark.hazard("H17")
def test_other_signals_are_delivered_while_a_job_is_paused(on_signal):
    log = []
    on_signal(lambda: log.append(pausable.current_job()))
    job = pausable.start(pauses, 1)
    signal.raise_signal(signal.SIGUSR1)
    finish(job)
    assert log == [None]


@pytest.mark.hazard("H13")
def test_a_collection_inside_a_job_drops_others_without_running_them():
    log = []

    def body():
        cycle = [pausable.start(noting, log)]
        cycle.append(cycle)
        del cycle
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            gc.collect()
        return log.copy(), [warning.category for warning in caught]

    assert pausable.start(body).result() == ([], [ResourceWarning])
    pausable.start(int)
    assert log == ["finally"]
