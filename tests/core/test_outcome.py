"""What a job returns and raises, and what is seen of other people's exceptions."""

from __future__ import annotations

import asyncio
import gc
import logging
import sys
import traceback
import weakref

import greenlet
import pytest

import pausable
from core._support import Canary, finish, in_thread
from pausable import _handle


def frames(exc):
    """Return the functions of a traceback, but for `result`, which may be a builtin."""
    own = _handle.__file__
    tb = traceback.extract_tb(exc.__traceback__)
    return [frame.name for frame in tb if frame.filename != own]


def fails(exc, count=0):
    for _ in range(count):
        pausable.pause()
    raise exc


def depth(tb):
    return 0 if tb is None else 1 + depth(tb.tb_next)


@pytest.mark.hazard("H6")
@pytest.mark.parametrize("count", [0, 2])
def test_exception_has_the_calls_own_traceback_only(count):
    job = pausable.start(fails, ValueError("x"), count)
    while not job.done():
        job.resume()
    exc = job.exception()
    assert frames(exc) == ["fails"]
    with pytest.raises(ValueError, match="x") as info:
        job.result()
    assert info.value is exc
    assert frames(exc)[-2:] == ["test_exception_has_the_calls_own_traceback_only", "fails"]


def test_raising_from_result_again_does_not_grow_the_traceback():
    job = pausable.start(fails, ValueError("x"))
    depths = set()
    for _ in range(50):
        with pytest.raises(ValueError, match="x") as info:
            job.result()
        depths.add(depth(info.value.__traceback__))
    assert len(depths) == 1


def test_each_job_keeps_its_own_traceback_of_a_shared_exception():
    shared = ValueError("shared")

    def deep():
        fails(shared)

    first, second = pausable.start(fails, shared), pausable.start(deep)
    for job, names in [(first, ["fails"]), (second, ["deep", "fails"])] * 2:
        with pytest.raises(ValueError, match="shared") as info:
            job.result()
        assert frames(info.value)[1:][: len(names)] == names


@pytest.mark.hazard("H6")
def test_outer_result_shows_the_way_through_the_inner_job_whoever_is_asked_first():
    inners = []

    def outer():
        inners.append(pausable.start(fails, ValueError("x")))
        inners[0].result()

    job = pausable.start(outer)
    with pytest.raises(ValueError, match="x"):
        inners[0].result()
    with pytest.raises(ValueError, match="x") as info:
        job.result()
    assert frames(info.value)[-2:] == ["outer", "fails"]


def test_an_exception_may_have_no_traceback():
    async def main():
        future = asyncio.get_running_loop().create_future()
        future.set_exception(OSError("x"))
        job = pausable.start(future.result)  # before 3.12 it sets None as the traceback
        assert str(job.exception()) == "x"
        for _ in range(2):
            with pytest.raises(OSError, match="x"):
                job.result()

    asyncio.run(main())


def test_the_tracebacks_first_frame_is_the_calls_even_if_it_could_not_be_entered():
    job = pausable.start(lambda: None, "one argument too many")
    assert isinstance(job.exception(), TypeError)
    assert frames(job.exception()) == []


@pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit])
def test_fatal_exception_comes_out_of_start(kind):
    seen = []

    def body():
        seen.append(pausable.current_job())
        raise kind("now")

    with pytest.raises(kind, match="now"):
        pausable.start(body)
    assert seen[0].done()
    with pytest.raises(kind, match="now"):
        seen[0].result()
    assert pausable.thread_pool().stats()[:4] == (1, 1, 0, 0)


@pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit])
def test_fatal_exception_comes_out_of_resume_and_is_stored(kind):
    job = pausable.start(fails, kind("now"), 1)
    with pytest.raises(kind, match="now"):
        job.resume()
    assert job.done()
    assert isinstance(job.exception(), kind)
    with pytest.raises(kind, match="now") as info:
        job.result()
    assert frames(info.value)[1:] == ["fails"]


@pytest.mark.hazard("H7")
@pytest.mark.parametrize("exc", [StopIteration(3), greenlet.GreenletExit("mine"), GeneratorExit()])
def test_odd_exceptions_are_exceptions_like_others(exc):
    job = pausable.start(fails, exc, 1)
    assert job.resume() is True
    assert job.exception() is exc
    with pytest.raises(type(exc)) as info:
        job.result()
    assert info.value is exc


def test_returning_an_exception_is_not_raising_it():
    job = pausable.start(lambda: ValueError("value"))
    assert isinstance(job.result(), ValueError)
    assert job.exception() is None


def test_done_callbacks_run_once_in_order_before_resume_returns():
    log = []
    job = pausable.start(pausable.pause)
    job.add_done_callback(lambda j: log.append((1, j is job, j.done())))
    job.add_done_callback(lambda j: log.append((2, j.result())))
    assert log == []
    job.resume()
    assert log == [(1, True, True), (2, True)]
    job.add_done_callback(lambda j: log.append(3))
    assert log[2:] == [3]
    with pytest.raises(TypeError, match="callable"):
        job.add_done_callback(None)


def test_what_a_callback_raises_is_logged_and_the_next_is_called(caplog):
    log = []
    job = pausable.start(pausable.pause)
    job.add_done_callback(lambda j: 1 / 0)
    job.add_done_callback(lambda j: log.append("next"))
    assert job.resume() is True
    assert log == ["next"]
    [record] = caplog.records
    assert (record.name, record.levelno) == ("pausable", logging.ERROR)
    assert "ZeroDivisionError" in (caplog.text)
    job.add_done_callback(lambda j: 1 / 0)
    assert len(caplog.records) == 2


def test_the_fibre_is_free_when_done_callbacks_run():
    with pausable.JobPool(max_size=1) as pool:
        job = pool.start(pausable.pause)
        job.add_done_callback(lambda j: pool.start(int))
        job.resume()
        assert pool.stats()[:4] == (1, 1, 0, 0)


def test_a_job_added_its_own_callback_from_inside():
    log = []

    def body():
        pausable.current_job().add_done_callback(lambda j: log.append(j.result()))
        return 5

    pausable.start(body)
    assert log == [5]


@pytest.mark.hazard("H6")
def test_job_does_not_see_the_exception_its_starter_handles():
    def body():
        seen = [sys.exc_info()[1]]
        pausable.pause()
        return [*seen, sys.exc_info()[1]]

    try:
        raise KeyError("callers")
    except KeyError:
        job = pausable.start(body)
        job.resume()
        assert isinstance(sys.exc_info()[1], KeyError)
    assert job.result() == [None, None]


@pytest.mark.hazard("H6")
def test_starter_does_not_see_the_exception_the_job_handles():
    def body():
        try:
            raise KeyError("jobs")
        except KeyError:
            pausable.pause()
            return repr(sys.exc_info()[1])

    job = pausable.start(body)
    assert sys.exc_info() == (None, None, None)
    assert finish(job) == "KeyError('jobs')"


@pytest.mark.hazard("H6")
def test_bare_raise_after_a_pause_raises_the_jobs_own():
    def body():
        try:
            raise KeyError("jobs")
        except KeyError:
            pausable.pause()
            raise

    job = pausable.start(body)
    try:
        raise OSError("callers")
    except OSError:
        job.resume()
    assert isinstance(job.exception(), KeyError)
    assert job.exception().__context__ is None


def test_result_can_be_read_in_any_thread():
    good, bad = pausable.start(int), pausable.start(fails, ValueError("x"))
    assert in_thread(good.result) == 0
    with pytest.raises(ValueError, match="x"):
        in_thread(bad.result)


def test_result_leaves_no_cycle_behind():
    job = pausable.start(fails, ValueError("x"))
    gc.collect()
    gc.disable()
    try:
        canary = weakref.ref(job)
        try:
            job.result()
        except ValueError:
            pass
        del job
        assert canary() is None
    finally:
        gc.enable()


def test_a_fatal_exception_keeps_nothing_of_its_job_alive():
    canary = Canary()
    alive = weakref.ref(canary)

    def body(held):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        pausable.start(body, canary)
    del canary
    gc.collect()
    assert alive() is None


class Outcome(Exception):
    """May hold the job whose outcome it is."""

    job = None


def with_its_value():
    job = pausable.start(list)
    job.result().append(job)
    return job


def with_its_value_after_a_pause():
    job = pausable.start(lambda: [pausable.pause()])
    job.resume()
    job.result().append(job)
    return job


def with_its_exception():
    job = pausable.start(fails, Outcome())
    job.exception().job = job
    return job


def with_its_wait_context():
    job = pausable.start(int)
    job.wait_ctx.set_callback(lambda: job)
    return job


def with_its_wait_context_of_the_time_before():
    job = pausable.start(pausable.pause)
    job.wait_ctx.set_callback(lambda: job)
    job.resume()
    return job


@pytest.mark.parametrize(
    "made",
    [
        with_its_value,
        with_its_value_after_a_pause,
        with_its_exception,
        with_its_wait_context,
        with_its_wait_context_of_the_time_before,
    ],
)
def test_a_job_in_a_cycle_with_what_it_holds_is_collected(made):
    alive = weakref.ref(made())
    gc.collect()
    assert alive() is None
