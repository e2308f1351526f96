"""Exceptions, foreign greenlets, and generators under a pause (H6 to H9)."""

from __future__ import annotations

import asyncio
import gc
import sys
import warnings

import greenlet
import pytest

import pausable
from core._support import BESIDE_GREENLET, finish, pauses, python

# -- exceptions ------------------------------------------------------------------------------------


@pytest.mark.hazard("H6")
def test_result_read_in_an_except_block_is_chained_to_what_that_handles():
    def body():
        pausable.pause()
        raise ValueError("of the job")

    def read(job):
        try:
            raise KeyError("of the reader")
        except KeyError:
            assert job.resume()
            assert job.exception().__context__ is None
            job.result()

    with pytest.raises(ValueError, match="of the job") as info:
        read(pausable.start(body))
    assert repr(info.value.__context__) == "KeyError('of the reader')"


@pytest.mark.hazard("H6")
def test_a_cancel_in_an_except_block_is_chained_to_what_is_handled_there():
    def body():
        try:
            raise KeyError("of the job")
        except KeyError:
            pausable.pause()

    job = pausable.start(body)
    assert job.cancel()
    assert repr(job.exception().__context__) == "KeyError('of the job')"


@pytest.mark.hazard("H6")
def test_two_jobs_paused_in_except_blocks_raise_on_their_own():
    def body(exc):
        try:
            raise exc
        except Exception:
            pausable.pause()
            raise

    first, second = KeyError(1), ValueError(2)
    jobs = [pausable.start(body, first), pausable.start(body, second)]
    for job in jobs:
        assert job.resume()
    assert [job.exception() for job in jobs] == [first, second]
    assert sys.exc_info() == (None, None, None)


@pytest.mark.hazard("H6")
def test_a_warning_whose_stacklevel_leaves_the_job_is_shown_without_a_place():
    def body(stacklevel):
        warnings.warn("from the job", UserWarning, stacklevel=stacklevel)

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        pausable.start(body, 1)
        pausable.start(body, 50)
    assert caught[0].filename == __file__
    assert caught[1].filename in ("sys", "<sys>")


@pytest.mark.hazard("H7")
@pytest.mark.parametrize("count", [0, 1])
def test_greenlet_exit_raised_in_a_job_is_its_outcome_and_no_return(count):
    def body():
        pauses(count)
        raise greenlet.GreenletExit("mine")

    job = pausable.start(body)
    while not job.done():
        job.resume()
    with pytest.raises(greenlet.GreenletExit, match="mine"):
        job.result()
    assert finish(pausable.start(pauses, 1, "the fibre lives")) == "the fibre lives"


@pytest.mark.hazard("H7")
def test_stop_iteration_of_a_job_comes_out_of_result_only():
    def driver():
        job = pausable.start(next, iter(()))
        yield job.done()
        yield type(job.exception())

    assert list(driver()) == [True, StopIteration]


# -- foreign greenlets -----------------------------------------------------------------------------


@pytest.mark.hazard("H8")
@pytest.mark.parametrize("hub", ["gevent.get_hub()", "pass"], ids=["outside", "in a job"])
def test_the_gevent_hub_comes_back_into_the_job_wherever_it_was_made(hub):
    pytest.importorskip("gevent")
    out, err = python(
        f"""
        import gevent, pausable

        def body(n):
            gevent.sleep(0)
            assert pausable.current_job() is not None
            assert pausable.pause()
            inside = gevent.spawn(pausable.pause)   # the hub's child: in no job
            assert inside.get() is False
            return n

        {hub}
        jobs = [pausable.start(body, n) for n in range(5)]
        gevent.sleep(0)
        assert gevent.spawn(pausable.current_job).get() is None
        for n in (3, 0, 4, 1, 2):
            assert jobs[n].resume()
        print([job.result() for job in jobs])
    """,
        backend=BESIDE_GREENLET,
    )
    assert (out, err) == ("[0, 1, 2, 3, 4]\n", "")


@pytest.mark.hazard("H8")
def test_what_a_hub_made_in_a_job_throws_at_its_parent_reaches_the_main_greenlet():
    pytest.importorskip("gevent")
    out, err = python(
        """
        import gevent, gevent.event, pausable
        pausable.start(gevent.sleep, 0)      # the first use of the hub
        for _ in range(3):
            try:
                gevent.event.Event().wait()
            except gevent.exceptions.LoopExit:
                print("would wait for ever")
            print(pausable.start(int).result(), pausable.thread_pool().stats().size)
    """,
        backend=BESIDE_GREENLET,
    )
    assert (out, err) == ("would wait for ever\n0 1\n" * 3, "")


@pytest.mark.greenlet_only
@pytest.mark.hazard("H8")
def test_what_is_thrown_into_an_idle_fibre_goes_to_the_root_and_leaves_it_fit():
    finish(pausable.start(pauses, 1))
    fibre = pausable.thread_pool().idle[-1]
    for _ in range(2):
        with pytest.raises(KeyError, match="stray"):
            fibre.throw(KeyError("stray"))
        job = pausable.start(pauses, 1, "fit")
        assert job._fibre is fibre
        assert finish(job) == "fit"
    assert pausable.thread_pool().idle == [fibre]


@pytest.mark.hazard("H8")
def test_a_job_survives_the_foreign_greenlet_that_started_it():
    jobs = []
    greenlet.greenlet(lambda: jobs.append(pausable.start(pauses, 3, "end"))).switch()
    gc.collect()
    assert jobs[0].resume() is False
    greenlet.greenlet(jobs[0].resume).switch()
    assert finish(jobs[0]) == "end"


def spawned(fn, *args):
    """Run fn in a greenlet of SQLAlchemy's, driving its coroutine as an event loop would."""
    greenlet_spawn = pytest.importorskip("sqlalchemy.util.concurrency").greenlet_spawn
    coroutine = greenlet_spawn(fn, *args)
    try:
        while True:
            coroutine.send(None)
    except StopIteration as stop:
        return stop.value


@pytest.mark.greenlet_only
@pytest.mark.hazard("H8")
def test_a_pause_inside_sqlalchemys_greenlet_pauses_the_job_around_it():
    def within(tag):
        assert pausable.pause()
        return tag

    jobs = [pausable.start(spawned, within, tag) for tag in "abc"]
    assert all("within" in [frame.name for frame in job.stack()] for job in jobs)
    assert [finish(job) for job in jobs[::-1]] == ["c", "b", "a"]


@pytest.mark.hazard("H8")
def test_a_job_started_in_sqlalchemys_greenlet_is_resumed_outside_of_it():
    job = spawned(pausable.start, pauses, 2, "end")
    assert job.resume() is False
    assert spawned(job.resume) is True
    assert job.result() == "end"


@pytest.mark.greenlet_only
@pytest.mark.hazard("H8")
def test_cancel_is_raised_inside_sqlalchemys_greenlet():
    log = []

    def within():
        try:
            pausable.pause()
        finally:
            log.append("unwound")

    job = pausable.start(spawned, within)
    assert job.cancel()
    assert (log, job.cancelled()) == (["unwound"], True)


@pytest.mark.hazard("H8")
def test_sqlalchemys_async_session_and_jobs_share_a_task():
    sqlalchemy = pytest.importorskip("sqlalchemy")
    ext = pytest.importorskip("sqlalchemy.ext.asyncio")
    pytest.importorskip("aiosqlite")

    def in_session(connection):
        job = pausable.start(pauses, 2, "job")
        value = connection.execute(sqlalchemy.text("select 40 + 2")).scalar()
        return value, finish(job)

    async def main():
        engine = ext.create_async_engine("sqlite+aiosqlite://")
        try:
            async with engine.connect() as connection:
                inner = await connection.run_sync(in_session)
            return inner, await pausable.run(pauses, 2, "task")
        finally:
            await engine.dispose()

    assert asyncio.run(main()) == ((42, "job"), "task")


@pytest.mark.greenlet_only
@pytest.mark.hazard("H8")
def test_greenback_awaits_inside_a_job_that_also_pauses():
    greenback = pytest.importorskip("greenback")

    def body(tag):
        seen = []
        for step in range(3):
            seen.append(greenback.await_(asyncio.sleep(0, (tag, step))))
            assert pausable.pause()
        return seen

    async def task(tag):
        await greenback.ensure_portal()
        return await pausable.run(body, tag)

    async def main():
        return await asyncio.gather(*[task(tag) for tag in "ab"])

    assert asyncio.run(main()) == [[(tag, step) for step in range(3)] for tag in "ab"]


# -- generators ------------------------------------------------------------------------------------


def numbers(log):
    try:
        for number in range(3):
            pausable.pause()
            yield number
    finally:
        pausable.pause()
        log.append("closed")


@pytest.mark.hazard("H9")
@pytest.mark.parametrize("touch", [next, lambda gen: gen.send(1), lambda gen: gen.close()])
def test_a_generator_that_is_paused_is_refused_to_others_and_goes_on(touch):
    log = []
    gen = numbers(log)
    job = pausable.start(list, gen)
    with pytest.raises(ValueError, match="generator already executing"):
        touch(gen)
    assert finish(job) == [0, 1, 2]
    assert log == ["closed"]


@pytest.mark.hazard("H9")
def test_a_generator_may_be_stepped_by_one_job_after_another():
    gen = numbers([])
    assert [finish(pausable.start(next, gen)) for _ in range(3)] == [0, 1, 2]
    assert finish(pausable.start(next, gen, "end")) == "end"


@pytest.mark.hazard("H9")
@pytest.mark.parametrize("end", ["close", "drop"])
def test_the_finally_of_a_generator_may_pause_while_it_is_closed_or_collected(end):
    log = []

    def body():
        gen = numbers(log)
        next(gen)
        if end == "close":
            gen.close()
        del gen
        return "end"

    job = pausable.start(body)
    assert job.resume() is False  # in the finally
    assert log == []
    assert finish(job) == "end"
    assert log == ["closed"]


@pytest.mark.hazard("H9")
def test_an_async_generator_may_be_stepped_by_two_jobs_in_turn():
    async def numbers():
        for number in range(4):
            pausable.pause()
            yield number

    def step(agen):
        with pytest.raises(StopIteration) as stop:
            agen.asend(None).send(None)
        return stop.value.value

    agen = numbers()
    assert [finish(pausable.start(step, agen)) for _ in range(4)] == [0, 1, 2, 3]
