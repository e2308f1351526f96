"""Cancelling: sticky, served while it unwinds, never ignored in silence."""

from __future__ import annotations

import ctypes
import ctypes.util
import os
import threading
import warnings

import pytest

import pausable
from core._support import finish, in_thread, pauses
from pausable._cancel import MAX_DELIVERIES


def test_cancel_raises_at_the_pause_and_the_job_ends():
    log = []

    def body():
        try:
            pausable.pause()
        except pausable.JobCancelled as exc:
            log.append(str(exc))
            raise
        finally:
            log.append("finally")

    job = pausable.start(body)
    assert job.cancel("no longer needed") is True
    assert log == ["no longer needed", "finally"]
    assert job.cancelled()
    assert "cancelled" in repr(job)
    with pytest.raises(pausable.JobCancelled, match="no longer needed"):
        job.result()


def test_cancelled_is_no_exception_that_except_exception_stops():
    def body():
        try:
            pausable.pause()
        except Exception:
            return "stopped"

    job = pausable.start(body)
    assert job.cancel()
    assert job.cancelled()


def test_cleanup_that_pauses_is_served_and_cancel_says_not_yet():
    log = []

    def body():
        try:
            pausable.pause()
        finally:
            for i in range(3):
                log.append(i)
                assert pausable.pause()

    job = pausable.start(body)
    assert job.cancel() is False
    assert job.cancel() is False  # twice changes nothing
    assert log == [0]
    assert job.resume() is False
    job.close()
    assert log == [0, 1, 2]
    assert job.cancelled()


def test_cleanup_in_context_managers_and_generators_is_served():
    log = []

    class Manager:
        def __enter__(self):
            return self

        def __exit__(self, *exc):
            pausable.pause()
            log.append("exit")

    def generator():
        try:
            yield
        finally:
            log.append("generator")

    def body():
        gen = generator()
        next(gen)
        with Manager():
            pausable.pause()

    pausable.start(body).close()
    assert sorted(log) == ["exit", "generator"]


def test_a_cancel_that_was_swallowed_is_raised_at_the_next_pause_and_reported():
    log = []

    def body():
        try:
            pausable.pause()
        except pausable.JobCancelled:
            log.append("swallowed")
        log.append("went on")
        pausable.pause()
        log.append("never")

    job = pausable.start(body)
    told = r"(?s)caught JobCancelled and went on.*in body\n    pausable\.pause\(\)\n"
    with pytest.warns(RuntimeWarning, match=told):
        job.cancel()
    assert log == ["swallowed", "went on"]
    assert job.cancelled()


def test_a_swallowed_cancel_of_a_job_that_ends_is_no_cancellation():
    def body():
        try:
            pausable.pause()
        except pausable.JobCancelled:
            return "value"

    job = pausable.start(body)
    assert job.cancel() is True
    assert not job.cancelled()
    assert job.result() == "value"


def test_a_job_that_catches_everything_for_ever_is_given_up_on():
    caught = []

    def body(stop):
        while not stop:
            try:
                pausable.pause()
            except BaseException as exc:
                caught.append(type(exc))

    stop = []
    job = pausable.start(body, stop)
    with pytest.warns(RuntimeWarning):
        with pytest.raises(pausable.CancelSwallowed, match=f"{MAX_DELIVERIES} times"):
            job.cancel()
    assert caught == [pausable.JobCancelled] * MAX_DELIVERIES
    with pytest.raises(pausable.CancelSwallowed, match="in body"):
        job.close()
    assert job.paused
    stop.append(True)
    assert job.resume() is True


def test_close_gives_up_when_cleanup_takes_too_long_and_the_job_stays():
    go_on = [True]

    def body():
        try:
            pausable.pause()
        finally:
            while go_on:
                pausable.pause()

    job = pausable.start(body)
    with pytest.raises(TimeoutError, match=r"still cleaning up(.|\n)*in body"):
        job.close(timeout_s=0.02)
    with pytest.raises(TimeoutError):
        job.close(timeout_s=0)
    assert job.paused
    go_on.clear()
    job.close()
    assert job.cancelled()


def test_close_waits_for_the_descriptor_that_cleanup_waits_for():
    reader, writer = os.pipe()

    def body():
        try:
            pausable.pause()
        finally:
            pausable.current_job().wait_ctx.set_wait_fd("pipe", reader)
            threading.Thread(target=os.write, args=(writer, b"x")).start()
            while not os.get_blocking(reader) and not _read(reader):
                pausable.pause()

    os.set_blocking(reader, False)
    pausable.start(body).close()
    os.close(reader)
    os.close(writer)


def _read(fd):
    try:
        return os.read(fd, 1)
    except BlockingIOError:
        return b""


def test_a_cancelled_job_that_raises_something_else_has_failed():
    def body():
        try:
            pausable.pause()
        finally:
            raise OSError("cleanup failed")

    job = pausable.start(body)
    assert job.cancel()
    assert not job.cancelled()
    with pytest.raises(OSError, match="cleanup failed") as info:
        job.result()
    assert isinstance(info.value.__context__, pausable.JobCancelled)


def test_cancel_of_a_running_job_from_inside_counts_at_its_next_pause():
    log = []

    def body():
        assert pausable.current_job().cancel() is False
        log.append("still running")
        pausable.pause()
        log.append("never")

    job = pausable.start(body)
    assert job.cancelled()
    assert log == ["still running"]


def test_cancel_of_a_running_outer_job_from_an_inner_one():
    def inner(outer):
        outer.cancel()
        pausable.pause()
        return "inner is not cancelled"

    def outer():
        job = pausable.start(inner, pausable.current_job())
        value = finish(job)
        pausable.pause()
        return value

    job = pausable.start(outer)
    assert job.cancelled()


def test_cancel_of_an_ended_job_is_true_and_changes_nothing():
    job = pausable.start(int)
    assert job.cancel() is True
    job.close()
    assert job.result() == 0
    assert not job.cancelled()


def test_cancel_from_another_thread_wakes_the_driver_and_counts_at_the_resume():
    calls = []
    ctx = pausable.WaitContext()
    ctx.set_callback(lambda: calls.append(threading.current_thread().name))
    job = pausable.thread_pool().start_in(ctx, pauses, 5)
    assert in_thread(job.cancel) is False
    assert calls == ["helper"]
    assert job.paused
    assert job.resume() is True
    assert job.cancelled()


def test_cancel_from_another_thread_of_a_running_job_counts_at_its_pause():
    def body():
        in_thread(pausable.current_job().cancel)
        pausable.pause()

    assert pausable.start(body).cancelled()


def test_close_from_another_thread_is_refused_and_leaves_the_job_alone():
    job = pausable.start(pauses, 1, "fine")
    with pytest.raises(pausable.WrongThread, match="MainThread"):
        in_thread(job.close)
    assert finish(job) == "fine"


def test_a_cancelled_fibre_serves_the_next_job_uncancelled():
    job = pausable.start(pauses, 1)
    fibre = job._fibre
    job.close()
    after = pausable.start(pauses, 2, "fine")
    assert after._fibre is fibre
    assert finish(after) == "fine"


def test_a_running_job_cannot_close_itself():
    def body():
        with pytest.raises(pausable.JobStateError, match="cannot be closed"):
            pausable.current_job().close()
        pausable.pause()
        return "uncancelled"

    assert finish(pausable.start(body)) == "uncancelled"


def test_with_closes_whatever_happens_inside():
    with pausable.start(pauses, 5) as job:
        assert job.paused
    assert job.cancelled()
    with pytest.raises(KeyError), pausable.start(pauses, 5) as job:
        raise KeyError
    assert job.cancelled()
    with pausable.start(pauses, 1, 3) as job:
        assert finish(job) == 3
    assert job.result() == 3


def test_cancel_in_a_blocked_stretch_waits_for_its_end():
    log = []

    def body():
        with pausable.pause_blocked():
            pausable.current_job().cancel()
            assert pausable.pause() is False
            log.append("unharmed")
        pausable.pause()
        log.append("never")

    assert pausable.start(body).cancelled()
    assert log == ["unharmed"]


def test_cancelling_an_outer_job_unwinds_the_inner_with_block():
    inner = []

    def outer():
        with pausable.start(pauses, 9) as job:
            inner.append(job)
            pausable.pause()

    pausable.start(outer).close()
    assert inner[0].cancelled()


@pytest.mark.greenlet_only
@pytest.mark.hazard("H8")
def test_cancel_is_raised_in_the_foreign_greenlet_that_paused():
    greenlet = pytest.importorskip("greenlet")
    log = []

    def foreign():
        try:
            pausable.pause()
        finally:
            log.append("foreign unwound")

    job = pausable.start(lambda: greenlet.greenlet(foreign).switch())
    assert job.cancel()
    assert log == ["foreign unwound"]
    assert job.cancelled()


def test_cancel_reaches_a_job_whose_function_is_pause_itself():
    job = pausable.start(pausable.pause)
    assert job.cancel()
    assert job.cancelled()


@pytest.mark.hazard("H19")
def test_cancel_under_a_c_frame_that_swallows_is_sticky_and_reported(capfd):
    libc = ctypes.CDLL(ctypes.util.find_library("c"))
    compare_type = ctypes.CFUNCTYPE(
        ctypes.c_int, ctypes.POINTER(ctypes.c_int), ctypes.POINTER(ctypes.c_int)
    )
    log = []

    @compare_type
    def compare(a, b):
        log.append("pause")
        pausable.pause()
        return a[0] - b[0]

    def body():
        array = (ctypes.c_int * 3)(3, 1, 2)
        libc.qsort(array, 3, ctypes.sizeof(ctypes.c_int), compare)
        log.append("sorted")
        pausable.pause()
        log.append("never")

    import sys

    seen, hook = [], sys.unraisablehook
    sys.unraisablehook = lambda info: seen.append(info.exc_type)
    try:
        job = pausable.start(body)
        with pytest.warns(RuntimeWarning, match="in compare"):
            assert job.cancel()
    finally:
        sys.unraisablehook = hook
    assert job.cancelled()
    assert log[-1] == "sorted"
    assert set(seen) == {pausable.JobCancelled}


def test_the_cleanup_of_a_nested_handler_is_served():
    log = []

    def body():
        try:
            pausable.pause()
        except pausable.JobCancelled:
            try:
                raise KeyError
            except KeyError:
                pausable.pause()  # still unwinding: the cancel is its context
                log.append("served")
            raise

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        pausable.start(body).close()
    assert log == ["served"]
